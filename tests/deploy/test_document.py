"""docs/DEPLOY.md names what is there."""

import importlib.util
import re

import pytest

from libs.auth import ISSUER, Role
from tests.deploy.manifests import K8S, OVERLAYS, ROOT, compose, needs_kubectl, of_kind, rendered

_TEXT = (ROOT / "docs" / "DEPLOY.md").read_text()
_COMMANDS = [line.strip() for line in _TEXT.splitlines() if line.startswith("    ")]

_RUN = re.compile(
    r"docker compose run --rm (?:-T |--no-deps |--entrypoint \S+ |--volume \S+ )*(\S+)"
)


def test_its_commands_use_files_and_modules_that_exist() -> None:
    words = [word for command in _COMMANDS for word in command.split()]
    paths = [word for word in words if word.startswith(("k8s/", "deploy/")) or word.endswith(".py")]
    modules = re.findall(r"-m (\S+)", "\n".join(_COMMANDS))
    assert paths
    assert modules
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert [name for name in modules if importlib.util.find_spec(name) is None] == []


def test_its_containers_and_doors_are_those_of_the_file() -> None:
    house = compose()["services"]
    for command in _COMMANDS:
        if match := _RUN.search(command):
            assert match[1] in house
    for port in house["edge"]["ports"]:
        assert f"`{port.rpartition(':')[0]}`" in _TEXT


def test_keys_are_made_where_nobody_wipes_or_publishes_them() -> None:
    (folder,) = re.findall(r"-m deploy\.keys (\S+)", "\n".join(_COMMANDS))
    assert not folder.startswith(".stockbroker")  # what `make clean` wipes
    assert f"/{folder}/" in (ROOT / ".gitignore").read_text().split()


def test_what_it_asks_of_an_identity_provider_is_what_tokens_are_checked_by() -> None:
    audiences = [role.value for role in Role if role is not Role.SERVICE]
    assert [words for words in (ISSUER, *audiences) if f"`{words}`" not in _TEXT] == []


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_its_labels_and_services_are_those_of_the_manifests(overlay: str) -> None:
    manifests = rendered(overlay)
    services = {each["metadata"]["name"] for each in of_kind(manifests, "Service")}
    assert set(re.findall(r"service/(\S+)", _TEXT)) <= services
    policies = str(of_kind(manifests, "NetworkPolicy"))
    for label, value in re.findall(r"`(stockbroker/\w+)=(\w+)`", _TEXT):
        assert f"'{label}': '{value}'" in policies
    for overlay_named in re.findall(r"k8s/overlays/(\w+)", _TEXT):
        assert (K8S / "overlays" / overlay_named).is_dir()


def test_its_alarms_go_by_metrics_that_there_are() -> None:
    table = _TEXT.partition("## What to watch")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z_]+)`", table, re.MULTILINE)
    assert len(named) > 10
    code = "".join(
        path.read_text() for part in ("libs", "services") for path in (ROOT / part).rglob("*.py")
    )
    assert [name for name in named if f'"{name.removesuffix("_total")}"' not in code] == []
