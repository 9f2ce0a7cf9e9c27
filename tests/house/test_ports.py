"""Every part has a port that there is."""

import pytest

from libs.settings import InvalidSettings, load
from services.house.ports import Ports, process_names
from services.house.settings import MOST_PROCESSES, Settings


def test_the_inner_ports_end_before_the_last_there_is() -> None:
    highest = load(Settings, {"STOCKBROKER_INNER_PORT": "65504"})
    assert Ports(highest, {}).of(process_names("order", MOST_PROCESSES)[-1]) <= 65535
    with pytest.raises(InvalidSettings, match="STOCKBROKER_INNER_PORT"):
        load(Settings, {"STOCKBROKER_INNER_PORT": "65505"})
