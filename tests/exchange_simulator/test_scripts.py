"""Orders that patterns fit have the outcome an operator wants, told as any other is."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.refusals import Unavailable
from services.exchange_simulator.database import Database
from services.exchange_simulator.domain import RejectReason
from services.exchange_simulator.main import Settings, house
from services.exchange_simulator.plans import End, Fill, Plan, Take, go_on, plan_of
from services.exchange_simulator.scripts import Outcome, Script
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import drop_copy_pb2, scripts_pb2
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from tests.exchange_simulator.member import (
    CANCELED,
    EXPIRED,
    NEW,
    REJECTED,
    REPLACED,
    TRADE,
    TRIGGERED,
    Exchange,
    Member,
    a_cancel,
    a_replace,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, phase
from tests.exchange_simulator.test_durability import check_each_filled_once, process, running
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]
CENT = 10_000
OFFERED, BID = 1001 * CENT, 999 * CENT  # of every test symbol


def a_test_order(name: str, **terms: Any) -> pb.NewOrder:
    return an_order(symbol=f"TEST.{name}", **terms)


def fills_of(reports: list[pb.ExecutionReport]) -> list[tuple[int, int]]:
    return [(r.last_quantity, r.last_price_micros) for r in reports if r.exec_type == TRADE]


async def set_scripts(
    exchange: Exchange, *scripts: scripts_pb2.OrderScript, is_default: bool = False
) -> list[scripts_pb2.OrderScript]:
    request = scripts_pb2.SetScriptsRequest(scripts=scripts, is_default=is_default)
    response = await exchange.control.SetScripts(request, metadata=exchange.operator)
    return list(response.scripts)


async def table_of(exchange: Exchange) -> scripts_pb2.ListScriptsResponse:
    return await exchange.control.ListScripts(
        scripts_pb2.ListScriptsRequest(), metadata=exchange.operator
    )


def steps_of(script: Script, quantity: int) -> tuple[list[list[str]], int]:
    """What is said after each wait, and the shares filled."""
    plan, filled = plan_of(script, price=10, quantity=quantity), 0
    waits: list[list[str]] = []
    while plan.wait_ms >= 0:
        steps, plan = go_on(plan, quantity=quantity, filled=filled)
        filled += sum(step.quantity for step in steps if isinstance(step, Fill))
        waits.append([type(step).__name__ for step in steps])
        if filled == quantity or any(isinstance(step, End) for step in steps):
            break
    return waits, filled


@pytest.mark.parametrize("quantity", [1, 2, 17, 18, 19, 100, 10_000_000])
@pytest.mark.parametrize("step_ms", [0, 5])
def test_parts_are_all_of_the_order_and_each_a_share_at_least(quantity: int, step_ms: int) -> None:
    script = Script("", "", Outcome.PARTIAL_FILLS, parts=18, step_ms=step_ms)

    waits, filled = steps_of(script, quantity)

    said = [word for wait in waits for word in wait]
    assert filled == quantity
    assert said == ["Take", *["Fill"] * min(18, quantity)]
    assert len(waits) == (min(18, quantity) if step_ms else 1)


@pytest.mark.parametrize(("quantity", "half"), [(1, 0), (2, 1), (7, 3), (100, 50)])
def test_a_half_is_rounded_down_and_the_rest_ends(quantity: int, half: int) -> None:
    waits, filled = steps_of(Script("", "", Outcome.HALF_THEN_CANCEL), quantity)
    assert filled == half
    assert waits == [["Take", *(["Fill"] if half else []), "End"]]


def test_an_end_waits_for_its_step() -> None:
    for outcome in (Outcome.HALF_THEN_CANCEL, Outcome.EXPIRE):
        waits, _ = steps_of(Script("", "", outcome, step_ms=5), 1)
        assert waits == [["Take"], ["End"]]


def test_what_rests_waits_for_ever() -> None:
    plan = plan_of(Script("", "", Outcome.REST), price=10, quantity=5)
    steps, plan = go_on(plan, quantity=5, filled=0)
    assert (steps, plan.wait_ms) == ([Take()], -1)


@given(
    st.sampled_from([o for o in Outcome if o not in (Outcome.REJECT, Outcome.NO_ANSWER)]),
    st.integers(1, 40),
    st.sampled_from([0, 5]),
    st.lists(st.integers(1, 60), max_size=8),
)
def test_whatever_is_replaced_on_the_way_no_order_fills_more_than_it_is(
    outcome: Outcome, parts: int, step_ms: int, replaces: list[int]
) -> None:
    parts = parts if outcome == Outcome.PARTIAL_FILLS else 0
    script = Script("", "", outcome, parts=parts, step_ms=step_ms)
    quantity, filled, is_over = 30, 0, False
    plan = plan_of(script, price=10, quantity=quantity)
    for wanted in [*replaces, *[0] * 50]:
        steps, plan = go_on(plan, quantity=quantity, filled=filled)
        for step in steps:
            assert not is_over, "nothing is said after an end"
            assert not isinstance(step, Fill) or step.quantity > 0
            filled += step.quantity if isinstance(step, Fill) else 0
            is_over = isinstance(step, End) or filled == quantity
        assert filled <= quantity
        if is_over or plan.wait_ms < 0:
            break
        quantity = max(filled + 1, wanted or quantity)
    assert is_over or outcome == Outcome.REST


def test_a_refusal_has_a_reason_and_words_though_none_are_given() -> None:
    plan: Plan = plan_of(Script("", "", Outcome.REJECT), price=10, quantity=5)
    ((end,), _) = go_on(plan, quantity=5, filled=0)
    assert isinstance(end, End)
    assert end.ending.reason == RejectReason.OTHER
    assert end.ending.text


OUTCOMES: dict[str, tuple[list[Any], int]] = {
    "FILL": ([NEW, TRADE], 40),
    "HALF": ([NEW, TRADE, CANCELED], 20),
    "PARTS": ([NEW, *[TRADE] * 18], 40),
    "EXPIRE": ([NEW, EXPIRED], 0),
    "REJECT": ([REJECTED], 0),
    "HALTED": ([REJECTED], 0),
}


async def test_a_test_symbol_has_its_outcome_while_the_exchange_is_closed(
    exchange: Exchange, member: Member
) -> None:
    await phase(exchange, control.SetPhaseRequest.PHASE_CLOSED)
    for name, (kinds, filled) in OUTCOMES.items():
        order = a_test_order(name, quantity=40)
        reports = await member.trade(order)

        assert [report.exec_type for report in reports] == kinds
        fills = fills_of(reports)
        assert sum(quantity for quantity, _ in fills) == filled
        assert {price for _, price in fills} <= {OFFERED}
        assert await exchange.reports_of(order) == reports
        (standing,) = await exchange.standings(order)
        assert (standing.is_open, standing.cumulative_quantity) == (False, filled)
    told = member.reports
    assert len({report.exec_id for report in told}) == len(told)
    assert [report.seq for report in told] == list(range(1, len(told) + 1))
    copy = await exchange.service.ListExecutions(
        drop_copy_pb2.ListExecutionsRequest(session_id="gateway"), metadata=exchange.reader
    )
    assert list(copy.executions) == [r for r in told if r.exec_type == TRADE]


async def test_refusals_have_their_words(member: Member) -> None:
    (refused,) = await member.trade(a_test_order("REJECT"))
    (halted,) = await member.trade(a_test_order("HALTED"))
    assert refused.reject_reason == pb.REJECT_REASON_OTHER
    assert refused.reason_text == "refused, as TEST.REJECT always is"
    assert halted.reject_reason == pb.REJECT_REASON_HALTED


async def test_fills_are_at_the_limit_else_the_stop_else_what_the_book_offers(
    member: Member,
) -> None:
    sold = await member.trade(a_test_order("FILL", side=pb.SIDE_SELL))
    limited = await member.trade(
        a_test_order("FILL", order_type=pb.ORDER_TYPE_LIMIT, limit_price_micros=3 * DOLLAR)
    )
    stopped = await member.trade(
        a_test_order("FILL", order_type=pb.ORDER_TYPE_STOP, stop_price_micros=20 * DOLLAR)
    )
    assert fills_of(sold) == [(10, BID)]
    assert fills_of(limited) == [(10, 3 * DOLLAR)]
    assert fills_of(stopped) == [(10, 20 * DOLLAR)]
    assert [report.exec_type for report in stopped] == [NEW, TRIGGERED, TRADE]


async def test_a_stop_that_is_replaced_before_its_answer_is_filled_at_its_price_of_then(
    exchange: Exchange, member: Member
) -> None:
    late = scripts_pb2.OrderScript(outcome=scripts_pb2.OrderScript.OUTCOME_FILL, delay_ms=1)
    await set_scripts(exchange, late)
    order = an_order(order_type=pb.ORDER_TYPE_STOP, stop_price_micros=20 * DOLLAR)
    member.send(order, a_replace(order, 12, stop=30 * DOLLAR))
    reports = await member.ended(order)
    assert [report.exec_type for report in reports] == [REPLACED, NEW, TRIGGERED, TRADE]
    assert fills_of(reports) == [(12, 30 * DOLLAR)]


async def test_no_fill_costs_more_than_the_order_may(member: Member) -> None:
    enough, short = 10 * OFFERED, 10 * OFFERED - 1
    (refused,) = await member.trade(a_test_order("FILL", max_notional_micros=short))
    half = await member.trade(a_test_order("HALF", max_notional_micros=short))
    filled = await member.trade(a_test_order("FILL", max_notional_micros=enough))
    assert refused.reject_reason == pb.REJECT_REASON_MAX_NOTIONAL
    assert fills_of(half) == [(5, OFFERED)]
    assert fills_of(filled) == [(10, OFFERED)]


async def test_terms_that_make_no_sense_are_refused_in_spite_of_the_script(member: Member) -> None:
    (refused,) = await member.trade(a_test_order("FILL", quantity=0))
    assert refused.reject_reason == pb.REJECT_REASON_OTHER


async def test_what_is_never_answered_is_known_and_open(exchange: Exchange, member: Member) -> None:
    silent = a_test_order("SILENT")
    member.send(silent, a_cancel(silent))
    await member.trade(an_order())
    assert member.reports_of(silent) == []
    assert await exchange.reports_of(silent) == []
    assert (await exchange.standings(silent))[0].is_open


async def test_what_rests_by_script_is_replaced_canceled_and_expired_like_any_order(
    exchange: Exchange, member: Member
) -> None:
    first, second, lasting = (
        a_test_order("REST", order_type=pb.ORDER_TYPE_LIMIT, limit_price_micros=DOLLAR, **more)
        for more in ({}, {}, {"time_in_force": pb.TIME_IN_FORCE_GTC})
    )
    for order in (first, second, lasting):
        await member.rest(order)

    replaced = await member.ask(a_replace(first, 20, limit=2 * DOLLAR))
    canceled = await member.ask(a_cancel(first))
    await phase(exchange, control.SetPhaseRequest.PHASE_NEXT_DAY)

    assert (replaced.exec_type, replaced.quantity, replaced.leaves_quantity) == (REPLACED, 20, 20)
    assert (canceled.exec_type, canceled.command_seq) == (CANCELED, 5)
    await member.said(second, NEW, EXPIRED)
    await member.said(lasting, NEW)


async def test_a_pattern_of_quantities_strikes_any_symbol_and_the_first_that_fits_counts(
    exchange: Exchange, member: Member
) -> None:
    script = scripts_pb2.OrderScript
    await set_scripts(
        exchange,
        script(symbol="KO", quantity="113", outcome=script.OUTCOME_FILL),
        script(quantity="*13", outcome=script.OUTCOME_REJECT, reason_text="thirteen"),
    )

    (refused,) = await member.trade(an_order(quantity=13))
    kept = await member.trade(an_order(symbol="KO", quantity=113))
    filled = await member.trade(an_order(quantity=130))

    assert refused.reason_text == "thirteen"
    assert fills_of(kept) == [(113, 62_27 * CENT)]
    assert filled[-1].exec_type == TRADE
    table = await table_of(exchange)
    assert (len(table.scripts), table.is_default) == (2, False)
    assert len(await set_scripts(exchange, is_default=True)) == 10
    assert (await table_of(exchange)).is_default


async def test_a_script_that_makes_no_sense_leaves_the_table_as_it_is(exchange: Exchange) -> None:
    script = scripts_pb2.OrderScript
    fill, parts = script.OUTCOME_FILL, script.OUTCOME_PARTIAL_FILLS
    for wrong in (
        script(),
        script(outcome=fill, symbol="TEST.FILLED.X"),
        script(outcome=fill, symbol="[A]"),
        script(outcome=fill, quantity="-1"),
        script(outcome=fill, parts=2),
        script(outcome=parts, parts=1_001),
        script(outcome=parts),
        script(outcome=fill, delay_ms=-1),
        script(outcome=fill, step_ms=600_001),
        script(outcome=fill, reason_text="why"),
        script(outcome=script.OUTCOME_REJECT, reason_text="x" * 201),
        script(outcome=script.OUTCOME_REJECT, reject_reason=pb.REJECT_REASON_TOO_LATE),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await set_scripts(exchange, wrong)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT, wrong
    assert (await table_of(exchange)).is_default


async def test_killed_amid_its_steps_each_share_is_filled_once_and_the_table_is_kept(
    settings: MakeSettings, keys: Keys
) -> None:
    script = scripts_pb2.OrderScript
    slow = script(
        symbol="KO", outcome=script.OUTCOME_PARTIAL_FILLS, parts=10, delay_ms=50, step_ms=50
    )
    orders = [an_order(symbol="KO", quantity=23) for _ in range(12)]
    async with process(settings()) as (child, address), Exchange(address, keys) as exchange:
        await exchange.ready()
        await set_scripts(exchange, slow)
        async with exchange.member() as member:
            for order in orders:
                member.send(order)
            await until(lambda: len(member.reports) > 40)
            child.kill()
            await until(lambda: member.is_ended)
            heard = list(member.reports)

    async with running(settings(), keys) as exchange:
        assert list((await table_of(exchange)).scripts) == [slow]
        async with exchange.member() as member:
            for order in orders:
                await member.ended(order)
            assert member.reports[: len(heard)] == heard
            assert all(len(member.reports_of(order)) == 11 for order in orders)
            check_each_filled_once(orders, member.reports)


@pytest.mark.parametrize("is_kept", [False, True])
async def test_a_step_of_which_nobody_knows_whether_it_was_kept_is_done_once(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch, is_kept: bool
) -> None:
    run = Database.run

    async def losing(self: Database, work: Any) -> Any:
        if is_kept:
            await run(self, work)
        raise Unavailable(Reason.REASON_UNAVAILABLE, "nobody knows whether it was committed")

    script = scripts_pb2.OrderScript
    slow = script(symbol="KO", outcome=script.OUTCOME_PARTIAL_FILLS, parts=4, step_ms=200)
    order = an_order(symbol="KO")
    await set_scripts(exchange, slow)
    async with exchange.member() as member:
        member.send(order)
        await member.said(order, NEW, TRADE)
        with monkeypatch.context() as patch:
            patch.setattr(Database, "run", losing)
            assert await member.code_at_end() is grpc.StatusCode.UNAVAILABLE

    async with exchange.member() as member:
        reports = await member.ended(order)
        assert [r.exec_type for r in reports] == [NEW, *[TRADE] * 4]
        check_each_filled_once([order], member.reports)


async def test_an_order_is_canceled_while_it_waits_and_its_script_says_no_more(
    exchange: Exchange, member: Member
) -> None:
    script = scripts_pb2.OrderScript
    await set_scripts(
        exchange,
        script(symbol="KO", outcome=script.OUTCOME_FILL, delay_ms=50),
        script(symbol="AAPL", outcome=script.OUTCOME_FILL, delay_ms=200),
    )
    early, late = an_order(symbol="KO"), an_order()
    member.send(early, a_cancel(early), late)

    await member.said(early, CANCELED)
    await member.ended(late)

    assert [r.exec_type for r in member.reports_of(early)] == [CANCELED]


async def test_without_test_symbols_the_market_decides(settings: MakeSettings, keys: Keys) -> None:
    async with (
        house(settings(test_symbols=False)) as rpc,
        Exchange(rpc.address, keys) as exchange,
    ):
        await exchange.ready()
        assert not (await table_of(exchange)).scripts
        async with exchange.member() as member:
            (refused,) = await member.trade(a_test_order("FILL"))
            assert refused.reject_reason == pb.REJECT_REASON_UNKNOWN_SYMBOL
            await until(lambda: member.kept_seq == 1)
