"""Operators settle orders that the venue leaves in doubt."""

import asyncio
from contextlib import suppress
from typing import Any

import grpc
import psycopg
import pytest

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.execution.v1 import execution_service_pb2 as execution
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.operators_desk import CANCELED, NOT_KNOWN, Desk, Resolve, a_fill
from tests.exchange_gateway.venue_words import accept, fill
from tests.support.keys import Keys, bearer
from tests.support.wait import until

LONG_AFTER = a_fill()["filled"]
LONG_AFTER.executed_at.seconds = 10**13  # in the year 318857


async def _in_doubt(scene: Scene, gateway: Gateway) -> pb.Order:
    """An order the venue has taken and says nothing about."""
    usual, scene.venue.answer = scene.venue.answer, lambda order: []
    await gateway.submit(order := an_order())
    await until(lambda: order.trade_id in scene.venue.orders)
    scene.venue.answer = usual
    return order


async def test_an_order_in_doubt_is_shown_with_its_age_and_what_was_heard(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    first, second = await _in_doubt(scene, gateway), await _in_doubt(scene, gateway)

    async def has_been_asked() -> bool:
        return all(order.heard for order in (await desk.unanswered()).orders)

    await until(has_been_asked)
    page = await desk.unanswered(limit=1)
    rest = await desk.unanswered(limit=1, after_seq=page.next_after_seq)

    (told,) = page.orders
    assert (told.trade_id, told.customer_id, told.quantity) == (first.trade_id, "alice", 100)
    assert told.heard == "the exchange knows it and has 0 reports of it"
    assert told.asked_at.seconds >= told.created_at.seconds
    assert told.age_seconds >= 0
    assert [order.trade_id for order in rest.orders] == [second.trade_id]
    assert rest.next_after_seq == 0


@pytest.mark.parametrize(
    ("outcome", "kind", "reason"),
    [
        (NOT_KNOWN, execution.Report.Ended.KIND_REJECTED, Reason.REASON_EXCHANGE_REJECTED),
        (CANCELED, execution.Report.Ended.KIND_CANCELED, Reason.REASON_EXCHANGE_REJECTED),
        (
            {"ended": Resolve.Ended(kind=Resolve.Ended.KIND_EXPIRED)},
            execution.Report.Ended.KIND_EXPIRED,
            Reason.REASON_EXPIRED,
        ),
    ],
)
async def test_an_order_ended_by_an_operator_is_told_like_the_venues_own_word(
    scene: Scene, gateway: Gateway, desk: Desk, outcome: dict[str, Any], kind: int, reason: int
) -> None:
    order = await _in_doubt(scene, gateway)
    await scene.venue.stop()

    seq = await desk.resolve(order.trade_id, outcome)

    await until(lambda: scene.execution.told(order.trade_id))
    (report,) = scene.execution.told(order.trade_id)
    assert (report.report_seq, report.customer_id, report.symbol) == (seq, "alice", "AAPL")
    assert (report.ended.kind, report.ended.reason) == (kind, reason)
    assert report.ended.reason_text == "the exchange wrote to us"
    assert (await gateway.session()).pending_orders == 0
    assert scene.rows("SELECT author FROM venue_report") == [("olga",)]


async def test_fills_written_by_an_operator_fill_the_order_and_the_venues_numbers_go_on(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    before = an_order()
    await gateway.submit(before)
    await until(lambda: scene.execution.is_filled(before.trade_id))
    order = await _in_doubt(scene, gateway)
    await scene.venue.stop()
    await desk.resolve(order.trade_id, a_fill(60))
    await desk.resolve(order.trade_id, a_fill(40, "PHONE-2"))
    await scene.venue.start()

    await gateway.submit(after := an_order())

    await until(lambda: scene.execution.is_filled(after.trade_id))
    assert scene.execution.is_filled(order.trade_id)
    fills = [report.filled for report in scene.execution.told(order.trade_id)]
    assert [(f.quantity, f.is_last) for f in fills] == [(60, False), (40, True)]
    assert fills[0].executed_at.seconds == 1_700_000_000
    assert [r.report_seq for r in scene.execution.reports] == [1, 2, 3, 4, 5, 6]
    assert scene.rows("SELECT report_offset FROM venue_session") == [(2,)]
    await until(scene.venue.is_acknowledged)
    assert set(scene.venue.sends.values()) == {1}


async def test_what_an_operator_said_is_kept_over_a_restart_and_the_venue_goes_on_from_there(
    scene: Scene, keys: Keys
) -> None:
    async with scene.gateway() as gateway:
        await until(gateway.is_connected)
        order = await _in_doubt(scene, gateway)
        async with grpc.aio.insecure_channel(gateway.address) as channel:
            desk = Desk(ExchangeGatewayServiceStub(channel), keys)
            await desk.resolve(order.trade_id, a_fill(), despite_exchange="they are sure")
        await until(lambda: scene.execution.is_filled(order.trade_id))
    async with scene.gateway() as gateway:
        await gateway.submit(after := an_order())
        await until(lambda: scene.execution.is_filled(after.trade_id))
    # One that was told may come again, when the gateway ended before it had noted the answer.
    assert [*dict.fromkeys(r.report_seq for r in scene.execution.reports)] == [1, 2, 3]


async def test_a_logon_does_not_forget_a_report_that_an_operator_writes_at_that_moment(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE "
    venue, order = scene.venue, await _in_doubt(scene, gateway)
    venue.may_log_on.clear()
    venue.hang_up()
    await until(lambda: len(venue.logons) == 2)
    with psycopg.connect(scene.database_url) as beside:
        beside.execute("SELECT FROM venue_session FOR UPDATE")
        resolve = desk.resolve(order.trade_id, a_fill(), despite_exchange="they are sure")
        resolving = asyncio.create_task(resolve)
        await until(lambda: scene.rows(waiting + "'%report_offset + 1%'"))
        venue.may_log_on.set()
        with suppress(AssertionError):  # what the logon keeps waits, and not for this row
            await until(lambda: scene.rows(waiting + "'%SET venue = %'"), seconds=0.5)
    await resolving

    await gateway.submit(after := an_order())
    await until(lambda: scene.execution.is_filled(after.trade_id))

    assert scene.rows("SELECT report_offset FROM venue_session") == [(1,)]


async def test_an_order_resolved_before_it_was_sent_is_never_sent(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    await scene.venue.stop()
    await gateway.submit(order := an_order())

    await desk.resolve(order.trade_id, NOT_KNOWN)
    await scene.venue.start()
    await gateway.submit(after := an_order())

    await until(lambda: scene.execution.is_filled(after.trade_id))
    assert scene.venue.sends == {after.trade_id: 1}


async def test_while_the_venue_answers_an_operator_must_say_why_not_to_wait(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _in_doubt(scene, gateway)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.resolve(order.trade_id, NOT_KNOWN)
    assert reason_of(refused.value) == "EXCHANGE_CAN_ANSWER"
    assert scene.rows("SELECT FROM venue_report") == []
    await desk.resolve(order.trade_id, NOT_KNOWN, despite_exchange="their system is broken")

    await until(lambda: scene.execution.told(order.trade_id))
    (action,) = await desk.actions()
    assert (action.actor, action.action, action.detail) == ("olga", "RESOLVE_ORDER", "NOT_KNOWN")
    assert (action.trade_id, action.report_seq) == (order.trade_id, 1)
    assert action.reason_text == "the exchange wrote to us"
    assert "letter of 3 May" in action.evidence
    assert "has 0 reports" in action.evidence
    assert "their system is broken" in action.evidence


async def test_a_resolution_may_be_repeated_and_another_one_is_refused(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _in_doubt(scene, gateway)
    await scene.venue.stop()

    first = await desk.resolve(order.trade_id, a_fill())
    again = await desk.resolve(order.trade_id, a_fill())
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.resolve(order.trade_id, CANCELED)

    assert again == first
    assert reason_of(refused.value) == "ORDER_HAS_ENDED"
    assert len(await desk.actions()) == 1
    assert len(scene.rows("SELECT FROM venue_report")) == 1


async def test_an_operators_word_that_cannot_be_true_is_refused(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _in_doubt(scene, gateway)
    await scene.venue.stop()
    await desk.resolve(order.trade_id, a_fill(60))

    reasons = []
    for trade_id, outcome in (
        (order.trade_id, a_fill(41, "PHONE-2")),
        (order.trade_id, a_fill(40)),
        (an_order().trade_id, CANCELED),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await desk.resolve(trade_id, outcome)
        reasons.append(reason_of(refused.value))

    assert reasons == ["CANNOT_BE_TRUE", "CANNOT_BE_TRUE", "TRADE_NOT_FOUND"]
    assert len(scene.rows("SELECT FROM venue_report")) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"evidence": " "},
        {"reason_text": ""},
        {"trade_id": "x"},
        {"filled": Resolve.Filled()},
        {"filled": LONG_AFTER},
        {"ended": Resolve.Ended()},
        {},
    ],
)
async def test_a_resolution_without_evidence_or_terms_is_refused(
    desk: Desk, fields: dict[str, Any]
) -> None:
    given = {"trade_id": an_order().trade_id} | fields
    outcome = {} if {"filled", "ended"} & given.keys() or not fields else CANCELED

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.resolve(given.pop("trade_id"), outcome, **given)

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_fill_is_named_by_as_long_an_id_as_the_books_take(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _in_doubt(scene, gateway)
    await scene.venue.stop()

    await desk.resolve(order.trade_id, a_fill(60, "P" * 128))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.resolve(order.trade_id, a_fill(1, "P" * 129))

    assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert scene.rows("SELECT FROM venue_report") == [()]


async def test_a_late_word_of_the_venue_after_an_operators_is_judged_against_it(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _in_doubt(scene, gateway)
    await desk.resolve(order.trade_id, a_fill(), despite_exchange="confirmed by telephone")
    sent = scene.venue.orders[order.trade_id]

    scene.venue.say(accept(sent), fill(sent))

    await until(lambda: scene.rows("SELECT FROM parked_report"))
    (report,) = await desk.parked()
    assert (report.breach, report.report_seq) == ("OVER_FILL", 3)
    fills = [r for r in scene.execution.told(order.trade_id) if r.HasField("filled")]
    assert len(fills) == 1


async def test_services_and_customers_have_no_operators_hand(gateway: Gateway, keys: Keys) -> None:
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = ExchangeGatewayServiceStub(channel)
        for token in (keys.service("execution"), keys.customer("alice")):
            who = {"metadata": bearer(token), "timeout": 5}
            for call in (
                stub.ResolveOrder(Resolve(), **who),
                stub.ListUnansweredOrders(ops.ListUnansweredOrdersRequest(), **who),
                stub.ListParkedReports(ops.ListParkedReportsRequest(), **who),
                stub.RetryParkedReport(ops.RetryParkedReportRequest(), **who),
                stub.DismissParkedReport(ops.DismissParkedReportRequest(), **who),
                stub.ListOperatorActions(ops.ListOperatorActionsRequest(), **who),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await call
                assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
