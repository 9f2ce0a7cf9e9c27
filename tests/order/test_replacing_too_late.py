"""What becomes of a replace when something else comes first."""

import pytest

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import (
    Order,
    cancel_rejected,
    canceled,
    filled,
    refused,
)
from tests.order.replaced import (
    PENDING,
    a_limit,
    codes,
    kinds,
    replace,
    replace_rejected,
    replaced,
    resting,
    taken_up,
)


async def cancel(order: Order, trade_id: str) -> order_pb2.Trade:
    request = pb.CancelTradeRequest(trade_id=trade_id)
    response = await order.trades.CancelTrade(request, **order.as_customer("alice"))
    return response.trade  # type: ignore[no-any-return]


async def test_what_has_ended_cannot_be_replaced(order: Order) -> None:
    trade = await resting(order)
    await order.apply(filled(trade.trade_id))
    assert await refused(replace(order, trade.trade_id, quantity=120)) == (
        "FAILED_PRECONDITION",
        "TOO_LATE_TO_REPLACE",
    )


@pytest.mark.parametrize("cause", ["house", "exchange"])
async def test_a_refused_replace_leaves_the_trade_as_it_was(order: Order, cause: str) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=120)
    refusal = replace_rejected(asked, Reason.REASON_INSUFFICIENT_FUNDS, cause)

    assert await codes(order, refusal, refusal) == ["APPLIED", "REPEATED"]

    event = (await order.events("alice", trade.trade_id))[-1]
    assert (event.refusal, event.cause) == (Reason.REASON_INSUFFICIENT_FUNDS, cause)
    assert (event.trade.status, event.trade.quantity) == (
        Status.TRADE_STATUS_PARTIALLY_FILLED,
        100,
    )
    assert (await replace(order, trade.trade_id, quantity=120)).status == PENDING, "anew"


async def test_an_end_that_was_faster_answers_the_replace(order: Order) -> None:
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=120)

    assert await codes(order, filled(trade.trade_id), replace_rejected(asked)) == [
        "APPLIED",
        "REPEATED",
    ]

    assert (await kinds(order, trade.trade_id))[-2:] == ["EXECUTED", "REPLACE_REJECTED"]
    now = await order.get("alice", trade.trade_id)
    assert now.status == Status.TRADE_STATUS_FILLED
    assert not now.HasField("pending_replace")
    assert await codes(order, replaced(asked)) == ["IMPOSSIBLE"]
    listing = execution_pb.ListOpenCustomersRequest()
    found = await order.execution.ListOpenCustomers(listing, **order.as_service())
    assert not found.replacing


@pytest.mark.parametrize("quantity", [30, 20])
async def test_replaced_down_to_what_is_filled_it_ends_filled(order: Order, quantity: int) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=quantity)
    ended = canceled(trade.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER)

    assert await codes(order, replaced(asked), ended) == ["APPLIED", "REPEATED"]

    now = await order.get("alice", trade.trade_id)
    assert (now.status, now.quantity, now.filled_quantity, now.reason) == (
        Status.TRADE_STATUS_FILLED,
        30,
        30,
        0,
    )


async def test_what_was_told_of_a_replace_is_told_again_in_the_same_words(order: Order) -> None:
    """Also when more was filled, before the exchange answered, than it asks for."""
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=20)
    await order.apply(filled(trade.trade_id, 30))
    before = await order.events("alice", trade.trade_id)
    await order.apply(replaced(asked))

    after = await order.events("alice", trade.trade_id)
    assert after[:-1] == before
    assert [event.replace.quantity for event in after if event.HasField("replace")] == [20, 30]


async def test_a_cancel_goes_before_a_replace(order: Order) -> None:
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=120)

    now = await cancel(order, trade.trade_id)

    assert now.status == Status.TRADE_STATUS_PENDING_CANCEL
    assert now.pending_replace == asked.pending_replace
    found = await taken_up(order, "alice")
    assert (len(found.cancels), len(found.replaces)) == (1, 0)
    assert await refused(replace(order, trade.trade_id, quantity=130)) == (
        "FAILED_PRECONDITION",
        "CANCEL_PENDING",
    )
    await order.apply(canceled(trade.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER))
    assert (await kinds(order, trade.trade_id))[-2:] == ["CANCELED", "REPLACE_REJECTED"]
    found = await taken_up(order, "alice")
    assert (len(found.cancels), len(found.replaces)) == (0, 0)


async def test_a_replace_goes_on_when_the_cancel_over_it_is_refused(order: Order) -> None:
    trade = await resting(order)
    asked = await replace(order, trade.trade_id, quantity=120)
    await cancel(order, trade.trade_id)

    await order.apply(cancel_rejected(trade.trade_id))

    assert (await order.get("alice", trade.trade_id)).status == PENDING
    assert len((await taken_up(order, "alice")).replaces) == 1
    await order.apply(replaced(asked))
    assert (await order.get("alice", trade.trade_id)).quantity == 120


async def test_a_replace_under_a_cancel_is_answered_and_the_cancel_stays(order: Order) -> None:
    trade = await resting(order, shares_filled=30)
    asked = await replace(order, trade.trade_id, quantity=120)
    await cancel(order, trade.trade_id)

    await order.apply(replaced(asked))

    now = await order.get("alice", trade.trade_id)
    assert (now.status, now.quantity) == (Status.TRADE_STATUS_PENDING_CANCEL, 120)
    assert len((await taken_up(order, "alice")).cancels) == 1


async def test_all_of_a_customers_trades_are_canceled_or_those_in_a_symbol(order: Order) -> None:
    rests = await resting(order)
    mine = [await a_limit(order, symbol=symbol) for symbol in ("AAPL", "MSFT", "AAPL")]
    other = await a_limit(order, "bob")

    async def cancel_all(symbol: str = "") -> tuple[int, int]:
        request = pb.CancelAllTradesRequest(symbol=symbol)
        answer = await order.trades.CancelAllTrades(request, **order.as_customer("alice"))
        return answer.canceled, answer.pending

    assert await cancel_all("MSFT") == (1, 0)
    assert await cancel_all() == (2, 1)
    assert await cancel_all() == (0, 1), "what is on its way is told again"
    statuses = {(await order.get("alice", each.trade_id)).status for each in mine}
    assert statuses == {Status.TRADE_STATUS_CANCELED}
    assert (await order.get("alice", rests.trade_id)).status == Status.TRADE_STATUS_PENDING_CANCEL
    assert (await order.get("bob", other.trade_id)).status == Status.TRADE_STATUS_PLACED
    await order.apply(canceled(rests.trade_id, reason=Reason.REASON_CANCELED_BY_CUSTOMER))
    assert await cancel_all() == (0, 0)
    invalid = order.trades.CancelAllTrades(
        pb.CancelAllTradesRequest(symbol="!"), **order.as_customer("alice")
    )
    assert (await refused(invalid))[1] == "INVALID_SYMBOL"
