"""A DAY order ends with the day it was placed on: one that was never sent is not sent later."""

from datetime import UTC, datetime

import psycopg
import pytest

from libs.fills import day_of
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.stops import a_stop
from tests.exchange_gateway.test_cancels import a_cancel, cancel
from tests.exchange_gateway.venue_words import accept_and_fill
from tests.ledger.wire_cutter import WireCutter
from tests.support.wait import until

DAY, GTC = terms.TIME_IN_FORCE_DAY, terms.TIME_IN_FORCE_GTC


def placed(days_ago: int, time_in_force: int = DAY) -> pb.Order:
    """An order that the house took so many days ago."""
    today = day_of(datetime.now(UTC))
    return an_order(placed_on=today - days_ago, time_in_force=time_in_force)


async def test_a_day_order_of_a_day_that_is_over_is_not_taken(
    scene: Scene, gateway: Gateway
) -> None:
    late, usual = placed(days_ago=1), placed(days_ago=0)

    for _ in range(2):
        results = await gateway.submit(late, usual)

        assert [each.reason for each in results] == [Reason.REASON_EXPIRED, 0]
    await until(lambda: scene.execution.is_filled(usual.trade_id))
    assert scene.venue.sends == {usual.trade_id: 1}
    [status] = await gateway.orders(late.trade_id)
    assert status.state == pb.ORDER_STATE_UNKNOWN


@pytest.mark.parametrize("order", [placed(1, GTC), an_order()], ids=["GTC", "an older sender's"])
async def test_any_other_order_is_taken(scene: Scene, gateway: Gateway, order: pb.Order) -> None:
    [result] = await gateway.submit(order)

    assert not result.reason
    await until(lambda: scene.execution.is_filled(order.trade_id))


async def test_what_may_have_been_sent_is_not_ended_by_the_house(
    scene: Scene, gateway: Gateway
) -> None:
    order = placed(days_ago=0)
    scene.venue.answer = lambda taken: []
    await gateway.submit(order)
    await until(lambda: order.trade_id in scene.venue.orders)
    order.placed_on -= 1

    [result] = await gateway.submit(order)

    assert (result.reason, result.state) == (0, pb.ORDER_STATE_PENDING)


async def a_night_passes(scene: Scene, created_at: str = "created_at - interval '1 day'") -> None:
    """What was taken today was taken yesterday."""
    async with await psycopg.AsyncConnection.connect(scene.database_url) as connection:
        await connection.execute(f"UPDATE venue_order SET created_at = {created_at}".encode())


def has_expired(scene: Scene, order: pb.Order) -> bool:
    """Whether execution was told so, and nothing else."""
    told = scene.execution.told_once(order.trade_id)
    return [report.ended.reason for report in told] == [Reason.REASON_EXPIRED]


async def test_what_the_venue_never_got_is_not_sent_on_another_day(scene: Scene) -> None:
    await scene.venue.stop()
    day, lasting = placed(days_ago=0), placed(0, GTC)
    async with scene.gateway() as gateway:
        await gateway.submit(day, lasting)
        await cancel(gateway, a_cancel(day))
    await a_night_passes(scene)

    async with scene.gateway() as gateway:
        await scene.venue.start()

        await until(lambda: has_expired(scene, day))
        await until(lambda: scene.execution.is_filled(lasting.trade_id))
        usual = placed(days_ago=0)
        await gateway.submit(usual)
        await until(lambda: scene.execution.is_filled(usual.trade_id))
        await until(gateway.has_delivered_all)
    assert scene.venue.sends == {lasting.trade_id: 1, usual.trade_id: 1}
    assert not scene.venue.cancels


async def test_what_the_venue_says_it_does_not_know_is_not_sent_again_on_another_day(
    scene: Scene,
) -> None:
    scene.venue.forgets_orders = 1
    order = placed(days_ago=0)
    async with scene.gateway(query_after_seconds=600.0) as gateway:
        await gateway.submit(order)
        await until(lambda: scene.venue.sends[order.trade_id] == 1)
    await a_night_passes(scene)

    async with scene.gateway():
        await until(lambda: has_expired(scene, order))
    assert scene.venue.sends[order.trade_id] == 1


async def test_what_the_venue_has_and_says_nothing_of_waits_for_its_word_the_next_day_too(
    scene: Scene,
) -> None:
    scene.venue.answer = lambda taken: []
    order = placed(days_ago=0)
    async with scene.gateway() as gateway:
        await gateway.submit(order)
        await until(lambda: order.trade_id in scene.venue.orders)
    await a_night_passes(scene)

    async with scene.gateway() as gateway:
        await until(lambda: scene.venue.asked.count(order.trade_id) > 2)
        assert (await gateway.session()).pending_orders == 1
        taken = scene.venue.orders[order.trade_id]
        scene.venue.say(*accept_and_fill(taken))
        await until(lambda: scene.execution.is_filled(order.trade_id))


@pytest.mark.parametrize(
    "created_at",
    ["created_at - interval '1 day'", "date_trunc('day', now(), 'UTC') - interval '1 ms'"],
)
async def test_a_stop_that_was_never_accepted_is_not_held_on_another_day(
    scene: Scene, created_at: str
) -> None:
    await scene.venue.stop()
    order = a_stop(time_in_force=DAY)
    async with scene.gateway(holds_stops=True) as gateway:
        await gateway.submit(order)
    await a_night_passes(scene, created_at)

    async with scene.gateway(holds_stops=True):
        await until(lambda: has_expired(scene, order))
        await scene.venue.start()
    assert not scene.venue.sends


async def test_what_was_ended_by_a_commit_without_an_answer_is_ended_once(scene: Scene) -> None:
    await scene.venue.stop()
    order = placed(days_ago=0)
    async with scene.gateway() as gateway:
        await gateway.submit(order)
    await a_night_passes(scene)

    async with (
        WireCutter(scene.database_url) as wire,
        scene.gateway(database_url=wire.url) as gateway,
    ):
        wire.cut_after_commit(of="gateway-report")
        await scene.venue.start()

        await until(lambda: has_expired(scene, order))
        await until(gateway.is_connected)
        await until(gateway.has_delivered_all)
        assert wire.cuts == 1
    assert has_expired(scene, order)
    assert not scene.venue.sends
