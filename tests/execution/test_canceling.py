"""What is asked to be canceled reaches the exchange, or ends where it is; nothing holds it up."""

import pytest

from services.execution import sweep
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as pb
from tests.execution.desk import SELL, Desk, WorkerDouble, eventually
from tests.execution.test_halts import AAPL, ALICE, FIRM, halt, resume, swept_twice

BY_CUSTOMER = pb.Report.Ended(
    kind=pb.Report.Ended.KIND_CANCELED, reason=Reason.REASON_CANCELED_BY_CUSTOMER
)
TOO_LATE = pb.Report.CancelRejected(reason=Reason.REASON_TOO_LATE_TO_CANCEL)


async def ask(desk: Desk, trade_id: str) -> None:
    """Ask for a cancel and nudge, as the order service does."""
    desk.order.ask_to_cancel(trade_id)
    await desk.nudges.publish([desk.order.trade(trade_id).customer_id])


async def a_working_trade(desk: Desk) -> tuple[WorkerDouble, str]:
    """A leader, and a trade whose order the gateway has."""
    worker = await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: trade_id in desk.gateway.sent)
    return worker, trade_id


async def test_a_cancel_of_an_order_at_the_exchange_is_brought_there_once(desk: Desk) -> None:
    worker, trade_id = await a_working_trade(desk)

    await ask(desk, trade_id)

    await eventually(lambda: desk.gateway.canceled == [trade_id])
    await swept_twice(desk)
    assert desk.gateway.canceled == [trade_id]
    await desk.deliver_whole(worker, desk.report(trade_id, ended=BY_CUSTOMER))
    assert desk.order.status(trade_id) == "CANCELED"
    assert desk.ledger.released == {trade_id}


async def test_for_a_cancel_of_what_the_exchange_has_nothing_is_held_anew(desk: Desk) -> None:
    worker, trade_id = await a_working_trade(desk)
    accepted = pb.Report.Accepted(exchange_order_id="X-1")
    await desk.deliver_whole(worker, desk.report(trade_id, accepted=accepted))
    asked = desk.ledger.faults.calls["PlaceHolds"]

    await ask(desk, trade_id)

    await eventually(lambda: desk.gateway.canceled == [trade_id])
    assert desk.ledger.faults.calls["PlaceHolds"] == asked, "it may have another size by now"


async def test_a_cancel_that_came_too_late_is_told(desk: Desk) -> None:
    worker, trade_id = await a_working_trade(desk)
    await ask(desk, trade_id)
    await eventually(lambda: desk.gateway.canceled)

    await desk.deliver_whole(worker, desk.report(trade_id, cancel_rejected=TOO_LATE))

    assert desk.order.status(trade_id) == "IN_PROGRESS"
    assert not desk.ledger.released, "the order may still fill"


async def test_a_cancel_that_is_asked_for_anew_is_brought_at_once_and_in_no_doubt(
    desk: Desk,
) -> None:
    worker = await desk.start_leader(in_doubt_after_seconds=60)
    trade_id = await desk.place("alice")
    await eventually(lambda: trade_id in desk.gateway.sent)
    await ask(desk, trade_id)
    await eventually(lambda: desk.gateway.canceled == [trade_id])
    await desk.deliver_whole(worker, desk.report(trade_id, cancel_rejected=TOO_LATE))

    await ask(desk, trade_id)

    await eventually(lambda: desk.gateway.canceled == [trade_id, trade_id])
    await swept_twice(desk)
    assert desk.gateway.canceled == [trade_id, trade_id]
    assert not desk.order.trade(trade_id).in_doubt


@pytest.mark.parametrize("scope", [FIRM, ALICE, AAPL])
async def test_cancels_pass_every_halt(desk: Desk, scope: pb.HaltScope) -> None:
    worker, trade_id = await a_working_trade(desk)
    await halt(desk, worker, scope)

    await ask(desk, trade_id)

    await eventually(lambda: desk.gateway.canceled == [trade_id])


