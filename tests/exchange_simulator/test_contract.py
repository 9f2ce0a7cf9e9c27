"""What the exchange says of itself is so: numbers as in the contract, settings as in the README."""

import re
import typing
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.exchange_simulator import domain
from services.exchange_simulator.main import Settings
from services.exchange_simulator.market import TapeKind
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1 import exchange_pb2 as pb

README = Path(__file__).parents[2] / "services" / "exchange_simulator" / "README.md"


@pytest.mark.parametrize(
    ("ours", "contract", "prefix"),
    [
        (domain.Side, pb.Side, "SIDE_"),
        (domain.OrderType, pb.OrderType, "ORDER_TYPE_"),
        (domain.TimeInForce, pb.TimeInForce, "TIME_IN_FORCE_"),
        (domain.RejectReason, pb.RejectReason, "REJECT_REASON_"),
        (domain.ExecType, pb.ExecutionReport.ExecType, "EXEC_TYPE_"),
        (TapeKind, control_pb.TapeCommand.Kind, "KIND_"),
    ],
)
def test_the_numbers_are_those_of_the_contract(
    ours: type[IntEnum], contract: Any, prefix: str
) -> None:
    theirs = {name.removeprefix(prefix): number for name, number in contract.items() if number}

    assert {member.name: member.value for member in ours if member.value} == theirs


def test_the_readme_says_what_each_setting_means() -> None:
    rows = re.findall(r"^\| `STOCKBROKER_(\w+)` \| .* \| (.*) \|$", README.read_text(), re.M)
    hints = typing.get_type_hints(Settings, include_extras=True)

    described = {
        field.name.upper(): hints[field.name].__metadata__[0].description
        for field in msgspec.structs.fields(Settings)
    }

    assert dict(rows) == described
