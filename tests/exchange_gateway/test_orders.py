"""Orders in: once, durable, in order."""

import asyncio
from typing import Any

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.support.keys import Keys, bearer
from tests.support.wait import until


async def test_an_order_is_sent_once_and_its_reports_are_delivered(
    scene: Scene, gateway: Gateway
) -> None:
    order = an_order()

    [result] = await gateway.submit(order)

    assert (result.trade_id, result.reason, result.state) == (
        order.trade_id,
        Reason.REASON_UNSPECIFIED,
        pb.ORDER_STATE_PENDING,
    )
    await until(lambda: scene.execution.is_filled(order.trade_id))
    accepted, filled = scene.execution.told(order.trade_id)
    assert accepted.accepted.exchange_order_id == f"X-{order.trade_id}"
    assert (filled.filled.quantity, filled.filled.price_micros) == (100, 100_000_000)
    assert (filled.customer_id, filled.symbol, filled.venue) == ("alice", "AAPL", "XTEST")
    assert filled.side == terms.SIDE_BUY
    assert filled.filled.executed_at.ToNanoseconds() == 1_700_000_000_000_000_002
    assert scene.venue.sends == {order.trade_id: 1}
    assert scene.venue.orders[order.trade_id].max_notional_micros == 50_000_000_000


async def test_a_submit_may_be_repeated_and_nothing_is_sent_again(
    scene: Scene, gateway: Gateway
) -> None:
    order = an_order()

    answers = await asyncio.gather(*(gateway.submit(order, order) for _ in range(16)))

    await until(lambda: scene.execution.is_filled(order.trade_id))
    assert {result.reason for answer in answers for result in answer} == {0}
    [again] = await gateway.submit(an_order(trade_id=order.trade_id, epoch=7))
    assert again.state == pb.ORDER_STATE_DONE
    assert scene.venue.sends == {order.trade_id: 1}


async def test_a_brief_answer_tells_of_all_orders_at_once_or_else_of_each(gateway: Gateway) -> None:
    order = an_order()
    other = an_order(trade_id=order.trade_id, quantity=7)

    taken = await gateway.stub.SubmitOrders(
        pb.SubmitOrdersRequest(orders=[order], is_brief=True), timeout=20
    )
    refused = await gateway.stub.SubmitOrders(
        pb.SubmitOrdersRequest(orders=[order, other], is_brief=True), timeout=20
    )

    assert (taken.all_taken, len(taken.results)) == (True, 0)
    assert not refused.all_taken
    reasons = [result.reason for result in refused.results]
    assert reasons == [Reason.REASON_UNSPECIFIED, Reason.REASON_EXISTS_DIFFERENT]


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 101},
        {"side": terms.SIDE_SELL},
        {"symbol": "MSFT"},
        {"max_notional_micros": 1},
        {"customer_id": "bob"},
        {"order_type": terms.ORDER_TYPE_LIMIT},
        {"limit_price_micros": 5},
        {"time_in_force": terms.TIME_IN_FORCE_IOC},
    ],
)
async def test_a_known_trade_id_with_other_terms_is_refused(
    scene: Scene, gateway: Gateway, other: dict[str, object]
) -> None:
    order = an_order()
    await gateway.submit(order)

    changed, neighbour = await gateway.submit(
        an_order(trade_id=order.trade_id, **other), fresh := an_order()
    )

    assert changed.reason == Reason.REASON_EXISTS_DIFFERENT
    assert neighbour.reason == Reason.REASON_UNSPECIFIED
    await until(lambda: scene.execution.is_filled(fresh.trade_id))
    assert scene.venue.sends == {order.trade_id: 1, fresh.trade_id: 1}


async def test_an_older_epoch_than_seen_before_is_refused_and_nothing_stored(
    scene: Scene, gateway: Gateway
) -> None:
    await gateway.submit(an_order(epoch=5))

    stale, current, newer = await gateway.submit(
        late := an_order(epoch=4), an_order(epoch=5), an_order(epoch=5)
    )
    [other_partition] = await gateway.submit(an_order(customer_id="bob", partition=1, epoch=1))

    assert stale.reason == Reason.REASON_STALE_EPOCH
    assert not current.reason
    assert not newer.reason
    assert not other_partition.reason
    assert scene.rows(f"SELECT 1 FROM venue_order WHERE trade_id = '{late.trade_id}'") == []
    assert scene.rows("SELECT partition, epoch FROM partition_epoch ORDER BY 1") == [
        (1, 1),
        (103, 5),
    ]


