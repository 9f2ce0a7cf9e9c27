"""Fills that the operator busts or corrects: told on the session, kept for ever."""

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from stockbroker.exchange.v1 import drop_copy_pb2
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from tests.exchange_simulator.member import NEW, TRADE, Exchange, Member, a_limit, an_order
from tests.support.keys import Keys, bearer
from tests.support.wait import until

DOLLAR = 1_000_000
BUSTED = pb.ExecutionReport.EXEC_TYPE_TRADE_CANCEL
CORRECTED = pb.ExecutionReport.EXEC_TYPE_TRADE_CORRECT


async def bust(exchange: Exchange, exec_id: str, **fields: Any) -> pb.ExecutionReport:
    request = control.BustExecutionRequest(exec_id=exec_id, reason_text="a clear error", **fields)
    return (await exchange.control.BustExecution(request, metadata=exchange.operator)).report


async def correct(exchange: Exchange, exec_id: str, **fields: Any) -> pb.ExecutionReport:
    request = control.CorrectExecutionRequest(exec_id=exec_id, reason_text="a typo", **fields)
    return (await exchange.control.CorrectExecution(request, metadata=exchange.operator)).report


async def a_fill(member: Member) -> pb.ExecutionReport:
    """Of 10 shares, which is its whole order."""
    reports = await member.trade(an_order())
    return next(report for report in reports if report.exec_type == TRADE)


async def told(member: Member, report: pb.ExecutionReport) -> None:
    await until(lambda: report in member.reports)


async def test_a_busted_fill_is_told_on_its_session_and_counts_no_more(
    exchange: Exchange, member: Member
) -> None:
    fill = await a_fill(member)

    report = await bust(exchange, fill.exec_id)

    await told(member, report)
    assert report.seq == len(member.reports)
    assert (report.exec_type, report.exec_ref_id) == (BUSTED, fill.exec_id)
    assert report.client_order_id == fill.client_order_id
    assert report.exchange_order_id == fill.exchange_order_id
    assert (report.last_quantity, report.last_price_micros) == (10, fill.last_price_micros)
    assert (report.cumulative_quantity, report.reason_text) == (0, "a clear error")
    [standing] = await exchange.standings(pb.NewOrder(client_order_id=fill.client_order_id))
    assert (standing.cumulative_quantity, standing.is_open) == (0, False)


async def test_a_corrected_fill_has_other_terms(exchange: Exchange, member: Member) -> None:
    fill = await a_fill(member)

    report = await correct(exchange, fill.exec_id, quantity=4, price_micros=3 * DOLLAR)

    await told(member, report)
    assert (report.exec_type, report.exec_ref_id) == (CORRECTED, fill.exec_id)
    assert (report.last_quantity, report.last_price_micros) == (4, 3 * DOLLAR)
    assert report.cumulative_quantity == 4


async def test_a_price_alone_is_corrected(exchange: Exchange, member: Member) -> None:
    fill = await a_fill(member)
    report = await correct(exchange, fill.exec_id, price_micros=3 * DOLLAR)
    assert (report.last_quantity, report.cumulative_quantity) == (10, 10)
    [standing] = await exchange.standings(pb.NewOrder(client_order_id=fill.client_order_id))
    assert standing.cumulative_quantity == 10


