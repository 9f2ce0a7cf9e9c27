"""A report that cannot be booked now waits with its trade, and holds up nobody else."""

import pytest

from libs.clock import SystemClock
from services.exchange_gateway.domain.answers import Postponed
from services.exchange_gateway.session.waiting_room import WaitingRoom
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_words import accept, fill
from tests.support.wait import until


async def _submit_held_and_others(
    scene: Scene, gateway: Gateway
) -> tuple[pb.Order, list[pb.Order]]:
    """An order whose reports execution does not book, in the midst of ten others."""
    orders = [an_order() for _ in range(11)]
    held = orders.pop(5)
    scene.execution.cannot_book.add(held.trade_id)
    await gateway.submit(*orders[:5], held, *orders[5:])
    await until(lambda: all(scene.execution.is_filled(o.trade_id) for o in orders))
    return held, orders


async def test_a_report_answered_later_is_delivered_again_and_others_go_on(
    scene: Scene, gateway: Gateway
) -> None:
    held, _ = await _submit_held_and_others(scene, gateway)
    await until(lambda: scene.execution.attempts[held.trade_id] >= 8)
    session = await gateway.session()
    assert (session.unapplied_reports, session.waiting_reports) == (2, 2)
    assert session.waiting_since.seconds > 0

    scene.execution.cannot_book.clear()

    await until(lambda: scene.execution.is_filled(held.trade_id))
    await until(gateway.has_delivered_all)
    accepted, filled = scene.execution.told(held.trade_id)
    assert (accepted.WhichOneof("report"), filled.WhichOneof("report")) == ("accepted", "filled")
    assert scene.rows("SELECT 1 FROM later_report") == []


async def test_what_comes_after_a_waiting_report_of_the_same_trade_waits_behind_it(
    scene: Scene, gateway: Gateway
) -> None:
    usual, scene.venue.answer = scene.venue.answer, lambda order: [accept(order)]
    scene.execution.cannot_book.add((held := an_order()).trade_id)
    await gateway.submit(held)
    await until(lambda: scene.execution.attempts[held.trade_id] >= 2)

    scene.execution.cannot_book.clear()
    scene.venue.say(*(fill(scene.venue.orders[held.trade_id], 50, so_far=n) for n in (0, 50)))
    scene.venue.answer = usual
    await gateway.submit(after := an_order())

    await until(lambda: scene.execution.is_filled(held.trade_id))
    await until(lambda: scene.execution.is_filled(after.trade_id))
    assert [r.report_seq for r in scene.execution.told(held.trade_id)] == [1, 2, 3]


async def test_what_waits_outlives_the_process(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        held, _ = await _submit_held_and_others(scene, gateway)
        await until(lambda: scene.rows("SELECT 1 FROM later_report OFFSET 1"))

    async with scene.gateway() as gateway:
        scene.execution.cannot_book.clear()
        await until(lambda: scene.execution.is_filled(held.trade_id))
        await until(gateway.has_delivered_all)
    first, second = scene.execution.told(held.trade_id)
    assert first.report_seq < second.report_seq
    assert len(scene.execution.reports) == 22


async def test_a_report_execution_fails_over_holds_up_its_own_trade_alone(
    scene: Scene, gateway: Gateway
) -> None:
    orders = [an_order() for _ in range(12)]
    bad = {orders[3].trade_id, orders[7].trade_id}
    scene.execution.chokes_on = set(bad)

    await gateway.submit(*orders)

    good = [order.trade_id for order in orders if order.trade_id not in bad]
    await until(lambda: all(map(scene.execution.is_filled, good)))
    scene.execution.chokes_on.clear()
    await until(lambda: all(map(scene.execution.is_filled, bad)))
    for trade_id in bad:
        seqs = [r.report_seq for r in scene.execution.told(trade_id)]
        assert sorted(set(seqs)) == seqs
        assert len(seqs) == 2


async def test_a_report_that_waits_may_turn_out_impossible(scene: Scene, gateway: Gateway) -> None:
    held, _ = await _submit_held_and_others(scene, gateway)
    scene.execution.impossible[held.trade_id] = "no such hold"

    scene.execution.cannot_book.clear()

    await until(lambda: scene.rows("SELECT 1 FROM parked_report OFFSET 1"))
    await until(gateway.has_delivered_all)
    breaches = scene.rows("SELECT DISTINCT breach, detail FROM parked_report")
    assert breaches == [("REFUSED_BY_EXECUTION", "no such hold")]


@pytest.mark.parametrize("is_alone", [True, False])
async def test_a_trade_execution_fails_over_is_tried_by_itself(is_alone: bool) -> None:
    room = WaitingRoom(SystemClock(), most_seconds=0.0)
    room.add([Postponed(1, "bad")], alone=is_alone)
    room.add([Postponed(2, "good"), Postponed(3, "fine")])

    first, second = await room.due(10), await room.due(10)
    together = [{trade.trade_id for trade in trades} for trades in (first, second)]

    expected = {"bad"} if is_alone else {"bad", "good", "fine"}
    assert together == [expected, expected]
