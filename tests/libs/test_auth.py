import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from libs.auth import ISSUER, Principal, Role, Signer, Verifier, make_key
from libs.clock import SystemClock
from libs.refusals import Unauthenticated
from tests.support.keys import Keys


class _LaterClock(SystemClock):
    def __init__(self) -> None:
        self.later = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.later


@pytest.mark.parametrize("role", list(Role))
def test_a_token_names_its_caller(keys: Keys, role: Role) -> None:
    token = keys.signer.mint("alice", role)
    assert Verifier(keys.jwks_file).verify(token) == Principal("alice", role)


def test_a_token_is_refused_once_it_is_expired_even_when_it_was_seen_before(keys: Keys) -> None:
    clock = _LaterClock()
    verifier = Verifier(keys.jwks_file, clock)
    token = keys.customer("alice", seconds=60)
    verifier.verify(token)
    clock.later = timedelta(seconds=61)
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


def _claims(**changes: Any) -> dict[str, Any]:
    """What a token says; a timedelta is a time as far from now."""
    good = {"iss": ISSUER, "sub": "alice", "aud": "stockbroker", "exp": timedelta(minutes=5)}
    now = datetime.now(UTC)
    return {
        name: now + value if isinstance(value, timedelta) else value
        for name, value in (good | changes).items()
        if value is not None
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://elsewhere"},
        {"aud": "another"},
        {"aud": ["stockbroker", "stockbroker-ops"]},
        {"aud": None},
        {"sub": None},
        {"sub": "a.b"},
        {"sub": "alice >"},
        {"sub": "x" * 65},
        {"sub": ""},
        {"sub": 7},
        {"exp": None},
        {"exp": timedelta(seconds=-1)},
        {"nbf": timedelta(minutes=4)},
        {"nbf": "soon"},
        {"exp": float("inf")},
        {"exp": float("nan")},
        {"exp": 10**400},
        {"nbf": float("nan")},
        {"nbf": 10**400},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(keys: Keys, changes: dict[str, Any]) -> None:
    key_id = json.loads(Path(keys.jwks_file).read_text())["keys"][0]["kid"]
    key = keys.key_file.read_bytes()
    token = jwt.encode(_claims(**changes), key, "EdDSA", headers={"kid": key_id})
    with pytest.raises(Unauthenticated):
        Verifier(keys.jwks_file).verify(token)


def test_a_token_made_by_a_clock_that_is_a_little_ahead_is_good_at_once(keys: Keys) -> None:
    key_id = json.loads(Path(keys.jwks_file).read_text())["keys"][0]["kid"]
    claims = _claims(nbf=timedelta(seconds=9))
    token = jwt.encode(claims, keys.key_file.read_bytes(), "EdDSA", headers={"kid": key_id})
    clock = _LaterClock()
    verifier = Verifier(keys.jwks_file, clock)
    assert verifier.verify(token) == Principal("alice", Role.CUSTOMER)

    earlier = Verifier(keys.jwks_file, clock)
    clock.later = timedelta(minutes=-1)
    with pytest.raises(Unauthenticated):
        earlier.verify(token)


def test_a_token_of_another_key_is_refused_whatever_its_header_claims(keys: Keys) -> None:
    key_id = json.loads(Path(keys.jwks_file).read_text())["keys"][0]["kid"]
    forged = jwt.encode(_claims(), Ed25519PrivateKey.generate(), "EdDSA", headers={"kid": key_id})
    symmetric = jwt.encode(_claims(), "x" * 32, "HS256", headers={"kid": key_id})
    unsigned = jwt.encode(_claims(), "", "none", headers={"kid": key_id})
    for token in (forged, symmetric, unsigned, "", "a.b.c", "garbage"):
        with pytest.raises(Unauthenticated):
            Verifier(keys.jwks_file).verify(token)


def test_the_private_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    make_key(tmp_path / "key.pem", tmp_path / "jwks.json")
    assert (tmp_path / "key.pem").stat().st_mode & 0o077 == 0
    assert "d" not in json.loads((tmp_path / "jwks.json").read_text())["keys"][0]
    assert Signer(tmp_path / "key.pem").mint("alice", Role.CUSTOMER)
