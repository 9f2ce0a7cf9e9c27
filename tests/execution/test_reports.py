"""What the exchange says is booked once, the ledger first, whatever fails in between."""

import grpc
import pytest

from libs.rpc import connect
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2_grpc as pb_grpc
from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.support.keys import bearer

APPLIED, IMPOSSIBLE = pb.ReportResult.CODE_APPLIED, pb.ReportResult.CODE_IMPOSSIBLE
LATER = pb.ReportResult.CODE_LATER


async def submitted(desk: Desk, worker: WorkerDouble, customer: str = "alice") -> str:
    """A trade whose order is at the gateway."""
    trade_id = await desk.place(customer, quantity=100)
    await eventually(lambda: trade_id in desk.gateway.orders)
    return trade_id


def ended(kind: pb.Report.Ended.Kind.ValueType, reason: Reason.ValueType) -> pb.Report.Ended:
    return pb.Report.Ended(kind=kind, reason=reason, reason_text="as the exchange says")


def codes(answer: pb.ApplyReportsResponse) -> list[pb.ReportResult.Code.ValueType]:
    return [result.code for result in answer.results]


async def test_partial_fills_are_booked_one_by_one_and_the_last_frees_the_rest(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)

    first = await desk.deliver(worker, desk.fill(trade_id, 60))
    assert desk.order.trade(trade_id).filled_quantity == 60
    last = await desk.deliver(worker, desk.fill(trade_id, 40))

    assert codes(first) == codes(last) == [APPLIED]
    assert desk.order.status(trade_id) == "FILLED"
    postings = list(desk.ledger.posted.values())
    assert [posting.quantity for posting in postings] == [60, 40]
    assert [posting.releases_rest for posting in postings] == [False, True]
    assert {(posting.symbol, posting.venue) for posting in postings} == {("AAPL", "XSIM")}


async def test_a_repeated_batch_gives_the_same_answer_and_books_nothing_more(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    batch = [
        desk.report(trade_id, accepted=pb.Report.Accepted(exchange_order_id="X1")),
        desk.fill(trade_id),
    ]

    answers = [await desk.deliver(worker, *batch) for _ in range(3)]

    assert [codes(answer) for answer in answers] == [[APPLIED, APPLIED]] * 3
    assert [result.report_seq for result in answers[0].results] == [1, 2]
    assert desk.ledger.log == [("posted", trade_id)]
    assert [what for what, _ in desk.order.log] == ["placed", "started", "ended"]


async def test_a_brief_answer_tells_of_all_at_once_or_else_of_each(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    sound, wrong = desk.fill(trade_id), pb.Report(report_seq=9, trade_id=trade_id)
    channel = connect(worker.address, desk.keys.token_file("exchange_gateway"))
    stub = pb_grpc.ExecutionServiceStub(channel)

    all_booked = await stub.ApplyReports(pb.ApplyReportsRequest(reports=[sound], is_brief=True))
    not_all = await stub.ApplyReports(pb.ApplyReportsRequest(reports=[sound, wrong], is_brief=True))

    assert (all_booked.all_applied, codes(all_booked)) == (True, [])
    assert (not_all.all_applied, codes(not_all)) == (False, [APPLIED, IMPOSSIBLE])
    await channel.close()


@pytest.mark.parametrize("name", ["ledger", "order"])
async def test_reports_stay_the_gateways_until_both_books_have_them(desk: Desk, name: str) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    report = desk.fill(trade_id)
    faults = getattr(desk, name).faults
    faults.is_away = True
    channel = connect(worker.address, desk.keys.token_file("exchange_gateway"))
    stub = pb_grpc.ExecutionServiceStub(channel)

    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await stub.ApplyReports(pb.ApplyReportsRequest(reports=[report]))

    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert desk.order.status(trade_id) == "IN_PROGRESS"
    assert bool(desk.ledger.posted) is (name == "order")
    faults.is_away = False
    assert codes(await stub.ApplyReports(pb.ApplyReportsRequest(reports=[report]))) == [APPLIED]
    assert desk.order.status(trade_id) == "FILLED"
    assert len(desk.ledger.posted) == 1
    await channel.close()


@pytest.mark.parametrize("method", ["PostExecutions", "ApplyOutcomes"])
async def test_a_lost_answer_between_the_books_books_nothing_twice(desk: Desk, method: str) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    faults = (desk.ledger if method == "PostExecutions" else desk.order).faults
    faults.lose = {method: 1}

    answer = await desk.deliver(worker, desk.fill(trade_id))

    assert faults.lose == {method: 0}
    assert codes(answer) == [APPLIED]
    assert desk.order.status(trade_id) == "FILLED"
    assert len(desk.ledger.posted) == 1


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (pb.Report.Ended.KIND_REJECTED, "REJECTED"),
        (pb.Report.Ended.KIND_CANCELED, "CANCELED"),
        (pb.Report.Ended.KIND_EXPIRED, "EXPIRED"),
    ],
)
async def test_an_ended_order_frees_its_hold_and_ends_its_trade(
    desk: Desk, kind: pb.Report.Ended.Kind.ValueType, status: str
) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    end = desk.report(trade_id, ended=ended(kind, Reason.REASON_NO_LIQUIDITY))

    answer = await desk.deliver(worker, end)

    assert codes(answer) == [APPLIED]
    assert desk.order.status(trade_id) == status
    assert desk.order.trade(trade_id).reason == Reason.REASON_NO_LIQUIDITY
    assert desk.ledger.log == [("released", trade_id)]
    assert codes(await desk.deliver(worker, end)) == [APPLIED]
    assert desk.ledger.log == [("released", trade_id)]


