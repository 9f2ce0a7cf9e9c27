"""Replaces that the venue answers strangely, late, or not: none is lost, none is done twice."""

import pytest

from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene
from tests.exchange_gateway.replaces import (
    DOLLAR,
    a_replace,
    a_resting_order,
    parked,
    replace,
    told,
)
from tests.exchange_gateway.venue_words import fill, replaced
from tests.support.wait import until


async def test_a_replaced_report_that_no_command_asked_for_is_parked(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order))
    await told(scene, order, 2)
    [(asked, _)] = scene.venue.replaces
    now = scene.venue.orders[order.trade_id]

    scene.venue.say(replaced(now, asked), replaced(now, 0), replaced(now, 1))

    await until(lambda: len(scene.rows("SELECT FROM parked_report")) == 3)
    assert await parked(scene) == ["REPLACE_ANSWERED_TWICE"] + 2 * ["REPLACE_NOT_ASKED"]


@pytest.mark.parametrize(
    "difference", [{"quantity": 151}, {"limit_price_micros": 1}, {"stop_price_micros": 1}]
)
async def test_terms_that_nobody_asked_for_are_parked(
    scene: Scene, gateway: Gateway, difference: dict[str, int]
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.forgets_replaces = 1
    await replace(gateway, a_replace(order))
    await until(lambda: scene.venue.replaces)
    other = market.NewOrder()
    other.CopyFrom(scene.venue.orders[order.trade_id])
    other.quantity, other.limit_price_micros = 150, 91 * DOLLAR
    other.MergeFrom(market.NewOrder(**difference))  # type: ignore[arg-type]

    scene.venue.say(replaced(other, scene.venue.replaces[0][0]))

    await until(lambda: scene.rows("SELECT FROM parked_report"))
    assert await parked(scene) == ["REPLACED_DIFFERENTLY"]


async def test_a_replace_that_the_venue_says_it_has_not_done_is_sent_once_more(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.forgets_replaces = 1
    wanted = a_replace(order)

    await replace(gateway, wanted)

    assert (await told(scene, order, 2)).replaced.replace_id == wanted.replace_id
    assert len(scene.venue.replaces) == 2
    assert scene.rows("SELECT count(*) FROM venue_replace WHERE answered_by_seq > 0") == [(1,)]


async def test_a_replace_whose_answer_is_under_way_is_not_sent_again(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    scene.venue.withholds_reports = {2}
    wanted = a_replace(order)

    await replace(gateway, wanted)

    assert (await told(scene, order, 2)).replaced.replace_id == wanted.replace_id
    assert scene.venue.asked.count(order.trade_id) >= 1
    assert len(scene.venue.replaces) == 1


async def test_replaces_survive_the_gateway_and_the_venue_going_away(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        await until(gateway.is_connected)
        order = await a_resting_order(scene, gateway)
        scene.venue.say(fill(scene.venue.orders[order.trade_id], 10))
        await until(lambda: len(scene.execution.told(order.trade_id)) == 2)
        await scene.venue.stop()
        wanted = a_replace(order)
        await replace(gateway, wanted)
    scene.execution.cannot_book.add(order.trade_id)
    await scene.venue.start()
    async with scene.gateway() as gateway:
        await until(lambda: len(scene.venue.reports) == 3)
        scene.venue.say(fill(scene.venue.orders[order.trade_id], 5, so_far=10))
        await until(scene.venue.is_acknowledged)
    async with scene.gateway() as gateway:
        scene.execution.cannot_book.clear()
        await until(gateway.has_delivered_all)
    _, before, change, after = scene.execution.told(order.trade_id)
    assert change.replaced == execution_pb.Report.Replaced(
        replace_id=wanted.replace_id,
        quantity=150,
        limit_price_micros=91 * DOLLAR,
        filled_quantity=10,
    )
    limits = [fill.filled.limit_price_micros for fill in (before, after)]
    assert limits == [90 * DOLLAR, 91 * DOLLAR]
    assert len(scene.venue.replaces) == 1


async def test_a_replace_forgotten_while_the_gateway_was_away_is_asked_for(scene: Scene) -> None:
    async with scene.gateway(query_after_seconds=60) as gateway:
        await until(gateway.is_connected)
        order = await a_resting_order(scene, gateway)
        scene.venue.forgets_replaces = 1
        await replace(gateway, a_replace(order))
        await until(lambda: scene.venue.replaces)
    async with scene.gateway():
        await told(scene, order, 2)
    assert len(scene.venue.replaces) == 2


async def test_terms_replaced_are_compared_after_a_logon(scene: Scene, gateway: Gateway) -> None:
    order = await a_resting_order(scene, gateway)
    await replace(gateway, a_replace(order))
    await told(scene, order, 2)
    logons = len(scene.venue.logons)
    scene.venue.hang_up()
    await until(lambda: len(scene.venue.logons) > logons)
    await until(gateway.is_connected)
    scene.venue.orders[order.trade_id].limit_price_micros = 92 * DOLLAR

    scene.venue.hang_up()

    await until(lambda: scene.rows("SELECT FROM order_break"))
    [(kind, detail)] = scene.rows("SELECT kind, detail FROM order_break")
    assert kind == "TERMS_DIFFER"
    assert detail == "here (150, 91000000, 0), there (150, 92000000, 0)"
