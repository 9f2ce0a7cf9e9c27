"""After each logon the venue's word on orders is held against the books."""

import secrets
from typing import Any

import grpc
import psycopg
import pytest

from services.exchange_gateway.domain import State
from services.exchange_gateway.domain.comparison import Ours, Theirs, compare
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_words import accept
from tests.support.keys import bearer
from tests.support.wait import until


def _ours(
    state: State = State.DONE,
    filled: int = 100,
    *,
    symbol: str = "AAPL",
    is_explained: bool = False,
) -> Ours:
    return Ours("t", symbol, 1, 100, filled, state, 5, is_explained)


def _theirs(*, filled: int = 100, is_open: bool = False) -> Theirs:
    return Theirs("t", "AAPL", 1, 100, filled, is_open, 9)


@pytest.mark.parametrize(
    ("ours", "theirs", "kinds"),
    [
        (_ours(), _theirs(), []),
        (_ours(State.ACCEPTED, 30), _theirs(filled=30, is_open=True), []),
        (_ours(State.PENDING, 0), _theirs(filled=0, is_open=True), []),
        (None, _theirs(), ["UNKNOWN_HERE"]),
        (_ours(), None, ["UNKNOWN_AT_VENUE"]),
        (_ours(symbol="KO"), _theirs(), ["TERMS_DIFFER"]),
        (_ours(State.ACCEPTED, 30), _theirs(filled=40, is_open=True), ["FILLED_DIFFERENTLY"]),
        (_ours(filled=30), _theirs(filled=30, is_open=True), ["OPEN_AT_VENUE"]),
        (_ours(State.ACCEPTED, 30), _theirs(filled=30), ["ENDED_AT_VENUE"]),
        (_ours(is_explained=True), _theirs(filled=0, is_open=True), []),
        (_ours(is_explained=True), None, []),
        (None, None, []),
    ],
)
def test_a_difference_that_nothing_explains_is_named(
    ours: Ours | None, theirs: Theirs | None, kinds: list[str]
) -> None:
    found = compare({"t": ours} if ours else {}, {"t": theirs}, kept_seq=9)

    assert [one.kind for one in found.breaks] == kinds
    assert found.lost == []


@pytest.mark.parametrize(("kept_seq", "lost"), [(5, ["t"]), (4, [])])
def test_an_order_is_lost_at_the_venue_only_if_the_venue_had_its_command(
    kept_seq: int, lost: list[str]
) -> None:
    found = compare({"t": _ours(State.PENDING, 0)}, {"t": None}, kept_seq=kept_seq)

    assert (found.lost, found.breaks) == (lost, [])


async def test_an_order_lost_at_the_venue_is_sent_again_at_the_next_logon(scene: Scene) -> None:
    scene.venue.forgets_orders = 1
    async with scene.gateway(query_after_seconds=600.0) as gateway:
        await until(gateway.is_connected)
        await gateway.submit(lost := an_order())
        await until(lambda: scene.venue.sends == {lost.trade_id: 1})

        scene.venue.hang_up()

        await until(lambda: scene.execution.is_filled(lost.trade_id))
    assert scene.venue.sends == {lost.trade_id: 2}


async def _has_broken(gateway: Gateway, breaks: int) -> bool:
    return (await gateway.session()).order_breaks == breaks


async def test_an_order_of_the_session_that_is_not_in_the_books_is_an_alarm(
    scene: Scene, gateway: Gateway
) -> None:
    orders = [an_order() for _ in range(5)]
    await gateway.submit(*orders)
    await until(lambda: all(scene.execution.is_filled(o.trade_id) for o in orders))
    strange = market.NewOrder(
        client_order_id="not-ours", symbol="KO", side=market.SIDE_BUY, quantity=7
    )
    scene.venue.orders["not-ours"] = strange

    scene.venue.hang_up()

    await until(lambda: _has_broken(gateway, 1))
    broken = scene.rows("SELECT trade_id, kind, detail FROM order_break")
    assert broken == [("not-ours", "UNKNOWN_HERE", "the venue has an order of 7 KO, 0 filled")]


async def test_an_order_with_an_id_that_no_book_could_hold_is_an_alarm_and_others_go_on(
    scene: Scene, gateway: Gateway
) -> None:
    strange = secrets.token_hex(9_000)
    order = market.NewOrder(symbol="KO", side=market.SIDE_BUY, quantity=7)
    order.client_order_id = strange
    scene.venue.orders[strange] = order

    scene.venue.hang_up()

    await until(lambda: _has_broken(gateway, 1))
    assert scene.rows("SELECT trade_id FROM order_break") == [(strange[:128],)]
    await gateway.submit(usual := an_order())
    await until(lambda: scene.execution.is_filled(usual.trade_id))


async def test_a_break_is_cleared_when_it_is_gone_and_not_raised_again_when_dismissed(
    scene: Scene, gateway: Gateway
) -> None:
    scene.venue.answer = lambda order: [accept(order)]
    await gateway.submit(first := an_order(), second := an_order())
    await until(lambda: len(scene.execution.reports) == 2)
    with psycopg.connect(scene.database_url) as connection:
        connection.execute("UPDATE venue_order SET filled_quantity = 60, state = 3")
    scene.venue.hang_up()
    await until(lambda: _has_broken(gateway, 2))
    (break_id,) = scene.rows(f"SELECT id FROM order_break WHERE trade_id = '{first.trade_id}'")[0]
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = ExchangeGatewayServiceStub(channel)
        who = {"metadata": bearer(scene.keys.operator("olga")), "timeout": 5}
        request = ops.DismissOrderBreakRequest(break_id=break_id, reason_text="agreed by mail")
        answers = [(await stub.DismissOrderBreak(request, **who)).dismissed for _ in range(2)]
        listed = (await stub.ListOrderBreaks(ops.ListOrderBreaksRequest(), **who)).breaks
    assert answers == [True, False]
    assert [(one.trade_id, one.kind) for one in listed] == [(second.trade_id, "FILLED_DIFFERENTLY")]

    with psycopg.connect(scene.database_url) as connection:
        connection.execute(
            "UPDATE venue_order SET filled_quantity = 0 WHERE trade_id = %s", [second.trade_id]
        )
    scene.venue.hang_up()

    await until(lambda: _has_broken(gateway, 0))
    states = dict(scene.rows("SELECT trade_id, state FROM order_break"))
    assert states == {first.trade_id: 3, second.trade_id: 2}
    assert scene.rows("SELECT actor, action FROM operator_action") == [("olga", "DISMISS_BREAK")]


async def test_orders_in_the_middle_of_their_life_are_no_difference(
    scene: Scene, gateway: Gateway
) -> None:
    for _ in range(5):
        await gateway.submit(*(an_order() for _ in range(30)))
        scene.venue.hang_up()
    await until(lambda: scene.execution.has_filled(150), seconds=30)

    assert scene.rows("SELECT FROM order_break") == []
    assert set(scene.venue.sends.values()) == {1}
