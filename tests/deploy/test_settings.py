"""Every service is deployed, and told what its settings want: by compose and by Kubernetes."""

import re
from typing import Any

import pytest

from libs.settings import InvalidSettings, load
from tests.deploy import services
from tests.deploy.manifests import (
    OVERLAYS,
    compose,
    container,
    environment,
    named,
    needs_kubectl,
    rendered,
)

_REFERENCE = re.compile(r"\$\(([A-Z_]+)\)")


def _in_compose(name: str) -> dict[str, Any]:
    found: dict[str, Any] = compose()["services"][services.dashed(name)]
    return found


def _in_kubernetes(overlay: str, name: str) -> dict[str, Any]:
    return named(rendered(overlay), "Deployment", services.dashed(name))


def _start(name: str) -> list[str]:
    return ["python", "-m", services.module(name)]


@pytest.mark.parametrize("name", services.NAMES)
def test_compose_starts_it_with_settings_it_has(name: str) -> None:
    deployed = _in_compose(name)
    assert deployed["command"] == _start(name)
    assert services.unknown(name, deployed["environment"]) == []
    load(services.settings(name), deployed["environment"])


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", services.NAMES)
def test_kubernetes_starts_it_with_settings_it_has(overlay: str, name: str) -> None:
    deployed = _in_kubernetes(overlay, name)
    assert container(deployed)["command"] == _start(name)
    assert services.unknown(name, environment(deployed)) == []
    load(services.settings(name), environment(deployed))


@needs_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_variable_that_names_another_comes_after_it(overlay: str) -> None:
    for name in services.NAMES:
        seen: set[str] = set()
        for variable in container(_in_kubernetes(overlay, name))["env"]:
            assert set(_REFERENCE.findall(variable.get("value", ""))) <= seen
            seen.add(variable["name"])


@needs_kubectl
def test_as_many_nodes_keep_the_nudges_as_there_are() -> None:
    for overlay, nodes in (("dev", "1"), ("prod", "3")):
        for name in ("execution", "order"):
            told = environment(_in_kubernetes(overlay, name))
            assert told["STOCKBROKER_NUDGE_REPLICAS"] == nodes
        nats = named(rendered(overlay), "StatefulSet", "nats")
        assert nats["spec"]["replicas"] == int(nodes)


def test_a_setting_that_is_missing_or_unknown_is_found() -> None:
    told = dict(_in_compose("execution")["environment"])
    told["STOCKBROKER_LEDGER_ADRESS"] = told.pop("STOCKBROKER_LEDGER_ADDRESS")
    assert services.unknown("execution", told) == ["STOCKBROKER_LEDGER_ADRESS"]
    with pytest.raises(InvalidSettings, match="STOCKBROKER_LEDGER_ADDRESS is missing"):
        load(services.settings("execution"), told)
