"""docker-compose.yml fits its schema, and its services reach those they call and nobody else."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.keys import SERVICES
from tests.deploy import services
from tests.deploy.manifests import GRPC_PORT, ROOT, compose

_OURS = {services.dashed(name) for name in services.NAMES}
_ONE_SHOT = {"keys", "databases"}


def _fits(path: Path) -> bool:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*command, str(path)], capture_output=True, check=False)
    return done.returncode == 0


def test_it_fits_the_compose_specification(tmp_path: Path) -> None:
    assert _fits(ROOT / "docker-compose.yml")
    broken = compose()
    broken["services"]["order"]["restrat"] = "always"
    copy = tmp_path / "docker-compose.yml"
    copy.write_text(yaml.safe_dump(broken))
    assert not _fits(copy)


def test_only_the_edge_is_reached_from_outside_and_from_this_machine_alone() -> None:
    house = compose()
    published = {name: each["ports"] for name, each in house["services"].items() if "ports" in each}
    assert published == {"edge": ["127.0.0.1:8080:8080", "127.0.0.1:8081:8081"]}
    outside = [name for name, network in house["networks"].items() if not network.get("internal")]
    assert outside == ["outside"]
    members = [name for name, each in house["services"].items() if "outside" in _networks(each)]
    assert members == ["edge"]


def test_everybody_says_where_it_is() -> None:
    for name, service in compose()["services"].items():
        assert _networks(service) or service["network_mode"] == "none", name


def _networks(service: dict[str, Any]) -> set[str]:
    return set(service.get("networks", []))


def _calls(house: dict[str, Any]) -> list[tuple[str, str, int]]:
    """(who, whom, port) as the settings have it."""
    found = []
    for name in _OURS:
        for variable, value in house["services"][name]["environment"].items():
            if variable.endswith("_ADDRESS"):
                host, _, port = value.rpartition(":")
                found.append((name, host, int(port)))
            elif variable.endswith("_DATABASE_URL"):
                found.append((name, value.split("@")[1].split("/")[0], 5432))
            elif variable.endswith("_NATS_URL"):
                host, _, port = value.removeprefix("nats://").partition(":")
                found.append((name, host, int(port)))
    return found


def _strangers(house: dict[str, Any]) -> list[str]:
    """Calls that cannot be made."""
    ports = {"postgres": 5432, "nats": 4222} | dict.fromkeys(_OURS, GRPC_PORT)
    return [
        f"{caller} cannot reach {host}:{port}"
        for caller, host, port in _calls(house)
        if host not in house["services"]
        or ports[host] != port
        or not _networks(house["services"][caller]) & _networks(house["services"][host])
    ]


def test_everybody_reaches_whom_its_settings_name() -> None:
    assert _strangers(compose()) == []
    house = compose()
    house["services"]["ledger"]["networks"] = ["house"]
    assert _strangers(house) == ["ledger cannot reach postgres:5432"]


def test_nobody_is_in_a_network_without_need() -> None:
    house = compose()
    callers = {(host, caller) for caller, host, _ in _calls(house)}
    for part in ("nats", "postgres"):
        members = {name for name, each in house["services"].items() if part in _networks(each)}
        assert members - {part, "databases"} == {who for host, who in callers if host == part}


@pytest.mark.parametrize("name", [name for name in services.NAMES if name != "edge"])
def test_each_service_listens_where_its_health_is_asked(name: str) -> None:
    service = compose()["services"][services.dashed(name)]
    assert service["environment"]["STOCKBROKER_LISTEN"] == f"0.0.0.0:{GRPC_PORT}"
    start = ["CMD", "python", "-m", "libs.probe", f"127.0.0.1:{GRPC_PORT}"]
    assert service["healthcheck"]["test"][:-1] == start


def _careless(house: dict[str, Any]) -> list[str]:
    """What is amiss with how containers run."""
    found = []
    for name, service in house["services"].items():
        is_long = name not in _ONE_SHOT | {"cli"}
        checks = {
            "comes back": not is_long or service.get("restart") == "unless-stopped",
            "tells its health": not is_long or "healthcheck" in service,
            "runs once": is_long or service.get("restart") == "no",
            "writes no log without end": service.get("logging") == {"driver": "local"},
            # PostgreSQL's image begins as root and gives its rights up itself.
            "is read-only": name == "postgres" or service.get("read_only") is True,
            "has no rights": name == "postgres" or service.get("cap_drop") == ["ALL"],
            "waits for the keys": name in {"keys", "nats", "cli"} or _waits_for_keys(house, name),
        }
        found += [f"{name}: {claim}" for claim, holds in checks.items() if not holds]
    return found


def _waits_for_keys(house: dict[str, Any], name: str) -> bool:
    """Whether it starts after the keys, itself or through those it waits for."""
    waits = house["services"][name].get("depends_on", {})
    if waits.get("keys") == {"condition": "service_completed_successfully"}:
        return True
    return any(_waits_for_keys(house, other) for other in waits if other != "keys")


def test_containers_are_careful() -> None:
    assert _careless(compose()) == []
    house = compose()
    del house["services"]["order"]["restart"], house["services"]["edge"]["depends_on"]["keys"]
    del house["services"]["nats"]["healthcheck"], house["services"]["postgres"]["logging"]
    assert set(_careless(house)) == {
        "order: comes back",
        "nats: tells its health",
        "postgres: writes no log without end",
    }


def test_the_doors_open_and_an_operator_gets_in_whatever_is_not_well() -> None:
    house = compose()["services"]
    assert "depends_on" not in house["cli"], "its start would wait, and end where one is unhealthy"
    waits = house["edge"]["depends_on"]
    assert waits.pop("keys") == {"condition": "service_completed_successfully"}
    assert waits == {name: {"condition": "service_started"} for name in _OURS - {"edge"}}


def test_each_reads_its_own_secrets_alone() -> None:
    house = compose()
    folders = {
        name: [
            volume["volume"]["subpath"]
            for volume in service.get("volumes", [])
            if isinstance(volume, dict) and volume["source"] == "secrets" and volume["read_only"]
        ]
        for name, service in house["services"].items()
    }
    assert folders.pop("keys") == folders.pop("nats") == []
    assert folders.pop("postgres") == folders.pop("databases") == ["databases"]
    assert folders.pop("cli") == ["cli"]
    assert folders == {services.dashed(name): [name] for name in services.NAMES}


def test_the_ledger_alone_writes_there_and_only_where_it_keeps_its_checkpoint() -> None:
    written = {
        name: (volume["volume"]["subpath"], Path(volume["target"]))
        for name, service in compose()["services"].items()
        for volume in service.get("volumes", [])
        if isinstance(volume, dict) and volume["source"] == "secrets" and not volume["read_only"]
    }
    ledger = compose()["services"]["ledger"]["environment"]
    place = Path(ledger["STOCKBROKER_CHECKPOINT_FILE"]).parent
    assert written == {"ledger": ("kept", place)}


def test_a_database_is_made_for_each_service_that_has_one() -> None:
    command = compose()["services"]["databases"]["command"]
    assert command[:3] == ["sh", "/databases.sh", "/secrets"]
    assert command[3:] == list(SERVICES) == services.WITH_DATABASE
    for name in services.WITH_DATABASE:
        url = compose()["services"][services.dashed(name)]["environment"][
            "STOCKBROKER_DATABASE_URL"
        ]
        assert url == f"postgresql://{name}@postgres/{name}?passfile=/secrets/pgpass"


def test_postgres_keeps_its_data_where_its_image_does() -> None:
    assert "postgres:/var/lib/postgresql" in compose()["services"]["postgres"]["volumes"]
