"""A member cancels and replaces its orders: one answer each, and true ones in every race."""

import pytest

from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from tests.exchange_simulator.member import (
    CANCEL_REJECTED,
    CANCELED,
    NEW,
    REPLACE_REJECTED,
    REPLACED,
    TRADE,
    TRIGGERED,
    Exchange,
    Member,
    a_cancel,
    a_limit,
    a_replace,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, do, load, resting, step
from tests.support.wait import until

SELL = pb.SIDE_SELL
AT_ONCE = control.TapeCommand.KIND_IOC


@pytest.fixture
async def member(exchange: Exchange, member: Member) -> Member:
    """A member of an exchange where nobody quotes AAPL."""
    await load(exchange)
    return member


async def test_a_cancel_ends_what_is_left_of_an_order(exchange: Exchange, member: Member) -> None:
    order = a_limit(100 * DOLLAR)
    await member.rest(order)
    await do(exchange, step(AT_ONCE, resting(1, 100, 4)))

    canceled = await member.ask(a_cancel(order))

    assert canceled.exec_type == CANCELED
    assert canceled.command_seq == 2
    assert canceled.reject_reason == pb.REJECT_REASON_CANCELED_BY_MEMBER
    assert (canceled.cumulative_quantity, canceled.leaves_quantity) == (4, 0)
    assert await exchange.levels("AAPL") == ([], [])
    (standing,) = await exchange.standings(order)
    assert (standing.is_open, standing.last_report_seq) == (False, canceled.seq)
    assert await exchange.reports_of(order) == member.reports


async def test_a_waiting_order_is_canceled_too(exchange: Exchange, member: Member) -> None:
    order = an_order(order_type=pb.ORDER_TYPE_STOP, stop_price_micros=100 * DOLLAR)
    await member.rest(order)

    assert (await member.ask(a_cancel(order))).exec_type == CANCELED

    await load(exchange, resting(1, 100, 5))
    await do(exchange, step(AT_ONCE, resting(2, 100, 1, is_bid=True)))
    await member.trade(an_order(quantity=1))
    await member.said(order, NEW, CANCELED)


async def test_a_cancel_after_the_end_is_too_late_and_of_a_strange_order_unknown(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 100, 50))
    filled, strange = an_order(), an_order()
    await member.trade(filled)
    others = a_limit(90 * DOLLAR)
    async with exchange.member("another") as another:
        await another.rest(others)

    late = await member.ask(a_cancel(filled))
    unknown = await member.ask(a_cancel(strange))
    not_mine = await member.ask(a_cancel(others))

    assert {late.exec_type, unknown.exec_type, not_mine.exec_type} == {CANCEL_REJECTED}
    assert late.reject_reason == pb.REJECT_REASON_TOO_LATE
    assert (late.cumulative_quantity, late.exchange_order_id) == (
        10,
        member.reports[0].exchange_order_id,
    )
    assert unknown.reject_reason == pb.REJECT_REASON_UNKNOWN_ORDER
    assert not_mine.reject_reason == pb.REJECT_REASON_UNKNOWN_ORDER
    assert await exchange.reports_of(strange) is None
    assert (await exchange.standings(others))[0].is_open
    # An order of that id can come later.
    assert (await member.trade(strange))[-1].exec_type == TRADE


async def test_a_cancel_seen_before_is_skipped_and_a_second_one_is_too_late(
    member: Member,
) -> None:
    order = a_limit(100 * DOLLAR)
    await member.rest(order)
    await member.ask(a_cancel(order))

    member.send(a_cancel(order), first_seq=2)
    second = await member.ask(a_cancel(order))

    assert len(member.answers(2)) == 1
    assert second.reject_reason == pb.REJECT_REASON_TOO_LATE


async def test_order_replace_and_cancel_in_one_message_are_done_in_turn(member: Member) -> None:
    order, filled = a_limit(100 * DOLLAR), a_limit(100 * DOLLAR, side=SELL, quantity=3)
    member.send(
        order, a_replace(order, 20), filled, a_cancel(filled), a_cancel(order), a_cancel(order)
    )
    await until(lambda: member.answers(6))

    kinds = [r.exec_type for r in member.reports_of(order)]
    assert kinds == [NEW, REPLACED, TRADE, CANCELED, CANCEL_REJECTED]
    assert [r.command_seq for r in member.reports_of(order)] == [0, 2, 0, 5, 6]
    assert member.answers(6)[0].cumulative_quantity == 3
    (late,) = member.answers(4)
    assert (late.reject_reason, late.cumulative_quantity) == (pb.REJECT_REASON_TOO_LATE, 3)


