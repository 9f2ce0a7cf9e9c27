"""Who calls: tokens (RFC 7519; our own by EdDSA, RFC 8037), verified in every service.

The audience says what kind of caller it is; the subject says who. A customer's id comes from here
and from nowhere else.
"""

import json
import re
from collections.abc import Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from math import inf, isfinite
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.clock import Clock, SystemClock
from libs.refusals import Unauthenticated
from libs.settings import InvalidSettings
from stockbroker.common.v1.reason_pb2 import Reason

ISSUER = "https://auth.stockbroker.local"
ALGORITHM = "EdDSA"
CLAIM = "sub"  # names the caller, where nothing else is said
SUBJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_CACHED = 50_000
_AHEAD_SECONDS = 10  # that the clock of whoever made a token may be; Envoy allows as much


class Role(Enum):
    """The kind of caller; the value is the token's audience."""

    CUSTOMER = "stockbroker"
    BACK_END = "stockbroker-back-end"  # of a firm that places trades for its customers
    OPERATOR = "stockbroker-ops"
    SERVICE = "stockbroker-internal"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose token verified."""

    subject: str
    role: Role
    expires_at: float = field(default=inf, compare=False)  # seconds since 1970


_caller: ContextVar[Principal] = ContextVar("caller")


def caller() -> Principal:
    """The caller of the RPC in progress. LookupError outside of one."""
    return _caller.get()


def set_caller(principal: Principal) -> None:
    """Make `principal` the caller for the rest of this task."""
    _caller.set(principal)


class Issuer:
    """Who signs the tokens of some kinds of callers: their `iss`, and the keys of a JWKS file.

    `claim` is what names the caller. Raises OSError and InvalidSettings where there is no such
    file, or no key in it that a token can name.
    """

    def __init__(
        self,
        name: str,
        jwks_file: Path | str,
        *,
        roles: Collection[Role],
        algorithms: Sequence[str] = (ALGORITHM,),
        claim: str = CLAIM,
    ) -> None:
        text = Path(jwks_file).read_text()
        try:
            keys = jwt.PyJWKSet.from_dict(json.loads(text))
        except (ValueError, AttributeError, jwt.PyJWTError) as error:
            raise InvalidSettings(f"{jwks_file} is no set of public keys: {error}") from error
        self._keys = {key.key_id: key for key in keys.keys if key.key_id}
        if not self._keys:
            raise InvalidSettings(f"{jwks_file} has no key with a `kid`, by which tokens name it")
        self._name = name
        self._roles = frozenset(roles)
        self._algorithms = algorithms
        self._claim = claim

    def read(self, token: str) -> tuple[str, Role, dict[str, Any]]:
        """The caller, of what kind, and all it says; its times are looked at by nobody yet.

        Of what it names as its audiences one is a kind of caller. Raises PyJWTError, LookupError,
        ValueError or TypeError, and Unauthenticated where it is good but names nobody.
        """
        claims: dict[str, Any] = jwt.decode(
            token,
            self._keys[jwt.get_unverified_header(token)["kid"]],
            algorithms=self._algorithms,
            audience=[role.value for role in self._roles],
            issuer=self._name,
            options={
                "require": ["exp", "aud", "iss"],
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
        audiences = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
        (role,) = (role for role in Role if role.value in audiences)
        subject = claims.get(self._claim)
        if not isinstance(subject, str) or not SUBJECT.fullmatch(subject):
            text = "is not 1 to 64 characters of A-Z, a-z, 0-9, underscore and hyphen"
            raise _unauthenticated(f"the token's {self._claim} {text}")
        return subject, role, claims


class Verifier:
    """Turns a bearer token into a Principal.

    By the public keys of the house alone; with an `identity` provider the house names services, and
    nobody else.
    """

    def __init__(
        self, jwks_file: Path | str, clock: Clock | None = None, *, identity: Issuer | None = None
    ) -> None:
        self._clock = clock or SystemClock()
        own = frozenset(Role) if identity is None else {Role.SERVICE}
        house = Issuer(ISSUER, jwks_file, roles=own)
        self._issuers = (house,) if identity is None else (house, identity)
        self._known: dict[str, Principal] = {}

    def verify(self, token: str) -> Principal:
        """The caller named by `token`. Raises Unauthenticated with words that give nothing away."""
        known = self._known.get(token)
        if known is not None:
            if known.expires_at > self._clock.now().timestamp():
                return known
            del self._known[token]
        principal = self._decode(token)
        if len(self._known) >= _MAX_CACHED:
            self._known.clear()
        self._known[token] = principal
        return principal

    def seconds_left(self, principal: Principal) -> float | None:
        """How long the token lasts that it was verified by; None: for ever."""
        if principal.expires_at == inf:
            return None
        return principal.expires_at - self._clock.now().timestamp()

    def _decode(self, token: str) -> Principal:
        subject, role, claims = self._read(token)
        try:
            expires_at, begins_at = _seconds(claims["exp"]), _seconds(claims.get("nbf", 0))
        except (ValueError, TypeError, OverflowError):
            raise _unauthenticated("the token's times cannot be read") from None
        # By our clock, not the library's, so that time can be simulated.
        now = self._clock.now().timestamp()
        if expires_at <= now:
            raise expired()
        if begins_at > now + _AHEAD_SECONDS:
            raise _unauthenticated("the token is not good yet")
        return Principal(subject, role, expires_at)

    def _read(self, token: str) -> tuple[str, Role, dict[str, Any]]:
        """By whoever signed it. Raises Unauthenticated."""
        for issuer in self._issuers:
            try:
                return issuer.read(token)
            except (jwt.PyJWTError, LookupError, ValueError, TypeError):
                continue
        text = "the token does not verify by a key (kid), an issuer and an audience known here"
        raise _unauthenticated(text)


class Signer:
    """Makes tokens with the private key of a PEM file. For set-up, tools and tests only."""

    def __init__(self, key_file: Path | str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        key = serialization.load_pem_private_key(Path(key_file).read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{key_file} holds no Ed25519 key")
        self._key = key
        self._key_id = _key_id(key)

    def mint(self, subject: str, role: Role, seconds: int = 3600) -> str:
        """A token for `subject` that is good for `seconds`."""
        now = self._clock.now()
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "aud": role.value,
            "iat": now,
            "exp": now + timedelta(seconds=seconds),
        }
        return jwt.encode(claims, self._key, ALGORITHM, headers={"kid": self._key_id})


def make_key(key_file: Path, jwks_file: Path) -> None:
    """Make a new key: the private half readable by the owner alone, the public half as a JWKS."""
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    key_file.touch(mode=0o600)
    key_file.write_bytes(pem)
    public = jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    public |= {"kid": _key_id(key), "use": "sig", "alg": ALGORITHM}
    jwks_file.write_text(json.dumps({"keys": [public]}, indent=1) + "\n")


def _key_id(key: Ed25519PrivateKey) -> str:
    """The first characters of the public key: enough to tell keys apart."""
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return raw.hex()[:16]


def _seconds(moment: Any) -> float:
    """Since 1970. Raises ValueError, TypeError or OverflowError where it is no moment."""
    seconds = float(moment)
    if not isfinite(seconds):
        raise ValueError("neither a number nor a moment")
    return seconds


def expired() -> Unauthenticated:
    """Said to the bearer of a token whose time is over."""
    return _unauthenticated("the token is expired")


def _unauthenticated(text: str) -> Unauthenticated:
    return Unauthenticated(Reason.REASON_UNAUTHENTICATED, text)
