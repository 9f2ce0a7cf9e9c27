"""The close ends what is for the day; halts and the close stop trading, and never a cancel."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from libs.clock import SystemClock
from services.exchange_simulator.main import Settings, house
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb
from tests.exchange_simulator.member import (
    CANCELED,
    EXPIRED,
    NEW,
    TRADE,
    Exchange,
    Member,
    a_cancel,
    a_limit,
    a_replace,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, do, load, phase, resting, step
from tests.exchange_simulator.test_durability import running
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]
GTC = pb.TIME_IN_FORCE_GTC
AT_ONCE = control.TapeCommand.KIND_IOC
CLOSED, OPEN = control.SetPhaseRequest.PHASE_CLOSED, control.SetPhaseRequest.PHASE_OPEN
BY_HOURS = control.SetPhaseRequest.PHASE_BY_HOURS
NEXT_DAY = control.SetPhaseRequest.PHASE_NEXT_DAY


class ClockAt(SystemClock):
    """A wall clock that stands where it is set."""

    def __init__(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def a_stop(**terms: Any) -> pb.NewOrder:
    return an_order(order_type=pb.ORDER_TYPE_STOP, stop_price_micros=900 * DOLLAR, **terms)


async def test_at_the_close_day_orders_expire_and_the_others_stay(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange)
    day, waiting = a_limit(100 * DOLLAR), a_stop()
    stays, waits = a_limit(99 * DOLLAR, time_in_force=GTC), a_stop(time_in_force=GTC)
    orders = [day, waiting, stays, waits]
    member.send(*orders)
    await do(exchange, step(AT_ONCE, resting(1, 100, 4)))

    assert not await phase(exchange, CLOSED)

    expired = (await member.said(day, NEW, TRADE, EXPIRED))[-1]
    assert expired.reject_reason == pb.REJECT_REASON_EXPIRED
    assert (expired.cumulative_quantity, expired.leaves_quantity) == (4, 0)
    await member.said(waiting, NEW, EXPIRED)
    assert [s.is_open for s in await exchange.standings(*orders)] == [False, False, True, True]
    assert await exchange.levels("AAPL") == ([(99 * DOLLAR, 10)], [])


async def test_after_the_close_nothing_trades_until_the_next_day_and_cancels_pass(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange)
    stays, leaves = (a_limit(100 * DOLLAR, time_in_force=GTC) for _ in range(2))
    member.send(stays, leaves)
    await phase(exchange, CLOSED)

    (refused,) = await member.trade(an_order())
    replace = await member.ask(a_replace(stays, 5))
    cancel = await member.ask(a_cancel(leaves))
    missed = await do(exchange, step(AT_ONCE, resting(1, 100, 4)))

    assert refused.reject_reason == pb.REJECT_REASON_MARKET_CLOSED
    assert replace.reject_reason == pb.REJECT_REASON_MARKET_CLOSED
    assert (cancel.exec_type, missed.missed) == (CANCELED, 1)
    status = await exchange.service.GetMarketStatus(
        service_pb.GetMarketStatusRequest(), metadata=exchange.reader
    )
    assert (status.is_open, status.is_always_open) == (False, False)
    assert await phase(exchange, OPEN)
    await do(exchange, step(AT_ONCE, resting(2, 100, 10)))
    await member.said(stays, NEW, pb.ExecutionReport.EXEC_TYPE_REPLACE_REJECTED, TRADE)


async def test_what_waits_its_turn_behind_the_close_comes_too_late(
    exchange: Exchange, member: Member, postgres_url: str
) -> None:
    await load(exchange)
    early, late = a_limit(100 * DOLLAR), a_limit(99 * DOLLAR)
    tape = [step(AT_ONCE, resting(1, 99, 1))]
    async with await psycopg.AsyncConnection.connect(postgres_url) as other:
        await other.execute("SELECT FROM venue FOR UPDATE")
        member.send(early)
        await until(lambda: is_held_up(postgres_url))
        closing = asyncio.create_task(phase(exchange, CLOSED))
        await exchange.levels("AAPL")
        member.send(late)
        playing = asyncio.create_task(do(exchange, *tape))
        await exchange.levels("AAPL")
        await other.rollback()
    assert not await closing

    (refused,) = await member.ended(late)
    assert refused.reject_reason == pb.REJECT_REASON_MARKET_CLOSED
    assert (await playing).missed == 1
    await member.said(early, NEW, EXPIRED)


async def test_no_maker_moves_its_quotes_after_the_close(
    settings: MakeSettings, keys: Keys
) -> None:
    lively = settings(market_moves_per_second=1_000.0)
    async with running(lively, keys) as exchange, exchange.member() as member:
        await load(exchange)
        for _ in range(10):
            await member.rest(day := a_limit(100 * DOLLAR))
            await phase(exchange, CLOSED)
            closed_at = (await member.said(day, NEW, EXPIRED))[-1].transact_time.ToDatetime(UTC)
            await phase(exchange, CLOSED)
            listed = await exchange.service.ListQuotes(
                service_pb.ListQuotesRequest(), metadata=exchange.reader
            )
            moved = {q.symbol for q in listed.quotes if q.updated_at.ToDatetime(UTC) > closed_at}
            assert moved <= {"AAPL"}, "where the order expired"
            await phase(exchange, OPEN)


async def is_held_up(postgres_url: str) -> bool:
    """Whether somebody waits for a lock in that database."""
    question = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        row = await (await connection.execute(question)).fetchone()
    return row is not None and row[0] > 0


async def test_the_next_day_ends_the_day_and_is_open(exchange: Exchange, member: Member) -> None:
    await load(exchange)
    await member.rest(day := a_limit(100 * DOLLAR))

    assert await phase(exchange, NEXT_DAY)

    await member.said(day, NEW, EXPIRED)
    await member.rest(a_limit(100 * DOLLAR))
    assert await phase(exchange, BY_HOURS)


async def test_a_halt_stops_trading_and_what_rests_stays_or_is_canceled(
    exchange: Exchange, member: Member
) -> None:
    await load(exchange)
    stays, leaves = a_limit(100 * DOLLAR), a_limit(100 * DOLLAR)
    member.send(stays, leaves)
    await exchange.halt("AAPL", is_halted=True)

    replace = await member.ask(a_replace(stays, 5))
    cancel = await member.ask(a_cancel(leaves))
    missed = await do(exchange, step(AT_ONCE, resting(1, 100, 4)))

    assert replace.reject_reason == pb.REJECT_REASON_HALTED
    assert (cancel.exec_type, missed.missed) == (CANCELED, 1)
    await exchange.halt("AAPL", is_halted=False)
    await do(exchange, step(AT_ONCE, resting(1, 100, 10)))
    assert (await member.ended(stays))[-1].exec_type == TRADE


async def test_the_day_ends_by_the_clock_though_nobody_trades(
    settings: MakeSettings, keys: Keys
) -> None:
    clock = ClockAt("2026-11-27T17:59:00")
    async with (
        house(settings(always_open=False), clock) as rpc,
        Exchange(rpc.address, keys) as exchange,
    ):
        await exchange.ready()
        async with exchange.member() as member:
            day, stays = a_limit(DOLLAR), a_limit(DOLLAR, time_in_force=GTC)
            await member.rest(day)
            await member.rest(stays)
            clock.at = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
            await member.ended(day)
            await member.said(day, NEW, EXPIRED)
            await member.said(stays, NEW)


async def test_a_close_that_was_slept_through_ends_the_day_before_anything_trades(
    settings: MakeSettings, keys: Keys
) -> None:
    day, stays = a_limit(DOLLAR), a_limit(DOLLAR, time_in_force=GTC)
    for clock, heard in (
        (ClockAt("2026-11-25T15:00:00"), [NEW]),
        (ClockAt("2026-11-25T20:00:00"), [NEW]),  # the same day
        (ClockAt("2026-11-27T15:00:00"), [NEW, EXPIRED]),  # in the next session
    ):
        async with (
            house(settings(always_open=False), clock) as rpc,
            Exchange(rpc.address, keys) as exchange,
        ):
            await exchange.ready()
            async with exchange.member() as member:
                if member.next_command_seq == 1:
                    member.send(day, stays)
                await member.trade(an_order())
                await member.said(day, *heard)
                await member.said(stays, NEW)


async def test_an_operators_close_outlasts_a_restart(settings: MakeSettings, keys: Keys) -> None:
    day = a_limit(DOLLAR)
    async with house(settings()) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        async with exchange.member() as member:
            await member.rest(day)
            await phase(exchange, CLOSED)

    async with house(settings()) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        async with exchange.member() as member:
            (refused,) = await member.trade(an_order())
            assert refused.reject_reason == pb.REJECT_REASON_MARKET_CLOSED
            await member.said(day, NEW, EXPIRED)
