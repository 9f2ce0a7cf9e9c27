"""The manifests are what Kubernetes takes; nothing here needs a cluster."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from tests.deploy.manifests import (
    K8S,
    OVERLAYS,
    ROOT,
    documents,
    named,
    needs_kubectl,
    of_kind,
    rendered,
)

_VERSIONS = ("1.34", "1.37")
# No schema is at hand for these; test_postgres_cluster.py and test_kustomizations.py look at them.
_OF_OTHERS = {"Cluster", "Database", "Kustomization"}


def check(manifest: dict[str, Any]) -> None:
    """Raises ValidationError where it does not fit the schema of its kind."""
    for version in _VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_rendered_manifest_fits_the_schema_of_its_kind(overlay: str) -> None:
    manifests = rendered(overlay)
    for manifest in manifests:
        if manifest["kind"] not in _OF_OTHERS:
            check(manifest)
    assert len(of_kind(manifests, "Deployment")) == 7


def test_every_file_fits_the_schemas_even_before_it_is_rendered() -> None:
    for path, document in documents(K8S):
        is_whole = path.parent.name == "base"
        if is_whole and document["kind"] not in _OF_OTHERS:
            check(document)


@needs_kubectl
def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    deployment = named(rendered("prod"), "Deployment", "order")
    deployment["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        check(deployment)


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_everything_lives_in_the_namespace(overlay: str) -> None:
    for manifest in rendered(overlay):
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "stockbroker"


def test_the_yaml_is_plain(tmp_path: Path) -> None:
    assert _lint(K8S, ROOT / "docker-compose.yml") == 0
    doubled = tmp_path / "doubled.yaml"
    doubled.write_text("a: 1\na: 2\n")
    assert _lint(doubled) == 1


def _lint(*paths: Path) -> int:
    settings = Path(__file__).with_name("yamllint.yaml")
    command = [sys.executable, "-m", "yamllint", "--strict", "--config-file", str(settings)]
    return subprocess.run([*command, *map(str, paths)], check=False).returncode
