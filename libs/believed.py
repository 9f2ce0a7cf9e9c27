"""Whose tokens a service believes, by its settings."""

from typing import Annotated

from msgspec import Meta, Struct

from libs.auth import CLAIM, ISSUER, Issuer, Role, Verifier
from libs.clock import Clock

PEOPLE = (Role.CUSTOMER, Role.BACK_END, Role.OPERATOR)
# By which identity providers sign.
_ALGORITHMS = ("EdDSA", "ES256", "RS256")


class Believed(Struct, frozen=True, kw_only=True):
    """What the settings of every service, and of the edge, begin with."""

    jwks_file: Annotated[str, Meta(description="Public keys that the house's tokens verify with.")]
    identity_issuer: Annotated[
        str,
        Meta(
            description="Your identity provider, as the `iss` of its tokens: nobody else names "
            "customers, back-ends and operators then; empty: the house does."
        ),
    ] = ""
    identity_jwks_file: Annotated[str, Meta(description="Public keys of that provider.")] = ""
    identity_claim: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_.:/-]+$",
            description="What names the caller in that provider's tokens: a claim of theirs.",
        ),
    ] = CLAIM

    def __post_init__(self) -> None:
        if bool(self.identity_issuer) != bool(self.identity_jwks_file):
            raise ValueError("a provider needs both IDENTITY_ISSUER and IDENTITY_JWKS_FILE")
        if self.identity_claim != CLAIM and not self.identity_issuer:
            raise ValueError("IDENTITY_CLAIM is of a provider: IDENTITY_ISSUER is missing")

    def verifier(self, clock: Clock | None = None) -> Verifier:
        """Raises OSError and InvalidSettings where a file holds no keys."""
        provider = None
        if self.identity_issuer:
            provider = Issuer(
                self.identity_issuer,
                self.identity_jwks_file,
                roles=PEOPLE,
                algorithms=_ALGORITHMS,
                claim=self.identity_claim,
            )
        return Verifier(self.jwks_file, clock, identity=provider)

    def people(self) -> tuple[str, str]:
        """Who names people, as its `iss`, and the file of its public keys."""
        if self.identity_issuer:
            return self.identity_issuer, self.identity_jwks_file
        return ISSUER, self.jwks_file
