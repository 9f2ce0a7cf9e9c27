"""Every part has a port that there is."""

import pytest

from libs.embedded import CannotRun
from libs.settings import InvalidSettings, load
from services.house.ports import Ports, process_names
from services.house.settings import MOST_PROCESSES, Settings


def test_the_inner_ports_end_before_the_last_there_is() -> None:
    highest = load(Settings, {"STOCKBROKER_INNER_PORT": "65504"})
    assert Ports(highest, {}).of(process_names("order", MOST_PROCESSES)[-1]) <= 65535
    with pytest.raises(InvalidSettings, match="STOCKBROKER_INNER_PORT"):
        load(Settings, {"STOCKBROKER_INNER_PORT": "65505"})


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("PUBLIC_PORT", "port 7412 is wanted by order and by public; STOCKBROKER_PUBLIC_PORT ch"),
        ("OPERATORS_PORT", "is wanted by order and by operators; STOCKBROKER_OPERATORS_PORT ch"),
    ],
)
def test_a_port_that_two_parts_want_is_refused(setting: str, told: str) -> None:
    settings = load(Settings, {f"STOCKBROKER_{setting}": "7412"})
    with pytest.raises(CannotRun, match=told):
        Ports(settings, {}).check()
