"""Words for claims about replaces."""

from typing import Any

from libs.partition import partition_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import (
    Order,
    Outcome,
    accepted,
    filled,
)

CENT = 10_000


PENDING = Status.TRADE_STATUS_PENDING_REPLACE


TOO_LATE = Reason.REASON_TOO_LATE_TO_REPLACE


async def a_limit(order: Order, customer: str = "alice", **changes: Any) -> order_pb2.Trade:
    """A bid for 100 at $10."""
    return await order.place(
        customer,
        **{
            "order_type": terms.ORDER_TYPE_LIMIT,
            "limit_price_micros": 1_000 * CENT,
            "time_in_force": terms.TIME_IN_FORCE_GTC,
            **changes,
        },
    )


async def taken_up(order: Order, *customers: str) -> execution_pb.ClaimTradesResponse:
    """What a new leader of the customers takes up."""
    epochs = await order.lead(sorted({partition_of(each) for each in customers}))
    return await order.claim(epochs, *customers)


async def resting(order: Order, *, shares_filled: int = 0) -> order_pb2.Trade:
    """A bid that the exchange has."""
    trade = await a_limit(order)
    await taken_up(order, "alice")
    await order.apply(accepted(trade.trade_id))
    if shares_filled:
        await order.apply(filled(trade.trade_id, shares_filled, 900 * CENT))
    return trade


async def replace(
    order: Order, trade_id: str, name: str = "", *, customer: str = "alice", **asked: Any
) -> order_pb2.Trade:
    """Ask for other terms."""
    request = pb.ReplaceTradeRequest(trade_id=trade_id, client_order_id=name, **asked)
    response = await order.trades.ReplaceTrade(request, **order.as_customer(customer))
    return response.trade  # type: ignore[no-any-return]


def replaced(trade: order_pb2.Trade) -> Outcome:
    """The exchange has done what is asked for."""
    words = Outcome.Replaced(replace_id=trade.pending_replace.replace_id)
    return Outcome(trade_id=trade.trade_id, replaced=words)


def replace_rejected(
    trade: order_pb2.Trade, reason: Reason.ValueType = TOO_LATE, cause: str = "exchange"
) -> Outcome:
    """It has not."""
    replace_id = trade.pending_replace.replace_id
    words = Outcome.ReplaceRejected(replace_id=replace_id, reason=reason, cause=cause)
    return Outcome(trade_id=trade.trade_id, replace_rejected=words)


async def codes(order: Order, *outcomes: Outcome) -> list[str]:
    answer = await order.apply(*outcomes)
    return [Code.Name(each.code).removeprefix("CODE_") for each in answer.results]


Code = execution_pb.OutcomeResult.Code


async def kinds(order: Order, trade_id: str) -> list[str]:
    events = await order.events("alice", trade_id)
    return [Kind.Name(event.kind).removeprefix("TRADE_EVENT_KIND_") for event in events]
