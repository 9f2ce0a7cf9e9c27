"""Keys, tokens and passwords: made once, read by their owner, referred to and never contained."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from deploy import keys
from libs.auth import Role, Verifier
from libs.proof.checkpoint import read_public_key, read_signing_key
from services.cli.house_file import House
from tests.deploy.manifests import (
    K8S,
    OVERLAYS,
    compose,
    kustomize,
    needs_kubectl,
    of_kind,
    rendered,
    workloads,
)

# Made by the operator of PostgreSQL.
_OF_OTHERS = {("postgres-ca", "ca.crt")}


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder of secrets."""
    folder = tmp_path / "secrets"
    keys.make(folder)
    return folder


def _contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_a_token_is_good_for_the_service_it_is_made_for(made: Path) -> None:
    for caller in keys.CALLERS:
        verifier = Verifier(made / caller / "jwks.json")
        principal = verifier.verify((made / caller / "service.token").read_text())
        assert (principal.subject, principal.role) == (caller, Role.SERVICE)


def test_only_those_who_call_have_a_token(made: Path) -> None:
    assert {path.parent.name for path in made.rglob("service.token")} == set(keys.CALLERS)


def test_making_them_again_renews_the_tokens_and_keeps_the_rest(made: Path) -> None:
    before = _contents(made)
    keys.make(made, token_seconds=60)
    after = _contents(made)
    changed = {name for name in before if before[name] != after[name]}
    assert after.keys() == before.keys()
    assert changed == {f"{caller}/service.token" for caller in keys.CALLERS}


def test_a_start_broken_off_while_the_key_was_made_is_made_good(tmp_path: Path) -> None:
    folder = tmp_path / "cli"
    folder.mkdir()
    (folder / "signing.pem").write_text("half a k")
    (folder / "jwks.new").write_text("{")
    keys.make(tmp_path)
    token = (tmp_path / "order" / "service.token").read_text()
    assert Verifier(tmp_path / "order" / "jwks.json").verify(token).subject == "order"


def test_nobody_else_may_read_them(made: Path) -> None:
    for path in made.rglob("*"):
        wanted = 0o700 if path.is_dir() else 0o600
        assert path.stat().st_mode & 0o777 == wanted, path


def test_the_signing_key_is_where_no_service_looks(made: Path) -> None:
    holders = {str(p.relative_to(made)) for p in made.rglob("*") if "PRIVATE" in _text(p)}
    assert holders == {"cli/signing.pem", "ledger/seal.pem"}
    readers = [
        name for name, service in compose()["services"].items() if "cli" in str(service["volumes"])
    ]
    assert readers == ["cli"]


def _text(path: Path) -> str:
    return path.read_text() if path.is_file() else ""


def test_the_command_line_finds_the_doors_and_the_key(made: Path) -> None:
    house = msgspec.json.decode((made / "cli" / "house.json").read_bytes(), type=House)
    assert (house.public, house.operators) == ("edge:8080", "edge:8081")
    assert Path(house.signing_key_file).is_file()


def test_the_public_half_of_the_ledger_s_key_is_given_out(made: Path) -> None:
    public_key = read_public_key(str(made / "cli" / "ledger.pub"))
    assert public_key == read_signing_key(made / "ledger" / "seal.pem").public_key


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_manifests_refer_to_is_made(overlay: str, made: Path) -> None:
    secrets = _secrets(made)
    assert _references(rendered(overlay)) - _OF_OTHERS == {
        (name, key) for name, secret in secrets.items() for key in secret["data"]
    }
    for secret in secrets.values():
        assert secret["metadata"]["namespace"] == keys.NAMESPACE


@needs_kubectl
def test_a_reference_to_nothing_is_found(made: Path) -> None:
    manifests = rendered("prod")
    (cluster,) = of_kind(manifests, "Cluster")
    cluster["spec"]["managed"]["roles"][0]["passwordSecret"]["name"] = "no-such-secret"
    known = {(name, key) for name, secret in _secrets(made).items() for key in secret["data"]}
    assert ("no-such-secret", "password") in _references(manifests) - known


def _secrets(made: Path) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in yaml.safe_load_all(kustomize(made))}


def _references(manifests: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """(Secret, key) of everything that is read from one."""
    found = set()
    for workload in workloads(manifests):
        pod = workload["spec"]["template"]["spec"]
        for variable in pod["containers"][0]["env"]:
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                found.add((reference["name"], reference["key"]))
        files = {v for v in _variables(pod).values() if v.startswith("/secrets/")}
        for volume in pod["volumes"]:
            if volume["name"] == "secrets":
                found |= {(volume["secret"]["secretName"], Path(file).name) for file in files}
            elif "secret" in volume:
                items = volume["secret"]["items"]
                found |= {(volume["secret"]["secretName"], item["key"]) for item in items}
    (cluster,) = of_kind(manifests, "Cluster")
    for role in cluster["spec"]["managed"]["roles"]:
        found |= {(role["passwordSecret"]["name"], key) for key in ("username", "password")}
    return found


def _variables(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_manifest_brings_a_secret(overlay: str) -> None:
    assert of_kind(rendered(overlay), "Secret") == []


def test_no_file_contains_a_secret() -> None:
    for path in K8S.rglob("*"):
        assert not _betrays(_text(path)), path
    assert _betrays("  password: hunter2")
    assert _betrays("-----BEGIN PRIVATE KEY-----")


def _betrays(text: str) -> bool:
    """Whether a password or a key stands in it; a variable or a reference is none."""
    return "PRIVATE KEY" in text or bool(re.search(r"(?i)password\"?: *[^{$ \n\"]", text))


def test_every_file_of_the_kustomization_is_there(made: Path) -> None:
    text = (made / "kustomization.yaml").read_text()
    for secret in yaml.safe_load(text)["secretGenerator"]:
        for file in secret["files"]:
            assert (made / file.rpartition("=")[2]).is_file()
