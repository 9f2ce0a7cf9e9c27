"""Cancels in: durable, in order, and an order is either sent before its cancel or never."""

import asyncio
from typing import Any

import pytest

from libs.partition import partition_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.replaces import a_replace, replace
from tests.exchange_gateway.venue_words import about, accept
from tests.support.wait import until

DONE, ACCEPTED = pb.ORDER_STATE_DONE, pb.ORDER_STATE_ACCEPTED


def a_cancel(order: pb.Order, **fields: Any) -> pb.Cancel:
    """Of this order."""
    cancel = pb.Cancel(
        trade_id=order.trade_id,
        customer_id=order.customer_id,
        partition=order.partition,
        epoch=order.epoch,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
    )
    cancel.MergeFrom(pb.Cancel(**fields))
    return cancel


async def cancel(gateway: Gateway, *cancels: pb.Cancel) -> list[pb.CancelResult]:
    response = await gateway.stub.CancelOrders(pb.CancelOrdersRequest(cancels=cancels), timeout=20)
    return list(response.results)


async def a_resting_order(scene: Scene, gateway: Gateway) -> pb.Order:
    """An order that the venue has taken and not filled."""
    scene.venue.answer = lambda order: [accept(order)]
    order = an_order()
    await gateway.submit(order)
    await until(lambda: scene.execution.told(order.trade_id))
    return order


async def test_an_order_at_the_venue_is_canceled_there(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)

    [result] = await cancel(gateway, a_cancel(order))

    assert (result.reason, result.state, result.never_sent) == (0, ACCEPTED, False)
    await until(lambda: len(scene.execution.told(order.trade_id)) == 2)
    ended = scene.execution.told(order.trade_id)[-1].ended
    assert ended.kind == execution_pb.Report.Ended.KIND_CANCELED
    assert ended.reason == Reason.REASON_CANCELED_BY_CUSTOMER
    [again] = await cancel(gateway, a_cancel(order))
    assert (again.state, again.never_sent) == (DONE, False)


async def test_a_cancel_that_comes_too_late_is_told(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.cancels_too_late = True

    await cancel(gateway, a_cancel(order))

    await until(lambda: len(scene.execution.told(order.trade_id)) == 2)
    told = scene.execution.told(order.trade_id)[-1]
    assert told.cancel_rejected.reason == Reason.REASON_TOO_LATE_TO_CANCEL
    [status] = await gateway.orders(order.trade_id)
    assert status.state == ACCEPTED, "a refused cancel changes nothing"


async def test_an_order_canceled_before_its_submit_is_never_sent(
    scene: Scene, gateway: Gateway
) -> None:
    order = an_order()

    [result, again] = await cancel(gateway, a_cancel(order), a_cancel(order))
    [submitted] = await gateway.submit(order)

    assert (result.reason, result.state, result.never_sent) == (0, DONE, True)
    assert again == result
    assert (submitted.reason, submitted.state) == (0, DONE)
    other = an_order()
    await gateway.submit(other)
    await until(lambda: scene.execution.is_filled(other.trade_id))
    assert scene.venue.sends == {other.trade_id: 1}
    [repeated] = await cancel(gateway, a_cancel(order, epoch=9))
    assert repeated.never_sent


async def test_submit_and_cancel_at_once_have_one_true_outcome(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [accept(order)]
    orders = [an_order() for _ in range(40)]

    _, results = await asyncio.gather(
        asyncio.gather(*(gateway.submit(order) for order in orders)),
        asyncio.gather(*(cancel(gateway, a_cancel(order)) for order in orders)),
    )

    withdrawn = {result.trade_id for [result] in results if result.never_sent}
    await until(gateway.has_delivered_all)
    sent = {order.trade_id for order in orders} - withdrawn
    await until(lambda: set(scene.venue.sends) == sent)
    await until(lambda: all(scene.execution.told(trade_id)[1:] for trade_id in sent))


@pytest.mark.parametrize(
    "other",
    [{"customer_id": "bob"}, {"symbol": "MSFT"}, {"side": terms.SIDE_SELL}, {"quantity": 99}],
)
async def test_a_cancel_of_another_order_than_is_known_is_refused(
    scene: Scene, gateway: Gateway, other: dict[str, Any]
) -> None:
    order = await a_resting_order(scene, gateway)
    [result] = await cancel(gateway, a_cancel(order, **other))
    assert result.reason == Reason.REASON_EXISTS_DIFFERENT
    assert scene.venue.cancels == []


@pytest.mark.parametrize(
    ("flaw", "reason"),
    [
        ({"trade_id": "x"}, Reason.REASON_INVALID_ID),
        ({"customer_id": "a b"}, Reason.REASON_INVALID_CUSTOMER),
        ({"partition": 128}, Reason.REASON_INVALID_REQUEST),
        ({"epoch": -1}, Reason.REASON_INVALID_REQUEST),
        ({"symbol": "aapl"}, Reason.REASON_INVALID_SYMBOL),
        ({"side": 7}, Reason.REASON_INVALID_SIDE),
        ({"quantity": -1}, Reason.REASON_INVALID_QUANTITY),
    ],
)
async def test_a_bad_cancel_is_refused_and_its_neighbours_pass(
    scene: Scene, gateway: Gateway, flaw: dict[str, Any], reason: int
) -> None:
    order = await a_resting_order(scene, gateway)
    bad, good = await cancel(gateway, a_cancel(an_order(), **flaw), a_cancel(order))
    assert (bad.reason, good.reason) == (reason, 0)


async def test_a_leader_of_before_cancels_nothing(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    await gateway.submit(an_order(epoch=5, partition=partition_of("alice")))

    [result] = await cancel(gateway, a_cancel(order, epoch=4))

    assert result.reason == Reason.REASON_STALE_EPOCH
    assert scene.venue.cancels == []


async def test_cancels_survive_the_gateway_and_the_venue_going_away(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        await until(gateway.is_connected)
        order = await a_resting_order(scene, gateway)
        never = an_order()
        await scene.venue.stop()
        await cancel(gateway, a_cancel(order), a_cancel(never))
    await scene.venue.start()
    async with scene.gateway() as gateway:
        await until(lambda: len(scene.execution.told(order.trade_id)) == 2)
        assert scene.venue.cancels == [order.trade_id]
        [submitted] = await gateway.submit(never)
        assert submitted.state == DONE
        assert never.trade_id not in scene.venue.orders


@pytest.mark.parametrize("kind", ["cancel_rejected", "replace_rejected"])
async def test_a_refusal_without_a_reason_has_the_reason_that_the_exchange_refused(
    scene: Scene, gateway: Gateway, kind: str
) -> None:
    order = await a_resting_order(scene, gateway)
    taken = scene.venue.orders[order.trade_id]
    scene.venue.forgets_replaces = 1
    await replace(gateway, a_replace(order))
    await until(lambda: scene.venue.replaces)
    exec_type = market.ExecutionReport.ExecType.Value(f"EXEC_TYPE_{kind.upper()}")

    scene.venue.say(about(taken, exec_type, command_seq=scene.venue.replaces[0][0]))

    await until(lambda: len(scene.execution.told(order.trade_id)) == 2)
    told = scene.execution.told(order.trade_id)[-1]
    assert getattr(told, kind).reason == Reason.REASON_EXCHANGE_REJECTED
