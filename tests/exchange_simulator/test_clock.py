"""What time it is at the exchange is an operator's word: hours, reports and expiry go by it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.main import Settings, house
from services.exchange_simulator.venue_clock import FIRST, LAST, MOST_RATE_MILLIS, Reckoning
from stockbroker.exchange.v1 import clock_pb2 as pb
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb
from tests.exchange_simulator.member import EXPIRED, NEW, Exchange, Member, a_limit, an_order
from tests.exchange_simulator.others import DOLLAR, phase
from tests.exchange_simulator.test_days import ClockAt
from tests.exchange_simulator.test_durability import running
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]
BY_CALENDAR = control.SetPhaseRequest.PHASE_BY_CALENDAR
BY_HOURS = control.SetPhaseRequest.PHASE_BY_HOURS
NEXT_DAY = control.SetPhaseRequest.PHASE_NEXT_DAY
GTC = exchange_pb2.TIME_IN_FORCE_GTC
STILL = 0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def set_clock(exchange: Exchange, **wanted: Any) -> pb.VenueClock:
    if isinstance(wanted.get("at"), str):
        moment, text = pb.SetClockRequest().at, wanted["at"]
        moment.FromDatetime(at(text))
        wanted["at"] = moment
    request = pb.SetClockRequest(**wanted)
    return (await exchange.control.SetClock(request, metadata=exchange.operator)).clock


async def clock_of(exchange: Exchange) -> pb.VenueClock:
    response = await exchange.control.GetClock(pb.GetClockRequest(), metadata=exchange.operator)
    return response.clock


def now_of(clock: pb.VenueClock) -> datetime:
    return clock.now.ToDatetime(UTC)


@given(
    st.datetimes(FIRST.replace(tzinfo=None), LAST.replace(tzinfo=None)),
    st.integers(0, MOST_RATE_MILLIS),
    st.timedeltas(timedelta(days=-3_650), timedelta(days=3_650)),
)
def test_a_clock_runs_at_its_rate_and_stays_within_time(
    venue_at: datetime, rate_millis: int, elapsed: timedelta
) -> None:
    real_at, venue_at = at("2026-11-21T12:00:00"), venue_at.replace(tzinfo=UTC)

    now = Reckoning(real_at, venue_at, rate_millis).now(real_at + elapsed)

    assert FIRST <= now <= LAST
    if FIRST < now < LAST:
        assert abs((now - venue_at) - elapsed * rate_millis / 1000) <= timedelta(microseconds=1)


async def test_reports_are_made_at_the_time_that_was_set(
    exchange: Exchange, member: Member
) -> None:
    clock = await set_clock(exchange, at="2026-12-24T15:00:00", rate_millis=STILL)
    assert (now_of(clock), clock.is_real, clock.is_open) == (at("2026-12-24T15:00:00"), False, True)

    reports = await member.trade(an_order())
    assert {r.transact_time.ToDatetime(UTC) for r in reports} == {at("2026-12-24T15:00:00")}
    status = await exchange.service.GetMarketStatus(
        service_pb.GetMarketStatusRequest(), metadata=exchange.reader
    )
    assert status.now.ToDatetime(UTC) == at("2026-12-24T15:00:00")
    further = await set_clock(exchange, advance_seconds=-3_600)
    assert (now_of(further), further.rate_millis) == (at("2026-12-24T14:00:00"), STILL)

    real = await set_clock(exchange, real=True)
    assert (real.is_real, real.rate_millis) == (True, 1_000)
    later = await member.trade(an_order())
    assert abs(later[0].transact_time.ToDatetime(UTC) - datetime.now(UTC)) < timedelta(hours=1)


async def test_the_calendar_opens_and_closes_the_exchange_as_the_clock_goes(
    exchange: Exchange, member: Member
) -> None:
    await set_clock(exchange, at="2026-11-26T12:00:00", rate_millis=STILL)  # Thanksgiving
    assert not await phase(exchange, BY_CALENDAR)
    (refused,) = await member.trade(an_order())
    assert refused.reject_reason == exchange_pb2.REJECT_REASON_MARKET_CLOSED

    opened = await set_clock(exchange, next_open=True)
    assert (now_of(opened), opened.is_open) == (at("2026-11-27T14:30:00"), True)
    assert opened.closes_at.ToDatetime(UTC) == at("2026-11-27T18:00:00"), "a half day"
    day, lasting = a_limit(DOLLAR), a_limit(DOLLAR, time_in_force=GTC)
    await member.rest(day)
    await member.rest(lasting)

    closed = await set_clock(exchange, next_close=True)
    assert (now_of(closed), closed.is_open) == (at("2026-11-27T18:00:00"), False)
    (expired,) = (await member.said(day, NEW, EXPIRED))[1:]
    assert expired.transact_time.ToDatetime(UTC) == at("2026-11-27T18:00:00")
    assert now_of(await set_clock(exchange, next_open=True)) == at("2026-11-30T14:30:00")
    assert now_of(await set_clock(exchange, next_open=True)) == at("2026-12-01T14:30:00")
    await member.said(lasting, NEW)
    assert await phase(exchange, BY_HOURS), "this exchange keeps none"


async def test_a_close_comes_again_when_the_clock_was_set_back(
    exchange: Exchange, member: Member
) -> None:
    await phase(exchange, BY_CALENDAR)
    for _ in range(2):
        await set_clock(exchange, at="2026-11-27T15:00:00", rate_millis=STILL)
        day = a_limit(DOLLAR)
        await member.rest(day)
        await set_clock(exchange, next_close=True)
        await member.said(day, NEW, EXPIRED)


async def test_the_calendar_ends_only_the_days_in_which_orders_were_received(
    settings: MakeSettings, keys: Keys
) -> None:
    yesterday, today = a_limit(DOLLAR), a_limit(DOLLAR)
    scripted = a_limit(DOLLAR, symbol="TEST.REST")
    async with running(settings(), keys) as exchange, exchange.member() as member:
        await set_clock(exchange, at="2026-11-24T20:59:59", rate_millis=STILL)
        await member.rest(yesterday)
        await set_clock(exchange, at="2026-11-25T15:00:00", rate_millis=STILL)
        for order in (today, scripted):
            await member.rest(order)

    async with running(settings(), keys) as exchange, exchange.member() as member:
        assert await phase(exchange, BY_CALENDAR)
        await member.said(yesterday, NEW, EXPIRED)
        standings = await exchange.standings(yesterday, today, scripted)
        assert [s.is_open for s in standings] == [False, True, True]

        await set_clock(exchange, next_close=True)
        for order in (today, scripted):
            await member.said(order, NEW, EXPIRED)


async def test_what_was_received_before_the_clock_was_set_back_ends_with_the_next_day(
    exchange: Exchange, member: Member
) -> None:
    await set_clock(exchange, at="2026-12-24T15:00:00", rate_millis=STILL)
    day = a_limit(DOLLAR)
    await member.rest(day)
    await set_clock(exchange, at="2026-11-25T15:00:00", rate_millis=STILL)
    await phase(exchange, NEXT_DAY)
    await member.said(day, NEW, EXPIRED)

    await set_clock(exchange, at="2026-12-24T15:00:00", rate_millis=STILL)
    later = a_limit(DOLLAR)
    await member.rest(later)
    await set_clock(exchange, at="2026-11-25T15:00:00", rate_millis=STILL)
    await phase(exchange, BY_CALENDAR)
    await set_clock(exchange, next_close=True)
    await member.said(later, NEW, EXPIRED)


async def test_a_day_ends_by_itself_when_the_clock_runs_past_its_close(
    exchange: Exchange, member: Member
) -> None:
    await phase(exchange, BY_CALENDAR)
    await set_clock(exchange, at="2026-11-27T17:59:00", rate_millis=STILL)
    day = a_limit(DOLLAR)
    await member.rest(day)
    await set_clock(exchange, rate_millis=3_600_000)  # an hour a second
    expired = (await member.ended(day))[-1]
    assert expired.exec_type == EXPIRED
    assert expired.transact_time.ToDatetime(UTC) >= at("2026-11-27T18:00:00")


async def test_the_clock_outlives_a_restart_and_runs_on(settings: MakeSettings, keys: Keys) -> None:
    real = ClockAt("2026-11-21T12:00:00")
    async with house(settings(), real) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        await set_clock(exchange, at="2030-01-02T15:00:00", rate_millis=60_000)

    real.at += timedelta(minutes=2)
    async with house(settings(), real) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        clock = await clock_of(exchange)
        assert (now_of(clock), clock.rate_millis) == (at("2030-01-02T17:00:00"), 60_000)
        assert not clock.HasField("opens_at"), "the calendar ends before"
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await set_clock(exchange, next_open=True)
        assert refusal.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_setting_the_clock_ends_the_halts_of_bands(
    settings: MakeSettings, keys: Keys
) -> None:
    async with (
        house(settings(band_percent=1)) as rpc,
        Exchange(rpc.address, keys) as exchange,
    ):
        await exchange.ready()
        async with exchange.member() as member:
            (refused,) = await member.trade(an_order(symbol="F", quantity=1_500_000))
            assert refused.reject_reason == exchange_pb2.REJECT_REASON_HALTED
            await set_clock(exchange, advance_seconds=-86_400)
            assert len(await member.trade(an_order(symbol="F", quantity=1))) == 2


async def test_a_time_that_cannot_be_is_refused_and_the_clock_stands(exchange: Exchange) -> None:
    for wanted in (
        {},
        {"at": "1989-12-31T23:59:59"},
        {"at": "2200-01-01T00:00:00"},
        {"advance_seconds": 1 << 62},
        {"advance_seconds": 86_400 * 365 * 190},
        {"next_open": False},
        {"real": False},
        {"real": True, "rate_millis": 1},
        {"rate_millis": -1},
        {"rate_millis": MOST_RATE_MILLIS + 1},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await set_clock(exchange, **wanted)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT, wanted
    assert (await clock_of(exchange)).is_real


async def test_an_operators_clock_is_no_members(exchange: Exchange) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await exchange.control.SetClock(pb.SetClockRequest(real=True), metadata=exchange.reader)
    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED
    await until(exchange.is_ready)
