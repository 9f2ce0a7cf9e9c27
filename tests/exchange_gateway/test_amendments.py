"""Busts and corrections of fills: judged against what was told, delivered once, never dropped."""

from typing import Any

import pytest

from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution_pb
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.operators_desk import Desk
from tests.exchange_gateway.venue_words import PRICE, accept, bust, correct, fill
from tests.support.wait import until

Report = execution_pb.Report


async def a_filled_order(scene: Scene, gateway: Gateway) -> tuple[str, market.ExecutionReport]:
    """An order of 100, and the report that filled it."""
    order = an_order()
    await gateway.submit(order)
    await until(lambda: scene.execution.is_filled(order.trade_id))
    return order.trade_id, scene.venue.reports[-1]


async def told(scene: Scene, trade_id: str, reports: int) -> Report:
    """The last of so many reports that execution was told of the order."""
    await until(lambda: len(scene.execution.told(trade_id)) >= reports)
    assert len(scene.execution.told(trade_id)) == reports
    return scene.execution.told(trade_id)[-1]


async def parked(scene: Scene, reports: int) -> list[str]:
    """Why so many reports are parked."""
    await until(lambda: len(scene.rows("SELECT FROM parked_report")) == reports)
    return [row[0] for row in scene.rows("SELECT breach FROM parked_report ORDER BY seq")]


async def test_a_bust_is_told_and_the_order_stays_ended_with_less_filled(
    scene: Scene, gateway: Gateway
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)

    scene.venue.say(bust(filled, reason_text="a clear error"))

    report = await told(scene, trade_id, 3)
    said = scene.venue.reports[-1]
    assert report.busted == Report.Busted(
        execution_id=filled.exec_id,
        bust_id=said.exec_id,
        quantity=100,
        price_micros=PRICE,
        busted_at=said.transact_time,
        reason_text="a clear error",
    )
    [status] = await gateway.orders(trade_id)
    assert (status.state, status.filled_quantity) == (pb.ORDER_STATE_DONE, 0)
    assert scene.rows("SELECT FROM parked_report") == []


async def test_a_correction_tells_what_the_fill_was_and_is(scene: Scene, gateway: Gateway) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)

    scene.venue.say(correct(filled, 60, PRICE - 1))

    corrected = (await told(scene, trade_id, 3)).corrected
    assert (corrected.execution_id, corrected.old_quantity) == (filled.exec_id, 100)
    assert (corrected.quantity, corrected.price_micros) == (60, PRICE - 1)
    assert corrected.old_price_micros == PRICE
    [status] = await gateway.orders(trade_id)
    assert status.filled_quantity == 60


