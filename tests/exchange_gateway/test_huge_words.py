"""Whatever names and words a venue uses, the session goes on and nothing is lost."""

import secrets
from typing import Any

import pytest

from stockbroker.exchange.v1 import exchange_pb2 as market
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.test_amendments import a_filled_order, parked
from tests.exchange_gateway.venue_words import about, accept, accept_and_fill, bust, fill
from tests.support.wait import until

CANCELED = market.ExecutionReport.EXEC_TYPE_CANCELED


async def a_resting_order(scene: Scene, gateway: Gateway) -> market.NewOrder:
    """As the venue has it; the next ones are filled."""
    order = an_order()
    scene.venue.answer = lambda taken: [accept(taken)]
    await gateway.submit(order)
    await until(scene.venue.is_acknowledged)
    scene.venue.answer = accept_and_fill
    return scene.venue.orders[order.trade_id]


async def trouble_of(gateway: Gateway) -> str:
    """What is wrong with the session; empty: nothing."""
    return (await gateway.session()).trouble


@pytest.mark.parametrize(
    "names",
    [
        {"exec_ref_id": "E\0"},
        {"exec_id": "E\0"},
        {"exec_id": secrets.token_hex(9_000)},
        {"exchange_order_id": "X" * 5_000_000},
        {"symbol": "A" * 5_000_000},
        {"client_order_id": "T" * 5_000_000},
    ],
    ids=lambda names: next(iter(names)),
)
async def test_a_report_with_a_name_that_no_book_could_hold_is_parked_and_others_go_on(
    scene: Scene, gateway: Gateway, names: dict[str, Any]
) -> None:
    _, filled = await a_filled_order(scene, gateway)

    scene.venue.say(bust(filled, **names))

    await a_filled_order(scene, gateway)
    assert await parked(scene, 1) == ["UNREADABLE"]


async def test_a_fill_told_twice_counts_once_whatever_its_name(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)
    for _ in range(2):
        part = fill(order, 10)
        part.exec_id = "E\0"
        scene.venue.say(part)
        await until(scene.venue.is_acknowledged)
    assert await parked(scene, 2) == ["UNREADABLE", "UNREADABLE"]
    [status] = await gateway.orders(order.client_order_id)
    assert status.filled_quantity == 0


async def test_an_end_with_more_words_than_a_message_holds_is_told_shorter(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)

    scene.venue.say(about(order, CANCELED, reason_text="no " * 2_000_000))

    await a_filled_order(scene, gateway)
    told = scene.execution.told
    await until(lambda: len(told(order.client_order_id)) == 2)
    assert told(order.client_order_id)[-1].ended.reason_text.startswith("no no")


async def test_a_message_that_cannot_be_taken_in_is_an_alarm_until_the_venue_mends_it(
    scene: Scene, gateway: Gateway
) -> None:
    order = await a_resting_order(scene, gateway)

    scene.venue.say(about(order, CANCELED, reason_text="no " * 6_000_000))

    trouble = await until(lambda: trouble_of(gateway))
    assert "too large" in trouble
    logons = len(scene.venue.logons)
    await until(lambda: len(scene.venue.logons) > logons + 2)
    assert await trouble_of(gateway) == trouble
    scene.venue.reports[-1].reason_text = "no"
    await until(scene.venue.is_acknowledged)
    assert not await trouble_of(gateway)
    await a_filled_order(scene, gateway)
