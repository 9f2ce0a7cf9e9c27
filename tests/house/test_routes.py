"""Other ways between the parts, for drills of faults."""

import json
from pathlib import Path

import pytest

from libs.embedded import CannotRun, free_port
from services.house.folder import DataFolder
from services.house.parts import Program
from services.house.routes import Routes, read_routes
from services.house.settings import Settings
from services.house.wiring import House


@pytest.fixture
def routes(tmp_path: Path) -> Path:
    """A file of routes that sends execution to order and to PostgreSQL by ways of their own."""
    told = {
        "ports": {"order": free_port(), "postgres": free_port()},
        "ways": {"execution": {"order": "127.0.0.1:1", "postgres": "127.0.0.1:2"}},
    }
    path = tmp_path / "routes.json"
    path.write_text(json.dumps(told))
    return path


def _environment(house: House, process: str) -> dict[str, str]:
    """What a process is told."""
    parts = [part for stage in house.stages() for part in stage if part.name == process]
    assert isinstance(parts[0], Program)
    return dict(parts[0].environment)


def test_a_process_is_told_its_own_ways_and_the_others_the_straight_ones(
    tmp_path: Path, routes: Path
) -> None:
    settings = Settings(inner_port=0, public_port=0, operators_port=0, routes=str(routes))
    folder = DataFolder(tmp_path / "data")
    with folder.locked():
        folder.make_keys()
        house = House(settings, folder)
        ports = json.loads(routes.read_text())["ports"]
        execution, edge = _environment(house, "execution"), _environment(house, "edge")
        assert execution["STOCKBROKER_ORDER_ADDRESS"] == "127.0.0.1:1"
        assert "@127.0.0.1:2/execution" in execution["STOCKBROKER_DATABASE_URL"]
        assert execution["STOCKBROKER_LEDGER_ADDRESS"] == house.ports.address("ledger")
        assert edge["STOCKBROKER_ORDER_ADDRESS"] == f"127.0.0.1:{ports['order']}"
        order = _environment(house, "order")
        assert order["STOCKBROKER_LISTEN"] == f"127.0.0.1:{ports['order']}"
        assert f"@127.0.0.1:{ports['postgres']}/order" in order["STOCKBROKER_DATABASE_URL"]


def test_without_a_file_all_ways_are_straight() -> None:
    assert read_routes("") == Routes()
    assert Routes().way("execution", "order", "127.0.0.1:1") == "127.0.0.1:1"


@pytest.mark.parametrize("text", ["{", '{"ports": {"order": "x"}}', '{"roads": {}}'])
def test_a_file_that_is_no_file_of_routes_is_refused_in_a_sentence(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "routes.json"
    path.write_text(text)
    with pytest.raises(CannotRun, match="are not what they must be"):
        read_routes(str(path))
    with pytest.raises(CannotRun, match="cannot be read"):
        read_routes(str(tmp_path / "nowhere.json"))
