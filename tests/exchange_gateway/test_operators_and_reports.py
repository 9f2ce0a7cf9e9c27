"""Operators settle reports that cannot be true, and all they do is on record."""

import grpc
import psycopg
import pytest

from libs.rpc.status import reason_of
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1 import operators_pb2 as ops
from tests.exchange_gateway.conftest import Gateway, Scene, an_order
from tests.exchange_gateway.operators_desk import Desk
from tests.exchange_gateway.venue_words import accept, fill
from tests.support.wait import until


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