async def test_a_part_that_was_filled_is_booked_before_the_rest_is_freed(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    end = ended(pb.Report.Ended.KIND_CANCELED, Reason.REASON_NO_LIQUIDITY)

    answer = await desk.deliver(worker, desk.fill(trade_id, 30), desk.report(trade_id, ended=end))

    assert codes(answer) == [APPLIED, APPLIED]
    assert desk.ledger.log == [("posted", trade_id), ("released", trade_id)]
    assert desk.order.status(trade_id) == "CANCELED"
    assert desk.order.trade(trade_id).filled_quantity == 30


async def test_what_cannot_be_true_is_handed_back_and_its_neighbours_are_booked(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    good = await submitted(desk, worker)
    never_held = desk.order.place("bob")
    empty = desk.report(good)
    twice = desk.fill(good, 80)
    end = ended(pb.Report.Ended.KIND_CANCELED, Reason.REASON_NO_LIQUIDITY)
    desk.ledger.faults.closed.add("PlaceHolds")

    answer = await desk.deliver(
        worker,
        empty,
        desk.fill(never_held),
        desk.report(never_held, ended=end),
        desk.fill(good),
        twice,
    )

    assert codes(answer) == [IMPOSSIBLE, IMPOSSIBLE, IMPOSSIBLE, APPLIED, IMPOSSIBLE]
    details = [result.detail for result in answer.results]
    assert all("HOLD_NOT_FOUND" in detail for detail in details[1:3])
    assert "HOLD_CLOSED" in details[4]
    assert desk.order.status(good) == "FILLED"
    assert [execution.trade_id for execution in desk.ledger.posted.values()] == [good]
    desk.ledger.faults.closed.clear()


async def test_a_report_of_a_trade_the_order_service_does_not_have_is_impossible(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    report = desk.report(trade_id, accepted=pb.Report.Accepted(exchange_order_id="X1"))
    report.trade_id = "nobody's"

    answer = await desk.deliver(worker, report)

    assert codes(answer) == [IMPOSSIBLE]
    assert "no such trade" in answer.results[0].detail


async def test_no_reports_are_no_trouble(desk: Desk) -> None:
    worker = await desk.start_worker()

    assert codes(await desk.deliver(worker)) == []


async def test_a_fault_of_the_ledger_loses_no_report(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    report = desk.fill(trade_id)
    desk.ledger.faults.poison = lambda request: desk.ledger.faults.calls["PostExecutions"] < 3

    first = await desk.deliver(worker, report)
    assert codes(first) == [LATER]
    assert first.results[0].detail
    await desk.deliver_whole(worker, report)

    assert desk.order.status(trade_id) == "FILLED"
    assert len(desk.ledger.posted) == 1


async def test_what_cannot_be_booked_now_comes_again_and_other_trades_go_on(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    stuck, good = await submitted(desk, worker), await submitted(desk, worker, customer="bob")
    end = ended(pb.Report.Ended.KIND_CANCELED, Reason.REASON_NO_LIQUIDITY)
    batch = [
        desk.report(stuck, accepted=pb.Report.Accepted(exchange_order_id="X1")),
        desk.fill(stuck, 30),
        desk.report(stuck, ended=end),
        desk.fill(good),
    ]
    desk.ledger.chokes_on.add(batch[1].filled.execution_id)

    answer = await desk.deliver(worker, *batch)

    assert codes(answer) == [APPLIED, LATER, LATER, APPLIED]
    assert "INTERNAL" in answer.results[1].detail
    assert desk.order.status(good) == "FILLED"
    assert desk.order.status(stuck) == "IN_PROGRESS"
    assert desk.ledger.log == [("posted", good)]
    desk.ledger.chokes_on.clear()
    assert codes(await desk.deliver(worker, *batch)) == [APPLIED] * 4
    assert desk.ledger.log[1:] == [("posted", stuck), ("released", stuck)]
    assert desk.order.status(stuck) == "CANCELED"
    assert desk.order.trade(stuck).filled_quantity == 30


async def test_a_last_fill_is_not_booked_before_one_that_comes_again(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    trade_id = await submitted(desk, worker)
    first = desk.fill(trade_id, 60)
    last = desk.fill(trade_id, 40)
    last.filled.is_last = True
    desk.ledger.chokes_on.add(first.filled.execution_id)

    answer = await desk.deliver(worker, first, last)

    assert codes(answer) == [LATER, LATER]
    assert desk.ledger.posted == {}
    desk.ledger.chokes_on.clear()
    assert codes(await desk.deliver(worker, first, last)) == [APPLIED, APPLIED]
    assert desk.order.status(trade_id) == "FILLED"


async def test_a_report_the_order_service_chokes_on_holds_up_no_other_trade(desk: Desk) -> None:
    worker = await desk.start_leader(hears_nudges=False)
    customers = [f"customer-{number}" for number in range(9)]
    trade_ids = [await submitted(desk, worker, customer=name) for name in customers]
    bad = trade_ids[4]
    desk.order.faults.poison = lambda request: any(
        outcome.trade_id == bad for outcome in getattr(request, "outcomes", ())
    )
    batch = [desk.fill(trade_id) for trade_id in trade_ids]

    answer = await desk.deliver(worker, *batch)

    assert codes(answer) == [LATER if trade_id == bad else APPLIED for trade_id in trade_ids]
    assert desk.order.status(bad) == "IN_PROGRESS"
    desk.order.faults.poison = lambda request: False
    assert codes(await desk.deliver(worker, *batch)) == [APPLIED] * 9
    assert desk.order.all_filled()
    assert len(desk.ledger.posted) == 9


async def test_only_the_gateway_may_bring_reports(desk: Desk) -> None:
    worker = await desk.start_worker()
    keys = desk.keys
    strangers = [keys.service("ledger"), keys.operator(), keys.customer("exchange_gateway")]

    for token in strangers:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await worker.stub.ApplyReports(pb.ApplyReportsRequest(), metadata=bearer(token))
        assert failed.value.code() is grpc.StatusCode.PERMISSION_DENIED