async def test_asked_again_the_same_is_told_and_nothing_new(
    exchange: Exchange, member: Member
) -> None:
    fill = await a_fill(member)

    first, second = [await bust(exchange, fill.exec_id) for _ in range(2)]

    assert first == second
    await a_fill(member)
    assert sum(report.exec_type == BUSTED for report in member.reports) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"exec_id": "XSIM-0-0"}, "EXECUTION_NOT_FOUND"),
        ({"exec_id": "XSIM\0"}, "EXECUTION_NOT_FOUND"),
        ({"quantity": 11}, "INVALID_QUANTITY"),
        ({"quantity": -1}, "INVALID_QUANTITY"),
        ({"price_micros": -1}, "INVALID_PRICE"),
        ({"price_micros": 3 * DOLLAR + 1}, "INVALID_PRICE"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_nobody_is_cut_off(
    exchange: Exchange, member: Member, change: dict[str, Any], reason: str
) -> None:
    fill = await a_fill(member)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await correct(exchange, **{"exec_id": fill.exec_id, **change})
    assert reason in str(refused.value.trailing_metadata())
    await a_fill(member)


async def test_an_order_that_still_works_keeps_its_fills(
    exchange: Exchange, member: Member
) -> None:
    ask = control.RestingOrder(order_id=1, quantity=4, price_micros=100 * DOLLAR)
    book = control.LoadBookRequest(symbol="AAPL", orders=[ask])
    await exchange.control.LoadBook(book, metadata=exchange.operator)
    order = a_limit(100 * DOLLAR)
    member.send(order)
    await member.said(order, NEW, TRADE)
    fill = next(r for r in member.reports if r.exec_type == TRADE)

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bust(exchange, fill.exec_id)

    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def refusal(asked: Awaitable[pb.ExecutionReport]) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asked
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    return str(refused.value.trailing_metadata())


async def test_a_corrected_fill_is_corrected_and_busted_by_the_name_of_its_latest_correction(
    exchange: Exchange, member: Member
) -> None:
    fill = await a_fill(member)
    first = await correct(exchange, fill.exec_id, quantity=4, price_micros=3 * DOLLAR)

    second, again = [await correct(exchange, first.exec_id, quantity=6) for _ in range(2)]
    last = await bust(exchange, second.exec_id)

    assert second == again
    assert (first.exec_ref_id, first.first_exec_id) == (fill.exec_id, "")
    assert (second.exec_ref_id, second.first_exec_id) == (first.exec_id, fill.exec_id)
    assert (second.last_quantity, second.last_price_micros) == (6, 3 * DOLLAR)
    assert (last.exec_ref_id, last.first_exec_id) == (second.exec_id, fill.exec_id)
    assert (last.last_quantity, last.last_price_micros) == (6, 3 * DOLLAR)
    assert [each.cumulative_quantity for each in (first, second, last)] == [4, 6, 0]
    await told(member, last)
    [standing] = await exchange.standings(pb.NewOrder(client_order_id=fill.client_order_id))
    assert standing.cumulative_quantity == 0


async def test_each_is_amended_once_and_what_was_busted_never_again(
    exchange: Exchange, member: Member
) -> None:
    fill = await a_fill(member)
    first = await correct(exchange, fill.exec_id, quantity=4)
    assert "EXECUTION_AMENDED" in await refusal(bust(exchange, fill.exec_id))
    last = await bust(exchange, first.exec_id)
    assert "EXECUTION_AMENDED" in await refusal(correct(exchange, first.exec_id, quantity=3))
    assert "EXECUTION_AMENDED" in await refusal(bust(exchange, last.exec_id))


async def test_a_member_that_is_away_hears_of_it_at_its_next_logon(exchange: Exchange) -> None:
    async with exchange.member("away") as member:
        fill = await a_fill(member)
        heard = len(member.reports)
    report = await bust(exchange, fill.exec_id)
    async with exchange.member("away", next_report_seq=heard + 1) as member:
        await told(member, report)
        asked = drop_copy_pb2.ListExecutionsRequest(session_id="away")
        copy = await exchange.service.ListExecutions(asked, metadata=exchange.operator)
        assert (list(copy.executions), list(copy.corrections)) == ([fill], [report])


async def test_only_operators_amend(exchange: Exchange, member: Member, keys: Keys) -> None:
    fill = await a_fill(member)
    request = control.BustExecutionRequest(exec_id=fill.exec_id, reason_text="mine")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await exchange.control.BustExecution(request, metadata=bearer(keys.customer("alice")))
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