async def test_an_order_that_works_on_after_a_bust_ends_with_its_last_fill(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [accept(order), fill(order, 40)]
    order = an_order()
    await gateway.submit(order)
    await told(scene, order.trade_id, 2)
    at_venue = scene.venue.orders[order.trade_id]

    scene.venue.say(bust(scene.venue.reports[-1]), fill(at_venue, 60, so_far=40))

    assert (await told(scene, order.trade_id, 4)).filled.is_last
    [status] = await gateway.orders(order.trade_id)
    assert (status.state, status.filled_quantity) == (pb.ORDER_STATE_DONE, 60)


async def test_what_cannot_be_true_of_a_fill_is_parked(scene: Scene, gateway: Gateway) -> None:
    _, filled = await a_filled_order(scene, gateway)
    other, _ = await a_filled_order(scene, gateway)
    strange: list[dict[str, Any]] = [
        {"exec_ref_id": "E-unknown"},
        {"client_order_id": other, "exchange_order_id": f"X-{other}"},
        {"last_quantity": 99},
        {"last_price_micros": 1},
        {"symbol": "MSFT"},
    ]

    scene.venue.say(*(bust(filled, **fields) for fields in strange))
    scene.venue.say(bust(filled), bust(filled), correct(filled, 1, PRICE))

    assert await parked(scene, 7) == [
        "UNKNOWN_EXECUTION",
        "UNKNOWN_EXECUTION",
        "AMENDED_DIFFERENTLY",
        "AMENDED_DIFFERENTLY",
        "WRONG_SYMBOL",
        "AMENDED_TWICE",
        "AMENDED_TWICE",
    ]


def chain(filled: market.ExecutionReport) -> list[market.ExecutionReport]:
    """It was 60, then 50 at another price, and then it never was."""
    first = correct(filled, 60, PRICE)
    first.exec_id = f"first-{filled.exec_id}"
    second = correct(first, 50, PRICE - 1)
    second.exec_id = f"second-{filled.exec_id}"
    return [first, second, bust(second)]


@pytest.mark.parametrize("is_together", [True, False])
async def test_each_amendment_goes_on_from_the_one_that_it_names(
    scene: Scene, gateway: Gateway, is_together: bool
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)
    reports = chain(filled)

    if is_together:
        scene.venue.say(*reports)
    else:
        for number, report in enumerate(reports, start=3):
            scene.venue.say(report)
            await told(scene, trade_id, number)

    await told(scene, trade_id, 5)
    first, second, last = scene.execution.told(trade_id)[2:]
    fill_id = filled.exec_id
    assert (first.corrected.execution_id, first.corrected.previous_amendment_id) == (fill_id, "")
    assert second.corrected.execution_id == last.busted.execution_id == fill_id
    assert second.corrected.previous_amendment_id == first.corrected.correction_id
    assert last.busted.previous_amendment_id == second.corrected.correction_id
    assert (second.corrected.old_quantity, second.corrected.old_price_micros) == (60, PRICE)
    assert (last.busted.quantity, last.busted.price_micros) == (50, PRICE - 1)
    [status] = await gateway.orders(trade_id)
    assert status.filled_quantity == 0
    assert scene.rows("SELECT FROM parked_report") == []


async def test_what_was_amended_by_another_or_busted_is_not_amended_again(
    scene: Scene, gateway: Gateway
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)
    first, second, last = chain(filled)
    last.exec_id = f"last-{filled.exec_id}"
    scene.venue.say(first, second)

    scene.venue.say(correct(filled, 1, PRICE), bust(first), last, bust(last), bust(second))

    assert await parked(scene, 4) == [
        "AMENDED_TWICE",
        "AMENDED_TWICE",
        "AMENDED_WHEN_BUSTED",
        "AMENDED_TWICE",
    ]
    await told(scene, trade_id, 5)


async def test_an_amendment_that_comes_before_the_one_it_names_waits_for_it(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)
    first, second, _ = chain(filled)
    scene.venue.say(second)
    assert await parked(scene, 1) == ["UNKNOWN_EXECUTION"]

    scene.venue.say(first)
    await told(scene, trade_id, 3)
    [case] = await desk.parked()
    await desk.retry(case.report_seq)

    corrected = (await told(scene, trade_id, 4)).corrected
    assert (corrected.quantity, corrected.previous_amendment_id) == (50, first.exec_id)


@pytest.mark.parametrize("is_together", [True, False])
async def test_a_name_that_a_fill_has_already_stays_that_fill_s(
    scene: Scene, gateway: Gateway, is_together: bool
) -> None:
    scene.venue.answer = lambda order: [accept(order), fill(order, 40), fill(order, 60, so_far=40)]
    order = an_order()
    await gateway.submit(order)
    await told(scene, order.trade_id, 3)
    first, second = scene.venue.reports[-2:]
    alike = correct(second, 50, PRICE)
    alike.exec_id = first.exec_id

    if is_together:
        scene.venue.say(alike, bust(first))
    else:
        scene.venue.say(alike)
        await told(scene, order.trade_id, 4)
        scene.venue.say(bust(first))

    busted = (await told(scene, order.trade_id, 5)).busted
    assert (busted.execution_id, busted.previous_amendment_id) == (first.exec_id, "")
    assert scene.rows("SELECT FROM parked_report") == []


async def test_a_stale_amendment_is_parked_for_the_same_reason_ever_again_and_kept(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)

    scene.venue.say(correct(filled, 60, PRICE), correct(filled, 50, PRICE), bust(filled))

    assert await parked(scene, 2) == ["AMENDED_TWICE", "AMENDED_TWICE"]
    assert (await told(scene, trade_id, 3)).corrected.quantity == 60
    for case in await desk.parked():
        again = await desk.retry(case.report_seq)
        assert (again.state, again.breach) == (again.STATE_PARKED, "AMENDED_TWICE")
        assert "amended before, by report" in again.detail
    said = [report.SerializeToString() for report in scene.venue.reports[-3:]]
    kept = scene.rows("SELECT raw FROM venue_report WHERE kind IN (9, 10) ORDER BY seq")
    assert [bytes(row[0]) for row in kept] == said
    [status] = await gateway.orders(trade_id)
    assert status.filled_quantity == 60


@pytest.mark.parametrize(("quantity", "price"), [(101, PRICE), (0, PRICE), (100, 0)])
async def test_a_correction_to_what_no_fill_can_be_is_parked(
    scene: Scene, gateway: Gateway, quantity: int, price: int
) -> None:
    _, filled = await a_filled_order(scene, gateway)
    scene.venue.say(correct(filled, quantity, price))
    assert await parked(scene, 1) in (["OVER_FILL"], ["NOT_A_FILL"])


async def test_a_fill_and_its_bust_survive_the_gateway_and_are_judged_once(scene: Scene) -> None:
    async with scene.gateway() as gateway:
        await until(gateway.is_connected)
        trade_id, filled = await a_filled_order(scene, gateway)
        scene.execution.cannot_book.add(trade_id)
        scene.venue.say(correct(filled, 60, PRICE))
        await until(scene.venue.is_acknowledged)
    async with scene.gateway() as gateway:
        scene.execution.cannot_book.clear()
        corrected = (await told(scene, trade_id, 3)).corrected
        assert (corrected.quantity, corrected.old_quantity) == (60, 100)
        correction = scene.venue.reports[-1]
        scene.venue.say(bust(filled))
        assert await parked(scene, 1) == ["AMENDED_TWICE"]
    async with scene.gateway():
        scene.venue.say(bust(correction))
        busted = (await told(scene, trade_id, 4)).busted
        assert (busted.execution_id, busted.quantity) == (filled.exec_id, 60)


async def test_what_execution_refuses_is_parked_and_told_with_each_retry(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)
    scene.execution.impossible[trade_id] = "the ledger says INSUFFICIENT_SHARES"
    scene.venue.say(bust(filled))
    assert await parked(scene, 1) == ["REFUSED_BY_EXECUTION"]
    [case] = await desk.parked()

    del scene.execution.impossible[trade_id]
    await desk.retry(case.report_seq)

    report = await told(scene, trade_id, 4)
    assert (report.busted.execution_id, report.retries) == (filled.exec_id, 1)


async def test_after_a_bust_the_order_is_compared_by_what_is_left(
    scene: Scene, gateway: Gateway
) -> None:
    trade_id, filled = await a_filled_order(scene, gateway)
    scene.venue.say(bust(filled))
    await told(scene, trade_id, 3)

    other, _ = await a_filled_order(scene, gateway)
    scene.venue.orders[other].quantity = 101

    scene.venue.hang_up()

    await until(lambda: scene.rows("SELECT FROM order_break"))
    assert scene.rows("SELECT trade_id, kind FROM order_break") == [(other, "TERMS_DIFFER")]