async def test_a_cancel_without_a_nudge_is_found_behind_replaces_that_wait_for_the_end_of_a_halt(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_LIMIT", 2)
    resting = [desk.order.place(f"customer-{number}") for number in range(9)]
    for each in resting:
        desk.order.rows[each].is_parked = True  # they hold up nothing
    worker, trade_id = await a_working_trade(desk)
    await halt(desk, worker, FIRM)
    for each in resting:
        desk.order.ask_to_replace(each, 120, 10_000_000)

    desk.order.ask_to_cancel(trade_id)

    await eventually(lambda: desk.gateway.canceled == [trade_id])
    assert not desk.gateway.replaced


async def test_what_a_halt_held_back_ends_without_ever_being_sent(desk: Desk) -> None:
    worker = await desk.start_leader()
    await halt(desk, worker, AAPL)
    first, second = await desk.place("alice"), await desk.place("alice", symbol="MSFT")
    await eventually(lambda: desk.order.status(first) == "IN_PROGRESS")

    await ask(desk, first)

    await eventually(lambda: desk.order.status(first) == "CANCELED")
    assert desk.ledger.released == {first}, "what was held is free again"
    await eventually(lambda: desk.gateway.sent == [second])
    assert await resume(desk, worker, AAPL)
    await swept_twice(desk)
    assert desk.gateway.sent == [second]


async def test_an_order_that_is_canceled_before_its_submit_is_never_sent(desk: Desk) -> None:
    desk.ledger.faults.is_away = True
    worker = await desk.start_leader()
    trade_id = await desk.place("alice")
    await eventually(lambda: desk.order.status(trade_id) == "IN_PROGRESS")
    await ask(desk, trade_id)
    await worker.end()
    desk.ledger.faults.is_away = False

    await desk.start_leader("two")

    await eventually(lambda: desk.order.status(trade_id) == "CANCELED")
    assert desk.gateway.sent == []
    assert desk.ledger.released == {trade_id}


async def test_a_cancel_of_what_the_books_refuse_ends_as_their_refusal(desk: Desk) -> None:
    desk.ledger.faults.is_away = True
    worker = await desk.start_leader()
    trade_id = await desk.place("alice", side=SELL)
    await eventually(lambda: desk.order.status(trade_id) == "IN_PROGRESS")
    await ask(desk, trade_id)
    await worker.end()
    desk.ledger.faults.is_away = False

    await desk.start_leader("two")

    await eventually(lambda: desk.order.status(trade_id) == "REJECTED")
    assert desk.gateway.withdrawn == set()


async def test_no_nudge_is_needed_and_a_new_leader_brings_it_again(desk: Desk) -> None:
    worker, trade_id = await a_working_trade(desk)
    desk.order.ask_to_cancel(trade_id)
    await eventually(lambda: desk.gateway.canceled == [trade_id])

    await worker.end()
    await desk.start_leader("two")

    await eventually(lambda: desk.gateway.canceled == [trade_id, trade_id])


async def test_a_cancel_waits_for_a_gateway_that_is_away(desk: Desk) -> None:
    _, trade_id = await a_working_trade(desk)
    desk.gateway.faults.is_away = True
    await ask(desk, trade_id)
    await eventually(lambda: desk.gateway.faults.calls["CancelOrders"] >= 2)

    desk.gateway.faults.is_away = False

    await eventually(lambda: desk.gateway.canceled == [trade_id])
    assert desk.gateway.states[trade_id] == gateway_pb.ORDER_STATE_PENDING


async def test_a_cancel_without_an_answer_is_asked_again_and_in_doubt(desk: Desk) -> None:
    worker, trade_id = await a_working_trade(desk)
    await ask(desk, trade_id)

    words = "the exchange does not answer the cancel"
    await eventually(lambda: desk.order.trade(trade_id).reason_text == words)

    assert desk.order.trade(trade_id).in_doubt
    assert desk.gateway.canceled == [trade_id, trade_id]
    assert not desk.ledger.released, "the hold stays"
    await desk.deliver_whole(worker, desk.report(trade_id, ended=BY_CUSTOMER))
    assert not desk.order.trade(trade_id).in_doubt


async def test_all_cancels_of_a_customer_go_together(desk: Desk) -> None:
    trade_ids = [desk.order.place("alice") for _ in range(20)]
    for trade_id in trade_ids:
        desk.order.ask_to_cancel(trade_id)

    await desk.start_leader()

    await eventually(lambda: {desk.order.status(each) for each in trade_ids} == {"CANCELED"})
    assert desk.gateway.withdrawn == set(trade_ids)
    assert desk.gateway.faults.calls["CancelOrders"] < 10
