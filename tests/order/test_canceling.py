"""What is asked to be canceled ends in one true way."""

import asyncio

import grpc

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_pb2 import TradeEventKind as Kind
from stockbroker.order.v1.order_pb2 import TradeStatus as Status
from tests.order.client import Order, filled, refused

CANCELED = Status.TRADE_STATUS_CANCELED


async def taken_up(order: Order, *customers: str) -> list[str]:
    """Ids of the trades a new leader takes up."""
    return [each.trade.trade_id for each in await order.claim_as_leader(*customers)]


async def cancel(order: Order, customer: str, trade_id: str) -> order_pb2.Trade:
    request = pb.CancelTradeRequest(trade_id=trade_id)
    response = await order.trades.CancelTrade(request, **order.as_customer(customer))
    trade: order_pb2.Trade = response.trade
    return trade


async def test_a_trade_that_waits_ends_at_once_and_the_next_one_has_its_turn(order: Order) -> None:
    first, second, third = [await order.place("alice") for _ in range(3)]
    await order.claim_as_leader("alice")

    ended = await cancel(order, "alice", second.trade_id)

    assert (ended.status, ended.reason) == (CANCELED, Reason.REASON_CANCELED_BY_CUSTOMER)
    events = await order.events("alice", second.trade_id)
    assert [event.kind for event in events] == [
        Kind.TRADE_EVENT_KIND_PLACED,
        Kind.TRADE_EVENT_KIND_CANCELED,
    ]
    assert events[-1].cause == "customer"
    await order.apply(filled(first.trade_id))
    assert await taken_up(order, "alice") == [third.trade_id]


async def test_the_head_of_the_queue_may_be_canceled_before_its_turn(order: Order) -> None:
    first, second = [await order.place("alice") for _ in range(2)]

    await cancel(order, "alice", first.trade_id)

    assert await taken_up(order, "alice") == [second.trade_id]


async def test_a_cancel_asked_again_changes_nothing_more(order: Order) -> None:
    trade = await order.place("alice")
    answers = await asyncio.gather(*(cancel(order, "alice", trade.trade_id) for _ in range(20)))

    assert all(answer == answers[0] for answer in answers)
    assert len(await order.events("alice", trade.trade_id)) == 2


async def test_what_has_ended_otherwise_cannot_be_canceled(order: Order) -> None:
    trade = await order.place("alice")
    await order.claim_as_leader("alice")
    await order.apply(filled(trade.trade_id))

    assert await refused(cancel(order, "alice", trade.trade_id)) == (
        "FAILED_PRECONDITION",
        "TOO_LATE_TO_CANCEL",
    )
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_FILLED


async def test_a_trade_whose_turn_has_come_goes_its_way(order: Order) -> None:
    trade = await order.place("alice")
    await order.claim_as_leader("alice")

    assert await refused(cancel(order, "alice", trade.trade_id)) == (
        "UNIMPLEMENTED",
        "NOT_IMPLEMENTED",
    )
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_IN_PROGRESS


async def test_nobody_cancels_another_customers_trade(order: Order) -> None:
    trade = await order.place("alice")
    for trade_id in (trade.trade_id, "00000000-0000-7000-8000-000000000000"):
        assert await refused(cancel(order, "bob", trade_id)) == ("NOT_FOUND", "TRADE_NOT_FOUND")
    assert (await order.get("alice", trade.trade_id)).status == Status.TRADE_STATUS_PLACED


async def test_an_operator_cancels_for_any_customer(order: Order) -> None:
    trade = await order.place("alice")
    request = pb.CancelTradeRequest(trade_id=trade.trade_id)

    response = await order.trades.CancelTrade(request, **order.as_operator())

    assert response.trade.reason == Reason.REASON_CANCELED_BY_OPERATOR
    assert (await order.events("alice", trade.trade_id))[-1].cause == "operator"


async def test_a_trade_is_either_canceled_or_taken_up_never_both(order: Order) -> None:
    customers = [f"customer-{number}" for number in range(60)]
    trades = {customer: await order.place(customer) for customer in customers}

    async def try_to_cancel(customer: str) -> bool:
        try:
            await cancel(order, customer, trades[customer].trade_id)
        except grpc.aio.AioRpcError:
            return False
        return True

    canceling = asyncio.gather(*map(try_to_cancel, customers))
    taken = await taken_up(order, *customers)
    canceled = {customer for customer, done in zip(customers, await canceling, strict=True) if done}

    for customer in customers:
        trade = await order.get(customer, trades[customer].trade_id)
        assert (customer in canceled, trade.trade_id in taken) == (
            trade.status == CANCELED,
            trade.status == Status.TRADE_STATUS_IN_PROGRESS,
        )
