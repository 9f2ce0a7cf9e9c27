"""Pods run with nothing they do not need, and leave without being missed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    container,
    environment,
    named,
    needs_kubectl,
    of_kind,
    pod_labels,
    rendered,
    selects,
    workloads,
)

pytestmark = needs_kubectl

# One process at a time: a session at the venue, the writer of the books, the venue's books.
SINGLE = {"exchange-gateway", "exchange-simulator", "ledger", "reconciliation"}


def _faults(manifests: list[dict[str, Any]]) -> list[str]:
    """What is amiss, as sentences that begin with the workload's name."""
    found = []
    for workload in workloads(manifests):
        name = workload["metadata"]["name"]
        checks = {
            **_of_pod(workload["spec"]["template"]["spec"]),
            **_of_container(container(workload)),
            **_of_spread(workload),
            **_of_neighbours(workload, manifests),
        }
        found += [f"{name}: {claim}" for claim, holds in checks.items() if not holds]
    return found


def _of_pod(pod: dict[str, Any]) -> dict[str, bool]:
    security = pod["securityContext"]
    return {
        "no token of the API server": pod.get("automountServiceAccountToken") is False,
        "an account of its own": pod.get("serviceAccountName") is not None,
        "not root": security.get("runAsNonRoot") is True and security.get("runAsUser") == 10001,
        "default seccomp": security.get("seccompProfile") == {"type": "RuntimeDefault"},
        "no variables of other services": pod.get("enableServiceLinks") is False,
        "longer to leave than its pre-stop": pod.get("terminationGracePeriodSeconds", 0) >= 30,
    }


def _of_container(main: dict[str, Any]) -> dict[str, bool]:
    security = main["securityContext"]
    resources = main["resources"]
    return {
        "no way to more rights": security.get("allowPrivilegeEscalation") is False,
        "read-only root": security.get("readOnlyRootFilesystem") is True,
        "no capabilities": security.get("capabilities") == {"drop": ["ALL"]},
        "requests": set(resources["requests"]) == {"cpu", "memory"},
        "a limit of memory and none of CPU": set(resources["limits"]) == {"memory"},
        "a pause before it stops": "preStop" in main.get("lifecycle", {}),
        "all probes": {"startupProbe", "readinessProbe", "livenessProbe"} <= main.keys(),
        "a pinned image": not main["image"].endswith(":latest") and ":" in main["image"],
    }


def _of_spread(workload: dict[str, Any]) -> dict[str, bool]:
    spec, name = workload["spec"], workload["metadata"]["name"]
    constraints = spec["template"]["spec"].get("topologySpreadConstraints", [])
    return {
        "one at a time": name not in SINGLE
        or (spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}),
        "spread over nodes": name in SINGLE
        or any(selects(each["labelSelector"], pod_labels(workload)) for each in constraints),
        "never fewer than asked for in a rollout": name in SINGLE
        or workload["kind"] == "StatefulSet"
        or spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0,
    }


