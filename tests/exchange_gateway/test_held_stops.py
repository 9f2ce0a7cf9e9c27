"""Stops that the house holds: durable, triggered once, marked as such; whatever dies or is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.operators_desk import CANCELED, Desk
from tests.exchange_gateway.replaces import a_replace, replace
from tests.exchange_gateway.stops import DOLLAR, a_stop, a_stop_to_buy
from tests.exchange_gateway.test_cancels import a_cancel, cancel
from tests.exchange_gateway.venue_words import accept, reject
from tests.support.wait import until

Ended = execution_pb.Report.Ended
SENT = ["accepted", "accepted", "filled"]


@pytest.fixture(autouse=True)
def quotes(scene: Scene) -> None:
    """AAPL traded at 100 dollars last."""
    scene.venue.change(last_price_micros=100 * DOLLAR)


@asynccontextmanager
async def a_gateway(scene: Scene, **settings: Any) -> AsyncIterator[Gateway]:
    """One that holds stops, logged on."""
    async with scene.gateway(holds_stops=True, **settings) as gateway:
        await until(gateway.is_connected)
        yield gateway


def kinds(scene: Scene, order: pb.Order) -> list[str | None]:
    """What execution was told of the order, repeats left out."""
    reports = {report.report_seq: report for report in scene.execution.told(order.trade_id)}
    return [report.WhichOneof("report") for _, report in sorted(reports.items())]


async def hold(scene: Scene, gateway: Gateway, *orders: pb.Order) -> None:
    """Submit them, and have them accepted."""
    await gateway.submit(*orders)
    await until(lambda: all(kinds(scene, order) == ["accepted"] for order in orders))
    await until(gateway.has_delivered_all)


async def test_it_is_marked_as_held_and_the_venue_hears_of_it_when_it_is_met(
    scene: Scene,
) -> None:
    order = a_stop_to_buy()
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, order)
        accepted = scene.execution.told(order.trade_id)[0].accepted
        assert accepted.exchange_order_id == f"HELD-{order.trade_id}"
        [status] = await gateway.orders(order.trade_id)
        assert status.exchange_order_id == f"HELD-{order.trade_id}"
        assert status.held_stop == pb.HeldStop(stop_price_micros=110 * DOLLAR)
        assert (await gateway.session()).held_stops == 1
        assert scene.venue.orders == {}

        scene.venue.trade(110 * DOLLAR)

        await until(lambda: kinds(scene, order) == SENT)
        sent = scene.venue.orders[order.trade_id]
        assert (sent.order_type, sent.stop_price_micros) == (market.ORDER_TYPE_MARKET, 0)
        assert sent.max_notional_micros == order.max_notional_micros
        assert sent.time_in_force == market.TIME_IN_FORCE_GTC
        [status] = await gateway.orders(order.trade_id)
        assert status.held_stop.trigger_price_micros == 110 * DOLLAR
        assert status.held_stop.HasField("triggered_at")
        assert (await gateway.session()).held_stops == 0
        await until(lambda: not scene.venue.is_watched(), what="nothing is followed for nobody")
        authors = scene.rows("SELECT author FROM venue_report ORDER BY seq")
        assert authors == [("house",), ("",), ("",)]


async def test_a_price_told_many_times_triggers_once(scene: Scene) -> None:
    order, other = a_stop(), a_stop(stop_price_micros=80 * DOLLAR)
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, order, other)
        for _ in range(20):
            scene.venue.trade(90 * DOLLAR)
        await until(lambda: kinds(scene, order) == SENT)
        scene.venue.trade(80 * DOLLAR)
        await until(lambda: kinds(scene, other) == SENT)
    assert scene.venue.sends == {order.trade_id: 1, other.trade_id: 1}


async def test_trades_that_are_told_together_count_each(scene: Scene) -> None:
    sell, buy = a_stop(), a_stop_to_buy()
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, sell, buy)
        scene.venue.trade(100 * DOLLAR, lowest=90 * DOLLAR, highest=110 * DOLLAR)
        await until(lambda: kinds(scene, sell) == kinds(scene, buy) == SENT)


async def test_of_stops_too_many_for_one_transaction_a_passing_price_triggers_each(
    scene: Scene,
) -> None:
    orders = [a_stop() for _ in range(501)]
    async with a_gateway(scene) as gateway:
        await gateway.submit(*orders)
        await until(lambda: not scene.rows("SELECT FROM held_stop WHERE state <> 2"))
        await until(gateway.has_delivered_all)

        scene.venue.trade(100 * DOLLAR, lowest=90 * DOLLAR, highest=100 * DOLLAR)

        await until(lambda: scene.venue.sends.total() == len(orders))
    assert scene.venue.sends == dict.fromkeys((order.trade_id for order in orders), 1)


async def test_it_outlives_its_gateway_and_the_last_price_decides_after_a_reconnect(
    scene: Scene,
) -> None:
    met, missed = a_stop(), a_stop_to_buy()
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, met, missed)
    scene.venue.change(last_price_micros=115 * DOLLAR)  # nobody hears of it
    scene.venue.change(last_price_micros=89 * DOLLAR)
    async with a_gateway(scene) as gateway:
        await until(lambda: kinds(scene, met) == SENT)
        [status] = await gateway.orders(missed.trade_id)
        assert status.state == pb.ORDER_STATE_ACCEPTED
        assert (await gateway.session()).order_breaks == 0
        [again] = await gateway.submit(missed)
        assert (again.reason, again.state) == (0, pb.ORDER_STATE_ACCEPTED)
    assert set(scene.venue.sends) == {met.trade_id}


async def test_what_was_triggered_is_sent_by_whoever_comes_next_and_once(scene: Scene) -> None:
    orders = [a_stop() for _ in range(5)]
    async with a_gateway(scene, query_after_seconds=3600) as gateway:
        await hold(scene, gateway, *orders)
        scene.venue.drops_commands = 1_000  # it never gets there
        scene.venue.trade(90 * DOLLAR)
        await until(lambda: scene.rows("SELECT FROM held_stop WHERE state = 3 OFFSET 4"))
    scene.venue.drops_commands = 0
    scene.venue.change(last_price_micros=100 * DOLLAR)
    async with a_gateway(scene):
        await until(lambda: all(kinds(scene, order) == SENT for order in orders))
    assert scene.venue.sends == dict.fromkeys((order.trade_id for order in orders), 1)


async def test_what_the_venue_loses_is_sent_again_as_it_was_sent(scene: Scene) -> None:
    order = a_stop(order_type=terms.ORDER_TYPE_STOP_LIMIT, limit_price_micros=88 * DOLLAR)
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, order)
        scene.venue.forgets_orders = 1
        scene.venue.trade(90 * DOLLAR)
        await until(lambda: kinds(scene, order) == SENT)
    sent = scene.venue.orders[order.trade_id]
    assert (sent.order_type, sent.stop_price_micros) == (market.ORDER_TYPE_LIMIT, 0)
    assert scene.venue.sends == {order.trade_id: 2}


async def test_cancels_and_a_trade_at_once_come_to_one_end_each(scene: Scene) -> None:
    scene.venue.answer = lambda order: [accept(order)]
    orders = [a_stop() for _ in range(30)]
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, *orders)

        async def cancel_the_first_and_trade() -> None:
            await cancel(gateway, a_cancel(orders[0]))
            scene.venue.trade(90 * DOLLAR)

        await asyncio.gather(
            cancel_the_first_and_trade(),
            *(cancel(gateway, a_cancel(order)) for order in orders[1:]),
        )
        await until(lambda: all("ended" in kinds(scene, order) for order in orders))
        await until(gateway.has_delivered_all)
    assert orders[0].trade_id not in scene.venue.sends
    for order in orders:
        was_sent = scene.venue.sends[order.trade_id]
        assert kinds(scene, order) == ["accepted", *["accepted"] * was_sent, "ended"]
        ended = scene.execution.told(order.trade_id)[-1].ended
        assert ended.reason == Reason.REASON_CANCELED_BY_CUSTOMER
    assert scene.rows("SELECT FROM parked_report") == []


async def test_replaces_and_a_trade_at_once_leave_one_order(scene: Scene) -> None:
    scene.venue.answer = lambda order: [accept(order)]
    orders = [a_stop(order_type=terms.ORDER_TYPE_STOP_LIMIT) for _ in range(12)]
    for order in orders:
        order.limit_price_micros = 88 * DOLLAR
    asked = [a_replace(o, quantity=20, stop_price_micros=90 * DOLLAR) for o in orders]
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, *orders)

        async def trade() -> None:
            scene.venue.trade(90 * DOLLAR)

        await asyncio.gather(
            *(replace(gateway, each) for each in asked[:6]),
            trade(),
            *(replace(gateway, each) for each in asked[6:]),
        )
        told = [["accepted", "accepted", "replaced"], ["accepted", "replaced", "accepted"]]
        await until(lambda: all(kinds(scene, order) in told for order in orders))
        for order in orders:
            there = scene.venue.orders[order.trade_id]
            assert (there.quantity, there.limit_price_micros) == (20, 91 * DOLLAR)
    async with a_gateway(scene) as gateway:
        await until(gateway.has_delivered_all)
        assert (await gateway.session()).order_breaks == 0
    assert scene.rows("SELECT FROM parked_report") == []


async def test_while_the_venue_is_away_nothing_is_said_of_a_new_one_and_it_can_be_canceled(
    scene: Scene,
) -> None:
    waits, canceled = a_stop(), a_stop()
    async with a_gateway(scene) as gateway:
        await scene.venue.stop()
        await gateway.submit(waits, canceled)
        await cancel(gateway, a_cancel(canceled))
        await until(lambda: kinds(scene, canceled) == ["ended"])
        [status] = await gateway.orders(waits.trade_id)
        assert (status.state, kinds(scene, waits)) == (pb.ORDER_STATE_PENDING, [])
        await scene.venue.start()
        await until(lambda: kinds(scene, waits) == ["accepted"])
    assert scene.venue.sends == {}


async def test_in_a_halt_and_after_hours_it_waits_on_and_then_the_last_price_decides(
    scene: Scene,
) -> None:
    order, other = a_stop(), a_stop(stop_price_micros=85 * DOLLAR)
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, order, other)
        scene.venue.halt(is_halted=True)
        scene.venue.trade(90 * DOLLAR)
        scene.venue.is_open = False
        [status] = await gateway.orders(order.trade_id)
        assert status.state == pb.ORDER_STATE_ACCEPTED
        scene.venue.halt(is_halted=False)
        scene.venue.is_open = True
        await until(lambda: kinds(scene, order) == SENT)
        assert kinds(scene, other) == ["accepted"]


async def test_what_the_venue_refuses_when_it_is_sent_is_canceled_for_that_reason(
    scene: Scene,
) -> None:
    scene.venue.answer = lambda order: [reject(order, market.REJECT_REASON_NO_LIQUIDITY)]
    order = a_stop()
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, order)
        scene.execution.is_away = True  # it is told by the next process, from what is stored
        scene.venue.trade(90 * DOLLAR)
        await until(lambda: scene.venue.sends)
        await until(scene.venue.is_acknowledged)
    scene.execution.is_away = False
    async with a_gateway(scene):
        await until(lambda: kinds(scene, order) == ["accepted", "ended"])
    ended = scene.execution.told(order.trade_id)[-1].ended
    assert (ended.kind, ended.reason) == (Ended.KIND_CANCELED, Reason.REASON_NO_LIQUIDITY)


async def test_an_operator_may_end_one(scene: Scene) -> None:
    order = a_stop()
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, order)
        async with grpc.aio.insecure_channel(gateway.address) as channel:
            desk = Desk(ExchangeGatewayServiceStub(channel), scene.keys)
            await desk.resolve(order.trade_id, CANCELED, despite_exchange="it never had it")
        await until(lambda: kinds(scene, order) == ["accepted", "ended"])
        scene.venue.trade(90 * DOLLAR)
        await until(lambda: scene.rows("SELECT FROM held_stop WHERE state = 4"))
    assert scene.venue.sends == {}


async def test_switched_off_later_those_held_go_on_and_new_ones_are_the_venues(
    scene: Scene,
) -> None:
    held, new = a_stop(), a_stop()
    async with a_gateway(scene) as gateway:
        await hold(scene, gateway, held)
    async with scene.gateway() as gateway:
        await gateway.submit(new)
        await until(lambda: new.trade_id in scene.venue.orders)
        assert scene.venue.orders[new.trade_id].order_type == market.ORDER_TYPE_STOP
        await until(scene.venue.is_watched)
        scene.venue.trade(90 * DOLLAR)
        await until(lambda: kinds(scene, held) == SENT)


async def test_a_time_that_is_none_holds_up_the_stops_alone(scene: Scene) -> None:
    stop, usual = a_stop(), an_order()
    async with a_gateway(scene) as gateway:
        scene.venue.days_ended = 10**9
        await gateway.submit(stop, usual)
        await until(lambda: scene.execution.is_filled(usual.trade_id))
        await until(gateway.has_delivered_all)
        assert kinds(scene, stop) == []
        scene.venue.days_ended = 0
        await until(lambda: kinds(scene, stop) == ["accepted"])
        assert len(scene.venue.logons) == 1
