"""Who runs the house names an identity provider by values alone, and every service believes it."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from libs.believed import Believed
from libs.settings import InvalidSettings, load
from tests.deploy import services
from tests.deploy.manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    compose,
    container,
    environment,
    kustomize,
    named,
    needs_kubectl,
    of_kind,
)
from tests.deploy.test_manifests import check
from tests.support.provider import Provider

_TEXT = (ROOT / "docs" / "DEPLOY.md").read_text()
_ISSUER = "https://login.example.com/"
_IN_ENV = dict(re.findall(r"^ +(STOCKBROKER_IDENTITY_\w+)=(\S+)$", _TEXT, re.MULTILINE))


@pytest.mark.parametrize("name", services.NAMES)
def test_with_compose_it_is_named_in_env(name: str) -> None:
    house = compose(_IN_ENV)
    service = house["services"][services.dashed(name)]
    believed = _believed(name, service["environment"])
    assert believed.people() == (_ISSUER, "/identity.jwks")
    assert service["configs"] == ["identity.jwks"]  # at /, under its name
    assert house["configs"]["identity.jwks"] == {"file": "./login.jwks"}


@pytest.mark.parametrize("name", services.NAMES)
def test_with_compose_a_claim_is_named_beside_it(name: str) -> None:
    (claim,) = re.findall(r"`STOCKBROKER_IDENTITY_CLAIM=(\S+)`", _TEXT)
    for told, named_by in ({"STOCKBROKER_IDENTITY_CLAIM": claim}, claim), ({}, "sub"):
        service = compose(_IN_ENV | told)["services"][services.dashed(name)]
        assert _believed(name, service["environment"]).identity_claim == named_by


@pytest.mark.parametrize("name", services.NAMES)
@pytest.mark.parametrize("half", _IN_ENV)
def test_half_a_provider_in_env_starts_nothing(name: str, half: str) -> None:
    service = compose({half: _IN_ENV[half]})["services"][services.dashed(name)]
    with pytest.raises(InvalidSettings, match="both IDENTITY_ISSUER and IDENTITY_JWKS_FILE"):
        _believed(name, service["environment"])


def _believed(name: str, told: dict[str, str]) -> Believed:
    settings = load(services.settings(name), told)
    assert isinstance(settings, Believed)
    return settings


@pytest.fixture(params=OVERLAYS)
def manifests(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, Any]]:
    """The overlay of docs/DEPLOY.md, over each of ours."""
    folder = Path(shutil.copytree(K8S, tmp_path / "k8s")) / "overlays" / "mine"
    folder.mkdir()
    shutil.copy(Provider(tmp_path).jwks_file, folder / "jwks.json")
    (block,) = (
        part for part in re.findall(r"(?:^    .*\n)+", _TEXT, re.MULTILINE) if ": Ku" in part
    )
    (folder / "kustomization.yaml").write_text(
        re.sub(r"^    ", "", block, flags=re.MULTILINE).replace("../prod", f"../{request.param}")
    )
    return list(yaml.safe_load_all(kustomize(folder)))


@needs_kubectl
def test_on_kubernetes_it_is_named_by_an_overlay(manifests: list[dict[str, Any]]) -> None:
    (provider,) = (each for each in of_kind(manifests, "ConfigMap") if "jwks.json" in each["data"])
    told_by = provider["metadata"]["name"]
    assert re.fullmatch("identity-[a-z0-9]+", told_by), "other keys are another name: pods restart"
    assert provider["data"]["issuer"] == _ISSUER
    for name in services.NAMES:
        deployment = named(manifests, "Deployment", services.dashed(name))
        check(deployment)
        told = environment(deployment)
        assert told["STOCKBROKER_IDENTITY_ISSUER"] == f"configMap:{told_by}/issuer"
        assert _believed(name, told).identity_jwks_file == "/identity/jwks.json"
        assert told["STOCKBROKER_IDENTITY_CLAIM"] == f"configMap:{told_by}/claim"
        mounts = {each["name"]: each for each in container(deployment)["volumeMounts"]}
        assert mounts["identity"]["mountPath"] == "/identity"
        volumes = deployment["spec"]["template"]["spec"]["volumes"]
        assert {"name": "identity", "configMap": {"name": told_by}} in volumes
