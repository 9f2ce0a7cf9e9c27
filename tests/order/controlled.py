"""Words for claims about controls."""

from typing import Any

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1 import control_pb2 as pb
from stockbroker.order.v1 import order_pb2, order_service_pb2

DOLLAR = 1_000_000


REJECTED = order_pb2.TRADE_STATUS_REJECTED


PLACED = order_pb2.TRADE_STATUS_PLACED


SELL: dict[str, Any] = {"side": Side.SIDE_SELL}


def a_limit(dollars: int, **changes: Any) -> dict[str, Any]:
    """To rest on the book at that price."""
    terms = {
        "order_type": OrderType.ORDER_TYPE_LIMIT,
        "limit_price_micros": dollars * DOLLAR,
        "time_in_force": TimeInForce.TIME_IN_FORCE_GTC,
    }
    return {**terms, **changes}


def outcomes(explained: order_service_pb2.ExplainTradeResponse) -> dict[str, str]:
    """What each control said, those that said nothing left out."""
    told = {
        pb.Control.Name(each.control).removeprefix("CONTROL_"): pb.ControlOutcome.Name(
            each.outcome
        ).removeprefix("CONTROL_OUTCOME_")
        for each in explained.checks
    }
    return {control: word for control, word in told.items() if word != "NOT_LIMITED"}


def reason_of_trade(trade: order_pb2.Trade) -> str:
    """REJECTED trades alone have one here."""
    return Reason.Name(trade.reason).removeprefix("REASON_") if trade.status == REJECTED else ""
