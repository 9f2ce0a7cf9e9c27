"""The rules and the contract speak the same words."""

from enum import IntEnum
from typing import Any

import pytest

from services.order import outcomes_wire as wire
from services.order.domain.event import TradeEventKind
from services.order.domain.journal import fault_of
from services.order.domain.news import Rejected
from services.order.domain.terms import OrderType, Side, TimeInForce
from services.order.domain.trade import TradeStatus
from services.order.domain.verdicts import Code
from stockbroker.common.v1 import terms_pb2
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from tests.order.client import filled, rejected

TRADE_ID = "019aa000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("ours", "theirs", "prefix"),
    [
        (Side, terms_pb2.Side, "SIDE_"),
        (OrderType, terms_pb2.OrderType, "ORDER_TYPE_"),
        (TimeInForce, terms_pb2.TimeInForce, "TIME_IN_FORCE_"),
        (TradeStatus, order_pb2.TradeStatus, "TRADE_STATUS_"),
        (TradeEventKind, order_pb2.TradeEventKind, "TRADE_EVENT_KIND_"),
        (Code, execution_pb.OutcomeResult.Code, "CODE_"),
    ],
)
def test_enums_are_those_of_the_contract(ours: type[IntEnum], theirs: Any, prefix: str) -> None:
    named = {value.name: value.number for value in theirs.DESCRIPTOR.values if value.number}
    assert {f"{prefix}{each.name}": each.value for each in ours} == named


def test_words_of_the_exchange_are_kept_as_far_as_they_can_be() -> None:
    message = rejected(TRADE_ID)
    message.rejected.reason_text = "a\0b" + "x" * 5_000
    outcome = wire.told_from(message).outcome
    assert isinstance(outcome, Rejected)
    assert outcome.reason_text.startswith("a\N{REPLACEMENT CHARACTER}bx")
    assert len(outcome.reason_text) == 1_000


def test_a_time_out_of_range_makes_a_fill_unreadable() -> None:
    message = filled(TRADE_ID)
    message.execution.executed_at.seconds = 2**62
    assert fault_of(wire.told_from(message))


def test_a_rejection_names_who_rejected() -> None:
    assert fault_of(wire.told_from(rejected(TRADE_ID, cause="somebody")))
    assert not fault_of(wire.told_from(rejected(TRADE_ID, cause="exchange")))


def test_a_reason_this_version_does_not_know_is_no_reason() -> None:
    message = rejected(TRADE_ID, 9_999)  # type: ignore[arg-type]
    assert fault_of(wire.told_from(message))
