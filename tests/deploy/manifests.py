"""What the tests of the deployment read: manifests as data, and questions about them."""

import copy
import functools
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = ("dev", "prod")
GRPC_PORT = 50051

Manifest = dict[str, Any]

_VARIABLE = re.compile(r"\$\{(?P<name>[A-Z_]+):(?P<sign>[-+])(?P<words>[^}]*)\}")

# No package has it, so CI cannot install it: where it is missing, that is told among the skipped.
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")


def rendered(overlay: str) -> list[Manifest]:
    """What `kubectl apply --kustomize` would send; a fresh copy each time."""
    return copy.deepcopy(_parsed(overlay))


@functools.cache
def _parsed(overlay: str) -> list[Manifest]:
    return list(yaml.safe_load_all(kustomize(K8S / "overlays" / overlay)))


@functools.cache
def kustomize(folder: Path) -> str:
    """The rendered text of a folder."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(manifests: list[Manifest], *kinds: str) -> list[Manifest]:
    """The manifests of these kinds."""
    return [manifest for manifest in manifests if manifest["kind"] in kinds]


def named(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The one of this kind and name; KeyError if there is none."""
    for manifest in of_kind(manifests, kind):
        if manifest["metadata"]["name"] == name:
            return manifest
    raise KeyError(f"{kind}/{name}")


def workloads(manifests: list[Manifest]) -> list[Manifest]:
    """Everything that runs pods of ours."""
    return of_kind(manifests, "Deployment", "StatefulSet")


def container(workload: Manifest) -> dict[str, Any]:
    """The one container of a workload."""
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(found)


def pod_labels(workload: Manifest) -> dict[str, str]:
    """What selectors see of its pods."""
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def environment(workload: Manifest) -> dict[str, str]:
    """Its container's variables; others' keys as `secret:<name>/<key>`, `configMap:...`."""
    found: dict[str, str] = {}
    for variable in container(workload)["env"]:
        if "value" in variable:
            found[variable["name"]] = variable["value"]
        for kind in ("secret", "configMap"):
            if reference := variable.get("valueFrom", {}).get(f"{kind}KeyRef"):
                found[variable["name"]] = f"{kind}:{reference['name']}/{reference['key']}"
    return found


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector matches `labels`. An empty one matches all."""
    wanted = selector.get("matchLabels", {}).items()
    if not wanted <= labels.items():
        return False
    expressions = selector.get("matchExpressions", [])
    assert all(expression["operator"] == "In" for expression in expressions)
    return all(labels.get(each["key"]) in each["values"] for each in expressions)


def documents(folder: Path) -> Iterator[tuple[Path, Manifest]]:
    """Every YAML document below `folder`, with its file."""
    for path in sorted(folder.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path, document


def compose(told: Mapping[str, str] | None = None) -> dict[str, Any]:
    """docker-compose.yml with what .env says in it; a fresh copy each time."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return dict(_interpolated(found, told or {}))


def _interpolated(part: Any, told: Mapping[str, str]) -> Any:
    """`${NAME:-default}` and `${NAME:+instead}`, as far as they are used."""
    if isinstance(part, dict):
        return {key: _interpolated(value, told) for key, value in part.items()}
    if isinstance(part, list):
        return [_interpolated(value, told) for value in part]
    if not isinstance(part, str):
        return part

    def value(match: re.Match[str]) -> str:
        said = told.get(match["name"], "")
        return said or match["words"] if match["sign"] == "-" else said and match["words"]

    return _VARIABLE.sub(value, part)
