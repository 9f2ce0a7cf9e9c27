"""The Cluster of CloudNativePG. Its schema is not at hand: what matters is spelled out here."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy import services
from tests.deploy.manifests import OVERLAYS, environment, named, needs_kubectl, of_kind, rendered

pytestmark = needs_kubectl

# Fields that we use, out of its reference.
_FIELDS = {
    "affinity",
    "bootstrap",
    "imageCatalogRef",
    "instances",
    "managed",
    "postgresql",
    "resources",
    "storage",
    "walStorage",
}
_SYNCHRONOUS = {"method": "any", "number": 1, "dataDurability": "required", "failoverQuorum": True}


def _cluster(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    (cluster,) = of_kind(manifests, "Cluster")
    assert cluster["apiVersion"] == "postgresql.cnpg.io/v1"
    assert cluster["metadata"]["name"] == "postgres"
    spec: dict[str, Any] = cluster["spec"]
    return spec


def _faults(manifests: list[dict[str, Any]]) -> list[str]:
    """What is amiss."""
    spec = _cluster(manifests)
    instances, synchronous = spec["instances"], spec["postgresql"].get("synchronous")
    databases = {
        (each["spec"]["name"], each["spec"]["owner"], each["spec"]["cluster"]["name"])
        for each in of_kind(manifests, "Database")
        if each["spec"]["databaseReclaimPolicy"] == "retain"
    }
    roles = {role["name"] for role in spec["managed"]["roles"] if role["login"] is True}
    names = set(services.WITH_DATABASE)
    checks = {
        "known fields": spec.keys() == _FIELDS,
        "three that agree, or one alone": (instances == 3 and synchronous == _SYNCHRONOUS)
        or (instances == 1 and synchronous is None),
        "PostgreSQL 18": spec["imageCatalogRef"]["major"] == 18,
        "a role for each service": roles == names,
        "a database for each service, kept": databases == {(n, n, "postgres") for n in names},
        "own databases over TLS only": spec["postgresql"]["pg_hba"]
        == ["hostssl sameuser all all scram-sha-256", "host all all all reject"],
        "parameters as text": all(
            isinstance(value, str) for value in spec["postgresql"]["parameters"].values()
        ),
        "instances on nodes of their own": spec["affinity"]["podAntiAffinityType"] == "required",
        "a log that its disk has room for": _log_gigabytes(spec["postgresql"]["parameters"])
        <= 0.9 * _gigabytes(spec["walStorage"]["size"]),
        "memory that is there": spec["resources"]["requests"]["memory"]
        == spec["resources"]["limits"]["memory"],
    }
    return [claim for claim, holds in checks.items() if not holds]


def _log_gigabytes(parameters: dict[str, str]) -> int:
    """That the log may grow to: between checkpoints, and for an instance that does not read it."""
    names = ("max_wal_size", "max_slot_wal_keep_size")
    return sum(_gigabytes(parameters.get(name, "99999GB")) for name in names)


def _gigabytes(size: str) -> int:
    """Of 2**30 bytes each, as PostgreSQL and Kubernetes write them."""
    return int(size.removesuffix("GB").removesuffix("Gi"))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_cluster_is_as_it_must_be(overlay: str) -> None:
    assert _faults(rendered(overlay)) == []


def test_production_loses_no_commit_with_an_instance() -> None:
    assert _cluster(rendered("prod"))["postgresql"]["synchronous"] == _SYNCHRONOUS


@pytest.mark.parametrize(
    ("breaks", "fault"),
    [
        (lambda spec: spec.update(instances=1), "three that agree, or one alone"),
        (lambda spec: spec["postgresql"].pop("synchronous"), "three that agree, or one alone"),
        (lambda spec: spec["managed"]["roles"].pop(), "a role for each service"),
        (lambda spec: spec["postgresql"]["pg_hba"].pop(), "own databases over TLS only"),
        (lambda spec: spec.update(instance=3), "known fields"),
        (
            lambda spec: spec["postgresql"]["parameters"].pop("max_slot_wal_keep_size"),
            "a log that its disk has room for",
        ),
        (
            lambda spec: spec["postgresql"]["parameters"].update(max_connections=200),
            "parameters as text",
        ),
    ],
)
def test_a_lapse_is_found(breaks: Callable[[dict[str, Any]], object], fault: str) -> None:
    manifests = rendered("prod")
    breaks(_cluster(manifests))
    assert _faults(manifests) == [fault]


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("name", services.WITH_DATABASE)
def test_each_service_enters_its_own_database_and_checks_whom_it_meets(
    overlay: str, name: str
) -> None:
    told = environment(named(rendered(overlay), "Deployment", services.dashed(name)))
    assert told["STOCKBROKER_DATABASE_URL"] == f"postgresql://{name}@postgres-rw/{name}"
    assert told["PGPASSWORD"] == f"secret:{services.dashed(name)}-database/password"
    assert told["PGSSLMODE"] == "verify-full"