async def test_an_order_that_only_shrinks_keeps_its_place_and_any_other_loses_it(
    exchange: Exchange, member: Member
) -> None:
    first, second, third = (a_limit(100 * DOLLAR) for _ in range(3))
    member.send(first, second, third)
    shrunk = await member.ask(a_replace(first, 4))
    grown = await member.ask(a_replace(second, 11))

    assert (shrunk.quantity, shrunk.leaves_quantity) == (4, 4)
    assert (shrunk.limit_price_micros, shrunk.stop_price_micros) == (100 * DOLLAR, 0)
    assert (grown.quantity, grown.leaves_quantity) == (11, 11)
    for order, quantity in ((first, 4), (third, 10), (second, 11)):
        await do(exchange, step(AT_ONCE, resting(1, 100, quantity)))
        assert (await member.ended(order))[-1].exec_type == TRADE
    assert [s.quantity for s in await exchange.standings(first, second)] == [4, 11]


async def test_a_better_price_trades_at_once_after_replaced_is_told(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 101, 6))
    order = a_limit(100 * DOLLAR)
    await member.rest(order)

    replaced = await member.ask(a_replace(order, 10, limit=101 * DOLLAR))

    await member.said(order, NEW, REPLACED, TRADE)
    assert (replaced.limit_price_micros, replaced.leaves_quantity) == (101 * DOLLAR, 10)
    assert await exchange.levels("AAPL") == ([(101 * DOLLAR, 4)], [])


async def test_the_quantity_of_a_replace_is_in_all_and_what_is_filled_ends_the_order(
    exchange: Exchange, member: Member
) -> None:
    order, other = a_limit(100 * DOLLAR), a_limit(99 * DOLLAR)
    member.send(order, other)
    await do(exchange, step(AT_ONCE, resting(1, 100, 6)))

    less = await member.ask(a_replace(order, 8))
    filled = await member.ask(a_replace(order, 6))

    assert (less.leaves_quantity, less.cumulative_quantity) == (2, 6)
    assert (filled.exec_type, filled.leaves_quantity) == (REPLACED, 0)
    canceled = (await member.said(order, NEW, TRADE, REPLACED, REPLACED, CANCELED))[-1]
    assert canceled.reject_reason == pb.REJECT_REASON_CANCELED_BY_MEMBER
    assert (await exchange.levels("AAPL"))[0] == [(99 * DOLLAR, 10)]


async def test_a_waiting_order_gets_another_stop_price(exchange: Exchange, member: Member) -> None:
    await load(exchange, resting(1, 100, 20))
    order = an_order(order_type=pb.ORDER_TYPE_STOP, stop_price_micros=200 * DOLLAR)
    await member.rest(order)
    await do(exchange, step(AT_ONCE, resting(2, 100, 1, is_bid=True)))

    replaced = await member.ask(a_replace(order, 10, stop=100 * DOLLAR))

    assert replaced.stop_price_micros == 100 * DOLLAR
    await member.said(order, NEW, REPLACED, TRIGGERED, TRADE)


async def test_a_replace_that_cannot_be_is_refused_and_the_order_stands(
    exchange: Exchange, member: Member
) -> None:
    order, ended, strange = (a_limit(100 * DOLLAR) for _ in range(3))
    member.send(order, ended, a_cancel(ended))
    for terms, reason in (
        (a_replace(order, 0), pb.REJECT_REASON_OTHER),
        (a_replace(order, 10, limit=100 * DOLLAR + 1), pb.REJECT_REASON_OTHER),
        (a_replace(order, 10, limit=-5), pb.REJECT_REASON_OTHER),
        (a_replace(order, 10, stop=90 * DOLLAR), pb.REJECT_REASON_OTHER),
        (a_replace(ended, 9), pb.REJECT_REASON_TOO_LATE),
        (a_replace(strange, 9), pb.REJECT_REASON_UNKNOWN_ORDER),
    ):
        refusal = await member.ask(terms)
        assert (refusal.exec_type, refusal.reject_reason) == (REPLACE_REJECTED, reason), terms
        assert refusal.reason_text
    assert await exchange.levels("AAPL") == ([(100 * DOLLAR, 10)], [])


async def test_an_order_that_is_left_unanswered_is_not_spoken_of_when_it_is_canceled(
    exchange: Exchange, member: Member
) -> None:
    script = control.SetFaultsRequest(unanswered_order_permille=1000)
    await exchange.control.SetFaults(script, metadata=exchange.operator)
    silent = a_limit(100 * DOLLAR)
    member.send(silent, a_cancel(silent))
    await until(lambda: member.kept_seq == 2)
    member.send(a_cancel(silent), a_replace(silent, 5))
    await until(lambda: member.kept_seq == 4)

    assert member.reports == []
    assert (await exchange.standings(silent))[0].is_open
