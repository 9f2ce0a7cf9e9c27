"""Members' orders rest on the book and wait for prices, and trade in strict price-time priority."""

from typing import Any

import pytest

from stockbroker.exchange.v1 import drop_copy_pb2
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from tests.exchange_simulator.member import (
    CANCELED,
    NEW,
    REJECTED,
    TRADE,
    TRIGGERED,
    Exchange,
    Member,
    a_limit,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, do, load, resting, step
from tests.support.wait import until

SELL = pb.SIDE_SELL
GTC = pb.TIME_IN_FORCE_GTC
NEW_ORDER = control.TapeCommand.KIND_NEW
AT_ONCE = control.TapeCommand.KIND_IOC


def a_stop(dollars: int, **terms: Any) -> pb.NewOrder:
    """A STOP BUY of 10 AAPL."""
    return an_order(order_type=pb.ORDER_TYPE_STOP, stop_price_micros=dollars * DOLLAR, **terms)


def trades(reports: list[pb.ExecutionReport]) -> list[tuple[int, int, int, int]]:
    """(quantity, dollars, shares filled so far, shares still working) of each fill."""
    return [
        (
            r.last_quantity,
            r.last_price_micros // DOLLAR,
            r.cumulative_quantity,
            r.leaves_quantity,
        )
        for r in reports
        if r.exec_type == TRADE
    ]


@pytest.mark.parametrize("tif", [pb.TIME_IN_FORCE_DAY, GTC])
async def test_what_a_limit_order_cannot_have_now_rests_at_its_price(
    exchange: Exchange, member: Member, tif: pb.TimeInForce.ValueType
) -> None:
    await load(exchange, resting(1, 100, 4), resting(2, 103, 9))
    order = a_limit(101 * DOLLAR, time_in_force=tif)

    member.send(order)
    new, _ = await member.said(order, NEW, TRADE)

    assert new.leaves_quantity == 10
    assert trades(member.reports) == [(4, 100, 4, 6)]
    assert await exchange.levels("AAPL") == ([(101 * DOLLAR, 6)], [(103 * DOLLAR, 9)])
    (standing,) = await exchange.standings(order)
    assert (standing.is_open, standing.cumulative_quantity, standing.quantity) == (True, 4, 10)


async def test_both_members_of_a_trade_are_told_each_on_its_own_session(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange)
    async with exchange.member("another") as other:
        bid, offer = a_limit(100 * DOLLAR), a_limit(99 * DOLLAR, side=SELL, quantity=4)
        await member.rest(bid)
        await other.trade(offer)
        await member.said(bid, NEW, TRADE)

        assert trades(member.reports) == [(4, 100, 4, 6)]
        assert trades(other.reports) == [(4, 100, 4, 0)]
        assert [r.seq for r in member.reports] == [1, 2]
        assert [r.seq for r in other.reports] == [1, 2]
        ids = {r.exec_id for r in (*member.reports, *other.reports)}
        assert len(ids) == 4
    for session_id, heard in (("gateway", member.reports), ("another", other.reports)):
        request = drop_copy_pb2.ListExecutionsRequest(session_id=session_id)
        copy = await exchange.service.ListExecutions(request, metadata=exchange.reader)
        assert list(copy.executions) == [r for r in heard if r.exec_type == TRADE]


async def test_two_orders_of_one_member_trade_with_each_other(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange)
    bid, offer = a_limit(100 * DOLLAR), a_limit(100 * DOLLAR, side=SELL, quantity=15)
    member.send(bid, offer)
    await member.said(offer, NEW, TRADE)
    await member.said(bid, NEW, TRADE)

    assert trades(member.reports_of(bid)) == [(10, 100, 10, 0)]
    assert trades(member.reports_of(offer)) == [(10, 100, 10, 5)]
    assert [r.seq for r in member.reports] == [1, 2, 3, 4]


async def test_at_one_price_who_came_first_trades_first_members_and_others_alike(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 100, 1, is_bid=True))
    first, second, better = (a_limit(p * DOLLAR, quantity=2) for p in (100, 100, 101))
    await member.rest(first)
    await do(exchange, step(NEW_ORDER, resting(2, 100, 4, is_bid=True)))
    await member.rest(second)
    await member.rest(better)

    async with exchange.member("another") as seller:
        for quantity in (3, 2, 2, 2):
            await seller.trade(an_order(side=SELL, quantity=quantity))

    # The better price; of the other the tape's 1 and 1 of the first; then 1 and 1; then the tape's.
    await member.said(first, NEW, TRADE)
    assert trades(member.reports_of(better)) == [(2, 101, 2, 0)]
    assert trades(member.reports_of(first)) == [(2, 100, 2, 0)]
    assert trades(member.reports_of(second)) == []
    async with exchange.member("another") as seller:
        await seller.trade(an_order(side=SELL, quantity=2))
    await member.said(second, NEW, TRADE)


