"""What is asked to be replaced reaches the exchange once, covered, and what is spare is freed."""

from typing import Any

import pytest

from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.execution.v1 import execution_service_pb2 as pb
from tests.execution.desk import Desk, WorkerDouble, eventually
from tests.execution.test_halts import AAPL, ALICE, FIRM, halt, resume, swept_twice

LIMIT = 10_000_000


async def a_resting_trade(desk: Desk, **settings: Any) -> tuple[WorkerDouble, str]:
    """A leader, and a bid for 100 at $10 that the exchange has."""
    worker = await desk.start_leader(**settings)
    trade_id = await desk.place(
        "alice", order_type=OrderType.ORDER_TYPE_LIMIT, limit_price_micros=LIMIT
    )
    await eventually(lambda: trade_id in desk.gateway.sent)
    accepted = pb.Report.Accepted(exchange_order_id="X-1")
    desk.gateway.states[trade_id] = gateway_pb.ORDER_STATE_ACCEPTED
    await desk.deliver_whole(worker, desk.report(trade_id, accepted=accepted))
    return worker, trade_id


async def ask(desk: Desk, trade_id: str, quantity: int, *, nudges: bool = True) -> str:
    """Ask for another quantity and nudge, as the order service does; the replace's id."""
    replace_id = desk.order.ask_to_replace(trade_id, quantity, LIMIT)
    if nudges:
        await desk.nudges.publish([desk.order.trade(trade_id).customer_id])
    return replace_id


async def test_it_is_covered_sent_once_and_then_in_force(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)

    replace_id = await ask(desk, trade_id, 120)

    await eventually(lambda: desk.gateway.replaced == [replace_id])
    assert desk.ledger.changes() == [20 * LIMIT]
    await swept_twice(desk)
    assert desk.gateway.replaced == [replace_id]
    done = pb.Report.Replaced(replace_id=replace_id, quantity=120, limit_price_micros=LIMIT)
    report = desk.report(trade_id, replaced=done)
    for _ in range(2):
        await desk.deliver_whole(worker, report)
    assert desk.order.trade(trade_id).quantity == 120
    assert desk.ledger.changes() == [20 * LIMIT], "nothing is spare"


async def test_a_replace_right_after_another_needs_no_nudge_either(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk, in_doubt_after_seconds=60)
    first = await ask(desk, trade_id, 120)
    await eventually(lambda: desk.gateway.replaced == [first])
    done = pb.Report.Replaced(replace_id=first, quantity=120, limit_price_micros=LIMIT)
    await desk.deliver_whole(worker, desk.report(trade_id, replaced=done))

    second = await ask(desk, trade_id, 130, nudges=False)

    await eventually(lambda: desk.gateway.replaced == [first, second])


async def test_of_a_trade_that_has_ended_in_the_books_it_is_refused(desk: Desk) -> None:
    _, trade_id = await a_resting_trade(desk)
    desk.ledger.closed.add(trade_id)  # the order service is going to be told

    replace_id = await ask(desk, trade_id, 120)

    too_late = Reason.REASON_TOO_LATE_TO_REPLACE
    await eventually(lambda: desk.order.refusals == {replace_id: too_late})
    assert not desk.gateway.replaced


async def test_what_is_spare_is_freed_once_the_exchange_answered(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)
    replace_id = await ask(desk, trade_id, 70)
    await eventually(lambda: desk.gateway.replaced == [replace_id])
    assert desk.ledger.changes() == []

    done = pb.Report.Replaced(replace_id=replace_id, quantity=70, filled_quantity=10)
    await desk.deliver_whole(worker, desk.report(trade_id, replaced=done))

    assert desk.ledger.changes() == [-30 * LIMIT]


async def test_replaced_down_to_what_is_filled_nothing_is_held_for_it_any_more(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)
    replace_id = await ask(desk, trade_id, 70)
    await eventually(lambda: desk.gateway.replaced == [replace_id])

    done = pb.Report.Replaced(replace_id=replace_id, quantity=80, filled_quantity=80)
    await desk.deliver_whole(worker, desk.report(trade_id, replaced=done))

    assert desk.ledger.released == {trade_id}


