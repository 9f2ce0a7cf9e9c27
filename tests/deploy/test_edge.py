"""The edge, told what compose and Kubernetes tell it, writes what Envoy takes."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    compose,
    container,
    environment,
    named,
    needs_kubectl,
    rendered,
)
from tests.support.keys import Keys


def _render(told: dict[str, str], keys: Keys) -> str:
    """The configuration as the container writes it, but with the keys of this test."""
    done = subprocess.run(
        [sys.executable, "-m", "services.edge.main", "render"],
        env={**os.environ, **told, "STOCKBROKER_JWKS_FILE": keys.jwks_file},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _is_taken(configuration: str, folder: Path) -> bool:
    path = folder / "envoy.yaml"
    path.write_text(configuration)
    envoy = Path(sysconfig.get_path("scripts")) / "envoy"
    command = [str(envoy), "--mode", "validate", "--log-level", "error", "--config-path", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_envoy_takes_what_compose_makes_of_it(keys: Keys, tmp_path: Path) -> None:
    text = _render(compose()["services"]["edge"]["environment"], keys)
    assert _is_taken(text, tmp_path)
    assert not _is_taken(text.replace("STRICT_DNS", "LENIENT_DNS"), tmp_path)


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_envoy_takes_what_kubernetes_makes_of_it(overlay: str, keys: Keys, tmp_path: Path) -> None:
    edge = named(rendered(overlay), "Deployment", "edge")
    assert _is_taken(_render(environment(edge), keys), tmp_path)


@needs_kubectl
def test_its_doors_are_where_ports_and_probes_say() -> None:
    edge = named(rendered("prod"), "Deployment", "edge")
    told, main = environment(edge), container(edge)
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    assert told["STOCKBROKER_LISTEN"] == f"0.0.0.0:{ports['customers']}"
    assert told["STOCKBROKER_OPERATORS_LISTEN"] == f"0.0.0.0:{ports['operators']}"
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert main[probe]["httpGet"]["path"] == "/healthz"
        assert main[probe]["httpGet"]["port"] == "operators", "customers' may speak TLS"


def test_its_health_is_asked_for_where_no_tls_is_spoken() -> None:
    edge = compose()["services"]["edge"]
    port = edge["environment"]["STOCKBROKER_OPERATORS_LISTEN"].rpartition(":")[2]
    assert f"http://127.0.0.1:{port}/healthz" in edge["healthcheck"]["test"][-1]


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_there_is_memory_for_the_connections_that_it_takes_and_a_stream_of_each(
    overlay: str,
) -> None:
    manifests = rendered(overlay)
    edge, order = (named(manifests, "Deployment", name) for name in ("edge", "order"))
    connections = int(environment(edge)["STOCKBROKER_CONNECTIONS"])
    assert _memory(edge) / connections > 50_000
    # Twice what a stream takes: whoever is left has those of the one that is lost besides.
    assert _memory(order) / connections > 64_000


def _memory(deployment: dict[str, Any]) -> int:
    limit = str(container(deployment)["resources"]["limits"]["memory"])
    assert limit.endswith("Gi")
    return int(limit.removesuffix("Gi")) * 2**30
