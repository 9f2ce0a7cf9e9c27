"""Operators settle what the venue leaves open: orders in doubt and reports that cannot be true."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from libs.rpc.status import reason_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.execution.v1 import execution_service_pb2 as execution
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.venue_double import accept, fill
from tests.support.keys import Keys, bearer
from tests.support.wait import until

Resolve = ops.ResolveOrderRequest
NOT_KNOWN = {"not_known": Resolve.NotKnown()}
CANCELED = {"ended": Resolve.Ended(kind=Resolve.Ended.KIND_CANCELED)}


def a_fill(quantity: int = 100, execution_id: str = "PHONE-1") -> dict[str, Any]:
    """A fill at 100 dollars, as an operator writes it."""
    filled = Resolve.Filled(
        execution_id=execution_id,
        quantity=quantity,
        price_micros=100_000_000,
        executed_at=Timestamp(seconds=1_700_000_000),
    )
    return {"filled": filled}


class Desk:
    """The operator olga's side of a gateway."""

    def __init__(self, stub: Any, keys: Keys) -> None:
        self._stub = stub
        self._who = {"metadata": bearer(keys.operator("olga")), "timeout": 10}

    async def resolve(self, trade_id: str, outcome: dict[str, Any], **fields: Any) -> int:
        """ResolveOrder, with evidence; the report's number."""
        words = {"evidence": "letter of 3 May", "reason_text": "the exchange wrote to us"}
        request = Resolve(trade_id=trade_id, **outcome, **(words | fields))
        return int((await self._stub.ResolveOrder(request, **self._who)).report_seq)

    async def unanswered(self, **fields: int) -> ops.ListUnansweredOrdersResponse:
        """ListUnansweredOrders."""
        request = ops.ListUnansweredOrdersRequest(**fields)
        response: ops.ListUnansweredOrdersResponse = await self._stub.ListUnansweredOrders(
            request, **self._who
        )
        return response

    async def parked(self, **fields: Any) -> list[ops.ParkedReport]:
        """ListParkedReports."""
        request = ops.ListParkedReportsRequest(**fields)
        return list((await self._stub.ListParkedReports(request, **self._who)).reports)

    async def retry(self, seq: int) -> ops.ParkedReport:
        """RetryParkedReport."""
        request = ops.RetryParkedReportRequest(report_seq=seq, reason_text="mended")
        report: ops.ParkedReport = (await self._stub.RetryParkedReport(request, **self._who)).report
        return report

    async def dismiss(self, seq: int) -> ops.ParkedReport:
        """DismissParkedReport."""
        request = ops.DismissParkedReportRequest(report_seq=seq, reason_text="their mistake")
        report: ops.ParkedReport = (
            await self._stub.DismissParkedReport(request, **self._who)
        ).report
        return report

    async def actions(self) -> list[ops.OperatorAction]:
        """ListOperatorActions."""
        request = ops.ListOperatorActionsRequest()
        return list((await self._stub.ListOperatorActions(request, **self._who)).actions)


@pytest.fixture
async def desk(gateway: Gateway, keys: Keys) -> AsyncIterator[Desk]:
    """An operator's desk at the gateway."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        yield Desk(ExchangeGatewayServiceStub(channel), keys)


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
    assert [r.report_seq for r in scene.execution.reports] == [1, 2, 3]


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


async def _parked_over_fill(scene: Scene, gateway: Gateway) -> pb.Order:
    """An order filled with 70 of 100, and 40 more that are parked; its report 3."""
    scene.venue.answer = lambda o: [accept(o), fill(o, 70), fill(o, 40, so_far=70)]
    await gateway.submit(order := an_order())
    await until(lambda: scene.rows("SELECT FROM parked_report"))
    return order


async def test_a_parked_report_is_shown_readable(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _parked_over_fill(scene, gateway)

    (report,) = await desk.parked()

    assert (report.report_seq, report.state) == (3, ops.ParkedReport.STATE_PARKED)
    assert (report.breach, report.detail) == ("OVER_FILL", "110 shares filled of 100 ordered")
    assert (report.kind, report.trade_id, report.customer_id) == ("FILLED", order.trade_id, "alice")
    assert (report.symbol, report.quantity, report.price_micros) == ("AAPL", 40, 100_000_000)
    assert report.execution_id == scene.venue.reports[2].exec_id
    assert await desk.parked(after_seq=3) == []


async def test_a_dismissed_report_is_kept_never_applied_and_no_alarm_any_more(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _parked_over_fill(scene, gateway)

    first, again = await desk.dismiss(3), await desk.dismiss(3)

    assert (first.state, again.state) == (ops.ParkedReport.STATE_DISMISSED,) * 2
    assert await desk.parked() == []
    assert [r.report_seq for r in await desk.parked(with_settled=True)] == [3]
    assert (await gateway.session()).parked_reports == 0
    assert len(scene.execution.told(order.trade_id)) == 2
    (action,) = await desk.actions()
    assert (action.action, action.report_seq) == ("DISMISS_REPORT", 3)
    assert (action.actor, action.reason_text) == ("olga", "their mistake")


async def test_a_retried_report_that_holds_now_is_delivered_and_one_that_does_not_stays(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    order = await _parked_over_fill(scene, gateway)
    still = await desk.retry(3)
    assert (still.state, still.breach) == (ops.ParkedReport.STATE_PARKED, "OVER_FILL")
    with psycopg.connect(scene.database_url) as connection:
        connection.execute("UPDATE venue_order SET quantity = 110")

    retried, again = await desk.retry(3), await desk.retry(3)

    assert (retried.state, again.state) == (ops.ParkedReport.STATE_RETRIED,) * 2
    await until(lambda: scene.execution.is_filled(order.trade_id))
    await until(gateway.has_delivered_all)
    assert (await gateway.session()).parked_reports == 0
    assert [a.detail.split(":")[0] for a in await desk.actions()] == ["still OVER_FILL", "it holds"]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.dismiss(3)
    assert reason_of(refused.value) == "REPORT_NOT_PARKED"


async def test_what_execution_refused_is_delivered_again_when_an_operator_says_so(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    scene.execution.impossible[(order := an_order()).trade_id] = "no such account"
    await gateway.submit(order)
    await until(lambda: scene.rows("SELECT FROM parked_report OFFSET 1"))

    assert (await desk.retry(1)).state == ops.ParkedReport.STATE_RETRIED
    await until(lambda: scene.rows("SELECT FROM parked_report WHERE seq = 1 AND state = 1"))
    scene.execution.impossible.clear()
    for seq in (1, 2):
        await desk.retry(seq)

    await until(gateway.has_delivered_all)
    told = [report.report_seq for report in scene.execution.told(order.trade_id)]
    assert told[-2:] == [1, 2]
    assert await desk.parked() == []


async def test_a_report_that_was_never_parked_is_not_found(desk: Desk) -> None:
    for call in (desk.retry, desk.dismiss):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(99)
        assert reason_of(refused.value) == "REPORT_NOT_FOUND"


async def test_the_record_of_what_operators_did_cannot_be_changed(
    scene: Scene, gateway: Gateway, desk: Desk
) -> None:
    await _parked_over_fill(scene, gateway)
    await desk.dismiss(3)

    for change in ("UPDATE operator_action SET actor = 'x'", "DELETE FROM operator_action"):
        with psycopg.connect(scene.database_url) as connection, pytest.raises(psycopg.Error):
            connection.execute(change.encode())


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
