"""Who names whom: the house its services, an identity provider the people."""

from pathlib import Path

import jwt
import pytest

from libs.auth import ISSUER, Issuer, Principal, Role, Verifier
from libs.believed import PEOPLE, Believed
from libs.refusals import Unauthenticated
from libs.settings import InvalidSettings, load
from tests.support.keys import Keys
from tests.support.provider import ALGORITHMS, Provider


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


@pytest.fixture
def verifier(keys: Keys, provider: Provider) -> Verifier:
    return Believed(
        jwks_file=keys.jwks_file,
        identity_issuer=provider.issuer,
        identity_jwks_file=provider.jwks_file,
    ).verifier()


def _is_refused(verifier: Verifier, token: str) -> None:
    with pytest.raises(Unauthenticated):
        verifier.verify(token)


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize("role", PEOPLE)
def test_a_provider_names_people(
    verifier: Verifier, provider: Provider, role: Role, alg: str
) -> None:
    token = provider.token("alice", alg=alg, aud=role.value)
    assert verifier.verify(token) == Principal("alice", role)


@pytest.mark.parametrize("role", PEOPLE)
def test_then_the_house_names_nobody_but_services(
    verifier: Verifier, keys: Keys, role: Role
) -> None:
    assert verifier.verify(keys.service("order")) == Principal("order", Role.SERVICE)
    _is_refused(verifier, keys.signer.mint("alice", role))


def test_no_provider_names_a_service(verifier: Verifier, provider: Provider) -> None:
    _is_refused(verifier, provider.token("order", aud=Role.SERVICE.value))
    _is_refused(verifier, provider.token("order", aud=[Role.SERVICE.value, "stockbroker"]))
    _is_refused(verifier, provider.token("order", aud=Role.SERVICE.value, iss=ISSUER))


def test_a_token_bears_the_name_of_who_signed_it(verifier: Verifier, provider: Provider) -> None:
    _is_refused(verifier, provider.token(iss=ISSUER))
    _is_refused(verifier, provider.token(iss="https://elsewhere"))


def test_a_public_key_signs_nothing(verifier: Verifier, provider: Provider) -> None:
    """Taken for the secret of a symmetric signature it would let in whoever knows it."""
    claims = jwt.decode(provider.token(), options={"verify_signature": False})
    for secret in (provider.keys["RS256"].public_key().public_numbers().n.to_bytes(256), b"x" * 32):
        for kid in ALGORITHMS:
            _is_refused(verifier, jwt.encode(claims, secret, "HS256", headers={"kid": kid}))


def test_of_several_audiences_one_is_ours(verifier: Verifier, provider: Provider) -> None:
    token = provider.token(aud=["https://id.example/userinfo", "stockbroker"])
    assert verifier.verify(token) == Principal("alice", Role.CUSTOMER)
    _is_refused(verifier, provider.token(aud=["stockbroker", "stockbroker-ops"]))
    _is_refused(verifier, provider.token(aud=[]))


def test_without_a_provider_the_house_names_everybody(keys: Keys, provider: Provider) -> None:
    verifier = load(Believed, {"STOCKBROKER_JWKS_FILE": keys.jwks_file}).verifier()
    assert verifier.verify(keys.customer("alice")) == Principal("alice", Role.CUSTOMER)
    _is_refused(verifier, provider.token())


def test_once_a_key_has_left_the_file_its_tokens_are_refused(
    keys: Keys, provider: Provider, tmp_path: Path
) -> None:
    after = Provider(tmp_path, kid="-2")
    settings = Believed(
        jwks_file=keys.jwks_file,
        identity_issuer=provider.issuer,
        identity_jwks_file=after.jwks_file,
    )
    after.publish([*provider.public, *after.public])
    assert settings.verifier().verify(provider.token()).subject == "alice"
    after.publish(after.public)
    assert settings.verifier().verify(after.token()).subject == "alice"
    _is_refused(settings.verifier(), provider.token())


def test_keys_without_a_name_are_refused_at_the_start(provider: Provider) -> None:
    provider.publish([{**key, "kid": ""} for key in provider.public])
    with pytest.raises(InvalidSettings, match="has no key with a `kid`"):
        Issuer(provider.issuer, provider.jwks_file, roles=PEOPLE)
    nameless = [{name: key[name] for name in key if name != "kid"} for key in provider.public]
    provider.publish(nameless)
    with pytest.raises(InvalidSettings, match="has no key with a `kid`"):
        Issuer(provider.issuer, provider.jwks_file, roles=PEOPLE)


def test_a_claim_is_of_a_provider(keys: Keys) -> None:
    told = {"STOCKBROKER_JWKS_FILE": keys.jwks_file, "STOCKBROKER_IDENTITY_CLAIM": "customer"}
    with pytest.raises(InvalidSettings, match="IDENTITY_ISSUER is missing"):
        load(Believed, told)


@pytest.mark.parametrize("missing", ["IDENTITY_ISSUER", "IDENTITY_JWKS_FILE"])
def test_half_a_provider_is_refused_at_the_start(keys: Keys, missing: str) -> None:
    told = {"JWKS_FILE": keys.jwks_file, "IDENTITY_ISSUER": "a", "IDENTITY_JWKS_FILE": "b"}
    settings = {f"STOCKBROKER_{name}": value for name, value in told.items() if name != missing}
    with pytest.raises(InvalidSettings, match="both IDENTITY_ISSUER and IDENTITY_JWKS_FILE"):
        load(Believed, settings)