async def test_a_tape_trades_against_a_member_who_hears_of_it_even_if_away(
    exchange: Exchange,
) -> None:
    await load(exchange)
    order = a_limit(100 * DOLLAR, time_in_force=GTC)
    async with exchange.member() as member:
        await member.rest(order)

    played = await do(
        exchange, step(AT_ONCE, resting(1, 99, 3)), step(NEW_ORDER, resting(2, 100, 3))
    )

    assert (played.missed, played.volume) == (0, 6)
    async with exchange.member(next_report_seq=2) as again:
        await until(lambda: len(again.reports) == 3)  # the first was not acknowledged
        assert trades(again.reports) == [(3, 100, 3, 7), (3, 100, 6, 4)]
        assert [r.seq for r in again.reports] == [1, 2, 3]


async def test_a_stop_waits_for_its_price_and_takes_what_there_is_then(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 101, 4), resting(2, 102, 4), resting(3, 103, 50))
    order = a_stop(102, time_in_force=GTC)
    await member.rest(order)
    await do(exchange, step(AT_ONCE, resting(9, 101, 4, is_bid=True)))
    assert len(member.reports) == 1
    assert (await exchange.levels("AAPL"))[0] == []  # it is not on the book

    await do(exchange, step(AT_ONCE, resting(10, 102, 1, is_bid=True)))

    await member.said(order, NEW, TRIGGERED, TRADE, TRADE)
    assert trades(member.reports) == [(3, 102, 3, 7), (7, 103, 10, 0)]


async def test_a_stop_whose_price_was_met_already_trades_at_once(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 101, 1), resting(2, 102, 50))
    await member.trade(an_order(quantity=1))
    order = a_stop(100)

    await member.trade(order)

    await member.said(order, NEW, TRIGGERED, TRADE)


async def test_a_stop_limit_rests_at_its_limit_once_its_price_was_met(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange, resting(1, 100, 5, is_bid=True))
    order = an_order(
        side=SELL,
        order_type=pb.ORDER_TYPE_STOP_LIMIT,
        stop_price_micros=100 * DOLLAR,
        limit_price_micros=101 * DOLLAR,
    )
    await member.rest(order)

    await do(exchange, step(AT_ONCE, resting(2, 100, 1)))

    await member.said(order, NEW, TRIGGERED)
    assert (await exchange.levels("AAPL"))[1] == [(101 * DOLLAR, 10)]
    await do(exchange, step(AT_ONCE, resting(3, 101, 10, is_bid=True)))
    await member.said(order, NEW, TRIGGERED, TRADE)


@pytest.mark.parametrize(
    ("asks", "bound", "reason"),
    [
        ([resting(2, 103, 50)], 1029, pb.REJECT_REASON_MAX_NOTIONAL),
        ([], 0, pb.REJECT_REASON_NO_LIQUIDITY),
    ],
)
async def test_a_stop_that_cannot_trade_once_elected_ends_with_a_reason(
    exchange: Exchange,
    member: Member,
    asks: list[control.RestingOrder],
    bound: int,
    reason: pb.RejectReason.ValueType,
) -> None:
    await load(exchange, resting(1, 101, 1), *asks)
    order = a_stop(101, max_notional_micros=bound * DOLLAR)
    await member.rest(order)

    await do(exchange, step(AT_ONCE, resting(9, 101, 1, is_bid=True)))

    canceled = (await member.said(order, NEW, TRIGGERED, CANCELED))[-1]
    assert (canceled.reject_reason, canceled.leaves_quantity) == (reason, 0)
    assert not (await exchange.standings(order))[0].is_open


@pytest.mark.parametrize(
    "terms",
    [
        {"order_type": pb.ORDER_TYPE_STOP},
        {"order_type": pb.ORDER_TYPE_STOP, "stop_price_micros": 5},
        {"order_type": pb.ORDER_TYPE_STOP_LIMIT, "stop_price_micros": DOLLAR},
        {
            "order_type": pb.ORDER_TYPE_STOP,
            "stop_price_micros": DOLLAR,
            "time_in_force": pb.TIME_IN_FORCE_IOC,
        },
        {"order_type": pb.ORDER_TYPE_LIMIT, "limit_price_micros": DOLLAR + 1},
    ],
)
async def test_terms_that_make_no_sense_are_rejected_in_words(
    member: Member, terms: dict[str, Any]
) -> None:
    (rejected,) = await member.trade(an_order(**terms))

    assert rejected.exec_type == REJECTED
    assert rejected.reject_reason == pb.REJECT_REASON_OTHER
    assert rejected.reason_text


async def test_makers_that_cross_a_members_order_trade_with_it(
    exchange: Exchange, member: Member
) -> None:
    _, asks = await exchange.levels("AAPL")
    price, depth = asks[0]
    order = a_limit(price - 10_000, side=SELL, quantity=100 * depth)  # better than the makers' asks
    await member.rest(order)

    async with exchange.member("another") as buyer:
        await buyer.trade(an_order(quantity=10 * depth))  # and so the makers' bids rise above it

    await until(lambda: len(trades(member.reports)) > 1)
    first, *others = trades(member.reports)
    assert first == (10 * depth, (price - 10_000) // DOLLAR, 10 * depth, 90 * depth)
    assert others[-1][2] > 10 * depth
    bids, asks = await exchange.levels("AAPL")
    assert bids[0][0] < asks[0][0], "neither crossed nor locked"
    assert asks[0] == (price - 10_000, others[-1][3])