async def test_the_highest_epoch_outlives_the_process(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        await gateway.submit(an_order(epoch=5))

    async with scene.gateway() as gateway:
        [stale] = await gateway.submit(an_order(epoch=4))

    assert stale.reason == Reason.REASON_STALE_EPOCH


async def test_a_thousand_orders_in_one_call_reach_the_venue_in_their_order(
    scene: Scene, gateway: Gateway
) -> None:
    orders = [an_order(customer_id=f"c{n}", partition=n % 128) for n in range(1000)]

    results = await gateway.submit(*orders)

    assert [result.trade_id for result in results] == [order.trade_id for order in orders]
    await until(lambda: all(scene.execution.is_filled(o.trade_id) for o in orders), seconds=20)
    assert list(scene.venue.orders) == [order.trade_id for order in orders]
    assert set(scene.venue.sends.values()) == {1}
    assert [r.report_seq for r in scene.execution.reports] == list(range(1, 2001))
    assert scene.execution.most_at_once == 1


async def test_callers_at_once_get_each_their_own_results(scene: Scene, gateway: Gateway) -> None:
    batches = [[an_order(customer_id=f"c{n}") for n in range(5)] for _ in range(40)]

    answers = await asyncio.gather(*(gateway.submit(*batch) for batch in batches))

    for batch, answer in zip(batches, answers, strict=True):
        assert [r.trade_id for r in answer] == [o.trade_id for o in batch]
    await until(lambda: len(scene.venue.orders) == 200)
    seqs = scene.rows("SELECT seq FROM venue_command ORDER BY seq")
    assert seqs == [(n,) for n in range(1, 201)]


async def test_an_order_at_the_market_may_cost_all_the_cash_that_somebody_can_have(
    scene: Scene, gateway: Gateway
) -> None:
    order = an_order(max_notional_micros=2**63 - 1)

    [result] = await gateway.submit(order)

    assert result.reason == Reason.REASON_UNSPECIFIED
    await until(lambda: scene.execution.is_filled(order.trade_id))
    assert scene.venue.orders[order.trade_id].max_notional_micros == 2**63 - 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"trade_id": "no-uuid"}, Reason.REASON_INVALID_ID),
        ({"customer_id": "a b"}, Reason.REASON_INVALID_CUSTOMER),
        ({"partition": 128}, Reason.REASON_INVALID_REQUEST),
        ({"symbol": "aapl"}, Reason.REASON_INVALID_SYMBOL),
        ({"quantity": -1}, Reason.REASON_INVALID_QUANTITY),
        ({"limit_price_micros": -1}, Reason.REASON_INVALID_PRICE),
    ],
)
async def test_an_order_that_breaks_a_rule_fails_alone(
    scene: Scene, gateway: Gateway, fault: dict[str, object], reason: int
) -> None:
    broken, sound = await gateway.submit(an_order(**fault), order := an_order())

    assert broken.reason == reason
    assert sound.reason == Reason.REASON_UNSPECIFIED
    await until(lambda: scene.execution.is_filled(order.trade_id))


async def test_orders_are_taken_while_the_venue_is_away_and_sent_when_it_is_back(
    scene: Scene,
) -> None:
    await scene.venue.stop()
    order = an_order()
    async with scene.gateway() as gateway:
        [result] = await gateway.submit(order)
        assert result.state == pb.ORDER_STATE_PENDING
        session = await gateway.session()
        assert (session.is_connected, session.pending_orders) == (False, 1)

        await scene.venue.start()

        await until(lambda: scene.execution.is_filled(order.trade_id))
        await until(gateway.is_connected)
        assert (await gateway.session()).pending_orders == 0


async def test_what_became_of_orders_is_told_from_the_books_and_by_the_venue(
    scene: Scene, gateway: Gateway
) -> None:
    done, open_, strange = an_order(), an_order(), an_order()
    await gateway.submit(done)
    await until(lambda: scene.execution.is_filled(done.trade_id))
    scene.venue.answer = lambda order: []
    await gateway.submit(open_)
    await until(lambda: open_.trade_id in scene.venue.orders)

    statuses = await gateway.orders(done.trade_id, open_.trade_id, strange.trade_id)

    assert [s.trade_id for s in statuses] == [done.trade_id, open_.trade_id, strange.trade_id]
    assert [s.state for s in statuses] == [
        pb.ORDER_STATE_DONE,
        pb.ORDER_STATE_PENDING,
        pb.ORDER_STATE_UNKNOWN,
    ]
    assert statuses[0].filled_quantity == 100
    assert statuses[0].exchange_order_id == f"X-{done.trade_id}"


async def test_an_order_is_called_unknown_only_on_the_venues_word(
    scene: Scene, gateway: Gateway
) -> None:
    await scene.venue.stop()

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.orders(an_order().trade_id)

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("trade_ids", [["x"], [""], ["f" * 36] * 1001])
async def test_ids_that_are_none_are_refused(gateway: Gateway, trade_ids: list[str]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.orders(*trade_ids)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(refused.value) in ("INVALID_ID", "INVALID_REQUEST")


async def test_customers_may_call_nothing_and_operators_may_only_read(
    scene: Scene, gateway: Gateway, keys: Keys
) -> None:
    customer = {"metadata": bearer(keys.customer("alice")), "timeout": 5}
    operator = {"metadata": bearer(keys.operator()), "timeout": 5}
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = ExchangeGatewayServiceStub(channel)
        for call in (
            stub.SubmitOrders(pb.SubmitOrdersRequest(orders=[an_order()]), **customer),
            stub.SubmitOrders(pb.SubmitOrdersRequest(orders=[an_order()]), **operator),
            stub.GetOrders(pb.GetOrdersRequest(trade_ids=["x"]), **customer),
            stub.GetSession(pb.GetSessionRequest(), **customer),
            stub.ListInstruments(pb.ListInstrumentsRequest(), **customer),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert (await stub.GetSession(pb.GetSessionRequest(), **operator)).is_connected
    assert scene.venue.orders == {}
