"""Each control by its name, through the real door."""

import asyncio
from typing import Any, cast

import grpc
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from libs.rpc.status import metadata_of, reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import control_pb2 as pb
from stockbroker.order.v1 import order_pb2, order_service_pb2
from tests.order.client import Order, an_order
from tests.order.controlled import PLACED, SELL, a_limit, outcomes, reason_of_trade
from tests.support.wait import until


async def test_an_order_with_too_many_shares_is_rejected_and_explained(order: Order) -> None:
    setting = await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=99)

    trade = await order.place(quantity=100)

    assert reason_of_trade(trade) == "ORDER_QUANTITY_LIMIT"
    assert trade.reason_text == "100 shares are more than the 99 an order may have"
    explained = await order.explain("alice", trade.trade_id)
    assert not explained.is_accepted
    assert explained.settings_version == setting.version == 1
    assert outcomes(explained) == {"MAX_QUANTITY": "FAILED"}
    (check,) = [each for each in explained.checks if each.control == pb.CONTROL_MAX_QUANTITY]
    assert (check.observed, check.setting.limit, check.setting.version) == (100, 99, 1)
    assert reason_of_trade(await order.place(quantity=99)) == ""


async def test_a_rejected_trade_has_its_two_events_and_no_turn(order: Order) -> None:
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=99)
    bad = await order.place(quantity=100)
    good = await order.place(quantity=99)

    events = await order.events("alice", bad.trade_id)
    assert [(each.seq, each.kind, each.cause) for each in events] == [
        (1, order_pb2.TRADE_EVENT_KIND_PLACED, "customer"),
        (2, order_pb2.TRADE_EVENT_KIND_REJECTED, "house"),
    ]
    assert await order.get("alice", bad.trade_id) == bad
    (claimed,) = await order.claim_as_leader("alice")
    assert claimed.trade.trade_id == good.trade_id


async def test_a_repeated_call_gets_the_rejection_again_whatever_is_set_since(
    order: Order,
) -> None:
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=99)
    first = await order.place(client_order_id="mine")
    await order.set_control(pb.CONTROL_MAX_QUANTITY, limit=1000)

    assert await order.place(client_order_id="mine") == first
    assert reason_of_trade(first) == "ORDER_QUANTITY_LIMIT"
    before = await order.explain("alice", first.trade_id)
    assert before.settings_version == 1
    assert not before.is_accepted


async def place_together(order: Order, *asked: dict[str, Any]) -> list[str]:
    """Orders of alice in one batch; the reason of each that is recorded as rejected."""
    items = [order_service_pb2.PlaceTradesRequest.Item(trade=an_order(**terms)) for terms in asked]
    stream = order.trades.PlaceTrades(**order.as_customer("alice"))
    await stream.write(order_service_pb2.PlaceTradesRequest(items=items))
    answer = await stream.read()
    await stream.done_writing()
    reasons = [each.placed.reason for each in answer.results]
    return [Reason.Name(each).removeprefix("REASON_") if each else "" for each in reasons]


async def test_a_rejection_is_told_on_the_batch_door_too(order: Order) -> None:
    await order.set_control(pb.CONTROL_RESTRICTED_SYMBOL, symbol="MSFT")
    reasons = await place_together(order, {"symbol": "AAPL"}, {"symbol": "MSFT"})
    assert reasons == ["", "SYMBOL_RESTRICTED"]


async def test_orders_of_one_batch_are_held_against_each_other(order: Order) -> None:
    await order.set_control(pb.CONTROL_DUPLICATE_ORDER, seconds=3600)
    await order.set_control(pb.CONTROL_SELF_TRADE)
    sell, buy = a_limit(10, **SELL), a_limit(10)
    reasons = await place_together(order, sell, sell, buy, a_limit(9))
    assert reasons == ["", "DUPLICATE_ORDER", "SELF_TRADE", ""]


@pytest.mark.parametrize("control", [pb.CONTROL_CUSTOMER_RATE, pb.CONTROL_SYMBOL_RATE])
async def test_more_orders_than_the_rate_are_refused_with_the_time_to_wait(
    order: Order, control: pb.Control.ValueType
) -> None:
    await order.set_control(control, limit=3, seconds=3600)
    for number in range(3):
        await order.place(client_order_id=str(number))

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await order.place(client_order_id="one too many")

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert reason_of(caught.value) == "ORDER_RATE_LIMIT"
    assert metadata_of(caught.value)["control"] == pb.Control.Name(control)[len("CONTROL_") :]
    assert 0 < _retry_seconds(caught.value) <= 1200
    listed = await order.page("alice")
    assert [trade.client_order_id for trade in listed.trades] == ["2", "1", "0"]
    assert (await order.place(client_order_id="1")).trade_id == listed.trades[1].trade_id
    other = {"customer": "bob"} if control == pb.CONTROL_CUSTOMER_RATE else {"symbol": "MSFT"}
    assert (await order.place(**other)).status == PLACED


def _retry_seconds(error: grpc.aio.AioRpcError) -> float:
    status = rpc_status.from_call(cast(grpc.Call, error))
    info = error_details_pb2.RetryInfo()
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return float(info.retry_delay.ToTimedelta().total_seconds())


async def test_of_many_orders_at_once_as_many_as_the_rate_go_through(order: Order) -> None:
    await order.set_control(pb.CONTROL_CUSTOMER_RATE, limit=7, seconds=3600)
    results = await asyncio.gather(*(order.place() for _ in range(40)), return_exceptions=True)
    assert sum(isinstance(each, order_pb2.Trade) for each in results) == 7


async def test_a_transaction_that_is_lost_and_done_again_counts_but_once(
    order: Order, connection: psycopg.AsyncConnection
) -> None:
    await order.set_control(pb.CONTROL_CUSTOMER_RATE, limit=1, seconds=3600)
    stuck = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = 'trade'::regclass"
    async with connection.transaction():
        await connection.execute("LOCK TABLE trade IN SHARE MODE")
        placing = asyncio.create_task(order.place("alice"))

        async def writing() -> list[Any]:
            return await (await connection.execute(stuck)).fetchall()

        [(pid,)] = await until(writing)
        await connection.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

    assert (await placing).status == PLACED
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await order.place("alice")
    assert reason_of(caught.value) == "ORDER_RATE_LIMIT"
