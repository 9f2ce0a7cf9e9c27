"""Whom the policies let talk, and whom the settings make talk, are the same."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
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

# Caller, answerer, port.
Call = tuple[str, str, int]
_POSTGRES = {"cnpg.io/cluster": "postgres"}
_URL = re.compile(r"^(?:[a-z]+://)?(?:[^@/]*@)?(?P<host>[a-z-]+)(?::(?P<port>[0-9]+))?(?:/|$)")
_DEFAULT_PORTS = {"postgres-rw": 5432}


def _pods(manifests: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """Labels of the pods there are, by the name of what runs them."""
    pods = {each["metadata"]["name"]: pod_labels(each) for each in workloads(manifests)}
    return pods | {"postgres": _POSTGRES}


def _wanted(manifests: list[dict[str, Any]]) -> set[Call]:
    """Calls that the settings ask for."""
    found = set()
    for workload in of_kind(manifests, "Deployment"):
        for name, value in environment(workload).items():
            if name.startswith("STOCKBROKER_") and name.endswith(("_ADDRESS", "_URL")):
                host, port = _address(value)
                answerer = _behind(manifests, host, port)
                found.add((workload["metadata"]["name"], answerer, port))
    return found


def _address(value: str) -> tuple[str, int]:
    match = _URL.match(value)
    assert match, value
    host = match["host"]
    return host, int(match["port"] or _DEFAULT_PORTS[host])


def _behind(manifests: list[dict[str, Any]], host: str, port: int) -> str:
    """Whose pods stand behind a Service. The operator makes the one of PostgreSQL."""
    if host == "postgres-rw":
        return "postgres"
    service = named(manifests, "Service", host)
    assert port in [each["port"] for each in service["spec"]["ports"]], (host, port)
    (found,) = (
        each["metadata"]["name"]
        for each in workloads(manifests)
        if service["spec"]["selector"].items() <= pod_labels(each).items()
    )
    return str(found)


def _allowed(manifests: list[dict[str, Any]]) -> set[Call]:
    """Calls that both sides' policies let through."""
    pods = _pods(manifests)
    out = set(_rules(manifests, pods, "egress", "to"))
    into = {(caller, pod, port) for pod, caller, port in _rules(manifests, pods, "ingress", "from")}
    return out & into


def _rules(
    manifests: list[dict[str, Any]], pods: dict[str, dict[str, str]], way: str, peers: str
) -> Iterator[Call]:
    """(pod the policy is about, the pod at the other end, port)."""
    for policy in of_kind(manifests, "NetworkPolicy"):
        for rule in policy["spec"].get(way, []):
            ours = [name for name in pods if selects(policy["spec"]["podSelector"], pods[name])]
            theirs = [
                name
                for peer in rule.get(peers, [])
                if "podSelector" in peer
                for name in pods
                if selects(peer["podSelector"], pods[name])
            ]
            ports = [port["port"] for port in rule["ports"]]
            yield from ((a, b, port) for a in ours for b in theirs for port in ports)


def _among_equals(calls: set[Call]) -> set[Call]:
    return {call for call in calls if call[0] == call[1]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_policies_let_through_what_the_settings_ask_for_and_no_more(overlay: str) -> None:
    manifests = rendered(overlay)
    allowed = _allowed(manifests)
    assert allowed - _among_equals(allowed) == _wanted(manifests)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_among_themselves_talk_only_nodes_of_one_cluster(overlay: str) -> None:
    assert _among_equals(_allowed(rendered(overlay))) == {
        ("nats", "nats", 6222),
        ("postgres", "postgres", 5432),
        ("postgres", "postgres", 8000),
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_no_policy_names_is_denied(overlay: str) -> None:
    policy = named(rendered(overlay), "NetworkPolicy", "default-deny")
    assert policy["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_the_customers_door_is_open_to_everybody(overlay: str) -> None:
    open_ports = {
        port["port"]
        for policy in of_kind(rendered(overlay), "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        if not rule.get("from")
        for port in rule["ports"]
    }
    assert open_ports == {8080}


def test_a_forgotten_policy_is_found() -> None:
    manifests = rendered("prod")
    manifests.remove(named(manifests, "NetworkPolicy", "ledger"))
    lost = _wanted(manifests) - _allowed(manifests)
    assert ("execution", "ledger", 50051) in lost
    assert ("ledger", "postgres", 5432) in lost


def test_a_policy_that_nobody_needs_is_found() -> None:
    manifests = rendered("prod")
    for workload in of_kind(manifests, "Deployment"):
        if workload["metadata"]["name"] == "exchange-gateway":
            variables = workload["spec"]["template"]["spec"]["containers"][0]["env"]
            variables[:] = [v for v in variables if v["name"] != "STOCKBROKER_EXECUTION_ADDRESS"]
    assert ("exchange-gateway", "execution", 50051) in _allowed(manifests) - _wanted(manifests)
