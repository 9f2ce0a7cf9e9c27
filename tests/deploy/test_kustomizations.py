"""The kustomization files hold together, with or without kubectl at hand."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import K8S, documents

_KUSTOMIZATION = "kustomization.yaml"


def _files(kustomization: dict[str, Any]) -> list[str]:
    """What a kustomization names: files and folders, as paths relative to itself."""
    generated = [
        file for each in kustomization.get("configMapGenerator", []) for file in each["files"]
    ]
    patches = [patch["path"] for patch in kustomization.get("patches", [])]
    return [*kustomization.get("resources", []), *generated, *patches]


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def _missing(folder: Path) -> list[str]:
    """Files that are named and are not there."""
    return [
        f"{path.parent.name}/{name}"
        for path in sorted(folder.rglob(_KUSTOMIZATION))
        for name in _files(_read(path))
        if not (path.parent / name).exists()
    ]


def _forgotten(folder: Path) -> list[str]:
    """Files that are there and nobody names."""
    named = {
        (path.parent / name).resolve()
        for path in folder.rglob(_KUSTOMIZATION)
        for name in _files(_read(path))
    }
    files = {path.resolve() for path in folder.rglob("*") if path.is_file()}
    return sorted(path.name for path in files - named if path.name != _KUSTOMIZATION)


def _aimless(folder: Path) -> list[str]:
    """Patches that meet no resource of the base."""
    base = [document for path, document in documents(folder / "base") if path.parent.name == "base"]
    found = []
    for path in sorted(folder.rglob(_KUSTOMIZATION)):
        for patch in _read(path).get("patches", []):
            target = patch.get("target") or _identity(_read(path.parent / patch["path"]))
            if not any(_meets(target, resource) for resource in base):
                found.append(patch["path"])
    return found


def _identity(manifest: dict[str, Any]) -> dict[str, str]:
    return {"kind": manifest["kind"], "name": manifest["metadata"]["name"]}


def _meets(target: dict[str, str], resource: dict[str, Any]) -> bool:
    metadata = resource.get("metadata", {})
    name = metadata.get("name", "")
    label, _, value = target.get("labelSelector", "").partition("=")
    return (
        resource["kind"] == target["kind"]
        and re.fullmatch(target.get("name", ".*"), name) is not None
        and (not label or metadata.get("labels", {}).get(label) == value)
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the manifests, to be broken."""
    return Path(shutil.copytree(K8S, tmp_path / "k8s"))


def test_every_file_that_is_named_exists(copy: Path) -> None:
    assert _missing(K8S) == []
    (copy / "base" / "order.yaml").unlink()
    assert _missing(copy) == ["base/order.yaml"]


def test_every_file_that_exists_is_named(copy: Path) -> None:
    assert _forgotten(K8S) == []
    (copy / "base" / "stray.yaml").write_text("{}")
    assert _forgotten(copy) == ["stray.yaml"]


def test_every_patch_has_something_to_change(copy: Path) -> None:
    assert _aimless(K8S) == []
    patch = copy / "overlays" / "dev" / "one-nats.yaml"
    patch.write_text(patch.read_text().replace("name: nats", "name: gnats"))
    assert _aimless(copy) == ["one-nats.yaml"]


def test_every_overlay_counts_and_names_what_the_base_has() -> None:
    base = [document for _, document in documents(K8S / "base")]
    names = {(each["kind"], each.get("metadata", {}).get("name")) for each in base}
    for path in (K8S / "overlays").rglob(_KUSTOMIZATION):
        overlay = _read(path)
        assert {("Deployment", each["name"]) for each in overlay.get("replicas", [])} <= names
        assert [image["name"] for image in overlay["images"]] == ["stockbroker"]