def _of_neighbours(workload: dict[str, Any], manifests: list[dict[str, Any]]) -> dict[str, bool]:
    labels = pod_labels(workload)
    budgets = [
        budget["spec"]
        for budget in of_kind(manifests, "PodDisruptionBudget")
        if selects(budget["spec"]["selector"], labels)
    ]
    services = [
        service
        for service in of_kind(manifests, "Service")
        if service["spec"]["selector"].items() <= labels.items()
    ]
    ports = {port["name"] for port in container(workload)["ports"]}
    accounts = {
        account["metadata"]["name"]: account
        for account in of_kind(manifests, "ServiceAccount")
        if account["automountServiceAccountToken"] is False
    }
    return {
        "one disruption budget": [
            (each["maxUnavailable"], each["unhealthyPodEvictionPolicy"]) for each in budgets
        ]
        == [(1, "AlwaysAllow")],
        "a service": services != [],
        "ports that its services name": all(
            port["targetPort"] in ports for service in services for port in service["spec"]["ports"]
        ),
        "an account that exists": workload["spec"]["template"]["spec"]["serviceAccountName"]
        in accounts,
        "one address that stays, or the addresses of all": all(
            (service["spec"].get("clusterIP") == "None") != (workload["metadata"]["name"] in SINGLE)
            for service in services
            if service["spec"]["ports"][0]["name"] == "grpc"
        ),
        "gRPC told as such": all(
            port.get("appProtocol") == "kubernetes.io/h2c"
            for service in services
            for port in service["spec"]["ports"]
            if port["name"] in ("grpc", "customers", "operators")
        ),
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_is_strict(overlay: str) -> None:
    assert _faults(rendered(overlay)) == []


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_liveness_asks_for_the_process_alone_and_readiness_for_the_service(overlay: str) -> None:
    for workload in of_kind(rendered(overlay), "Deployment"):
        main = container(workload)
        if workload["metadata"]["name"] == "edge":
            continue
        assert main["livenessProbe"]["grpc"]["service"] == "liveness"
        assert main["startupProbe"]["grpc"]["service"] == "liveness"
        readiness = main["readinessProbe"]
        assert readiness["grpc"]["service"].startswith("stockbroker.")
        seconds = readiness["periodSeconds"] * readiness["failureThreshold"]
        assert seconds >= 60, "names are not to go while PostgreSQL changes over"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_is_written_lasts_where_the_ledger_keeps_its_checkpoint_and_nowhere_else(
    overlay: str,
) -> None:
    manifests = rendered(overlay)
    lasting = {
        (deployment["metadata"]["name"], path, volume["persistentVolumeClaim"]["claimName"])
        for deployment in of_kind(manifests, "Deployment")
        for path, volume in _written(deployment).items()
        if path != "/tmp"
    }
    told = environment(named(manifests, "Deployment", "ledger"))["STOCKBROKER_CHECKPOINT_FILE"]
    assert lasting == {("ledger", str(Path(told).parent), "ledger-kept")}
    claim = named(manifests, "PersistentVolumeClaim", "ledger-kept")["spec"]
    assert claim["accessModes"] == ["ReadWriteOnce"], "one ledger, one file"


def _written(deployment: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path and volume of what its container may write to."""
    volumes = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["volumes"]}
    return {
        each["mountPath"]: volumes[each["name"]]
        for each in container(deployment)["volumeMounts"]
        if not each.get("readOnly")
    }


def _pod(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    pod: dict[str, Any] = named(manifests, "Deployment", "ledger")["spec"]["template"]["spec"]
    return pod


def _main(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    main: dict[str, Any] = _pod(manifests)["containers"][0]
    return main


def _service(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    service: dict[str, Any] = named(manifests, "Service", "ledger")["spec"]
    return service


def _budget(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    budget: dict[str, Any] = named(manifests, "PodDisruptionBudget", "ledger")["spec"]
    return budget


@pytest.mark.parametrize(
    ("breaks", "fault"),
    [
        (lambda m: _pod(m).pop("automountServiceAccountToken"), "no token of the API server"),
        (lambda m: _pod(m)["securityContext"].pop("runAsNonRoot"), "not root"),
        (lambda m: _main(m)["securityContext"].pop("capabilities"), "no capabilities"),
        (lambda m: _main(m)["resources"]["limits"].update(cpu="1"), "a limit of memory"),
        (lambda m: _main(m).pop("readinessProbe"), "all probes"),
        (lambda m: _main(m).update(image="stockbroker:latest"), "a pinned image"),
        (lambda m: _main(m)["ports"].pop(0), "ports that its services name"),
        (lambda m: named(m, "Deployment", "ledger")["spec"].update(replicas=2), "one at a time"),
        (lambda m: _service(m).update(clusterIP="None"), "one address that stays"),
        (lambda m: _budget(m).update(maxUnavailable=0), "one disruption budget"),
    ],
)
def test_a_lapse_is_found(breaks: Callable[[list[dict[str, Any]]], object], fault: str) -> None:
    manifests = rendered("prod")
    breaks(manifests)
    (found,) = _faults(manifests)
    assert found.startswith(f"ledger: {fault}")