async def test_the_last_fill_may_be_booked_before_what_a_replace_leaves_spare(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)
    replace_id = await ask(desk, trade_id, 70)
    await eventually(lambda: desk.gateway.replaced == [replace_id])

    done = pb.Report.Replaced(replace_id=replace_id, quantity=70)
    replaced = desk.report(trade_id, replaced=done)
    last = desk.fill(trade_id, 70)
    last.filled.is_last = True
    answer = await desk.deliver(worker, replaced, last)

    assert {each.code for each in answer.results} == {pb.ReportResult.CODE_APPLIED}
    assert desk.ledger.changes() == []
    assert desk.order.status(trade_id) == "FILLED"


async def test_refused_by_the_exchange_what_was_held_for_it_is_freed(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)
    replace_id = await ask(desk, trade_id, 120)
    await eventually(lambda: desk.gateway.replaced == [replace_id])

    refused = pb.Report.ReplaceRejected(
        replace_id=replace_id, reason=Reason.REASON_EXCHANGE_REJECTED
    )
    await desk.deliver_whole(worker, desk.report(trade_id, replace_rejected=refused))

    assert desk.ledger.changes() == [20 * LIMIT, -20 * LIMIT]
    assert desk.order.refusals == {replace_id: Reason.REASON_EXCHANGE_REJECTED}


async def test_not_covered_it_never_reaches_the_exchange(desk: Desk) -> None:
    _, trade_id = await a_resting_trade(desk)
    desk.ledger.refuses[trade_id] = Reason.REASON_INSUFFICIENT_FUNDS

    replace_id = await ask(desk, trade_id, 120)

    await eventually(lambda: desk.order.refusals)
    assert desk.order.refusals == {replace_id: Reason.REASON_INSUFFICIENT_FUNDS}
    assert desk.gateway.replaced == []


async def test_too_late_for_the_gateway_what_was_held_for_it_is_freed(desk: Desk) -> None:
    _, trade_id = await a_resting_trade(desk)
    desk.gateway.states[trade_id] = gateway_pb.ORDER_STATE_DONE

    replace_id = await ask(desk, trade_id, 120)

    await eventually(lambda: desk.order.refusals)
    assert desk.order.refusals == {replace_id: Reason.REASON_TOO_LATE_TO_REPLACE}
    assert desk.ledger.changes() == [20 * LIMIT, -20 * LIMIT]


async def test_a_lost_nudge_and_lost_answers_delay_it_and_no_more(desk: Desk) -> None:
    _, trade_id = await a_resting_trade(desk)
    desk.ledger.faults.lose["AdjustHolds"] = 2
    desk.gateway.faults.lose["ReplaceOrders"] = 2

    replace_id = await ask(desk, trade_id, 120, nudges=False)

    await eventually(lambda: set(desk.gateway.replaced) == {replace_id})
    assert desk.ledger.changes() == [20 * LIMIT]


async def test_it_waits_while_its_symbol_is_halted(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)
    await halt(desk, worker, AAPL)

    replace_id = await ask(desk, trade_id, 120)

    await swept_twice(desk)
    assert desk.gateway.replaced == []
    assert await resume(desk, worker, AAPL)
    await eventually(lambda: desk.gateway.replaced == [replace_id])


@pytest.mark.parametrize("scope", [FIRM, ALICE, AAPL])
async def test_taken_up_before_a_halt_it_is_not_sent_when_the_ledger_is_back(
    desk: Desk, scope: pb.HaltScope
) -> None:
    worker, trade_id = await a_resting_trade(desk)
    desk.ledger.faults.is_away = True
    replace_id = await ask(desk, trade_id, 120)
    await eventually(lambda: desk.ledger.faults.calls["AdjustHolds"] > 2)
    await halt(desk, worker, scope)

    desk.ledger.faults.is_away = False
    await eventually(desk.ledger.changes)
    await swept_twice(desk)

    assert desk.gateway.replaced == []
    assert await resume(desk, worker, scope)
    await eventually(lambda: desk.gateway.replaced == [replace_id])
    assert desk.ledger.changes() == [20 * LIMIT]


async def test_a_fill_frees_what_it_saves(desk: Desk) -> None:
    worker, trade_id = await a_resting_trade(desk)
    fill = desk.fill(trade_id, 10)
    fill.filled.limit_price_micros = LIMIT + 5

    await desk.deliver_whole(worker, fill)

    (posting,) = desk.ledger.posted.values()
    assert posting.released_micros == 50
