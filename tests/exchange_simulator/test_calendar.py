"""The calendar is everybody's to read, and an operator's to amend."""

from collections.abc import Callable
from datetime import UTC, datetime

import grpc
import pytest

from services.exchange_simulator.main import Settings, house
from stockbroker.exchange.v1 import calendar_pb2 as pb
from stockbroker.exchange.v1 import exchange_pb2
from tests.exchange_simulator.member import EXPIRED, NEW, Exchange, a_limit, an_order
from tests.exchange_simulator.others import DOLLAR
from tests.exchange_simulator.test_days import ClockAt
from tests.support.keys import Keys, bearer

MakeSettings = Callable[..., Settings]


async def days_of(exchange: Exchange, first: str, limit: int = 0) -> list[pb.TradingDay]:
    request = pb.ListTradingDaysRequest(from_date=first, limit=limit)
    customer = bearer(exchange.keys.customer("alice"))
    return list((await exchange.service.ListTradingDays(request, metadata=customer)).days)


def hours(date: str, opens: str, closes: str) -> pb.SetTradingDayRequest:
    request = pb.SetTradingDayRequest(date=date, reason_text="snow")
    request.open.opens_at.FromJsonString(f"{date}T{opens}:00Z")
    request.open.closes_at.FromJsonString(f"{date}T{closes}:00Z")
    return request


async def set_day(exchange: Exchange, request: pb.SetTradingDayRequest) -> pb.TradingDay | None:
    response = await exchange.control.SetTradingDay(request, metadata=exchange.operator)
    return response.day if response.HasField("day") else None


async def test_everybody_reads_the_calendar(exchange: Exchange) -> None:
    days = await days_of(exchange, "2026-11-26", 2)
    assert [(d.date, d.is_short, d.is_set) for d in days] == [
        ("2026-11-27", True, False),
        ("2026-11-30", False, False),
    ]
    assert days[0].closes_at.ToDatetime(UTC) == datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert len(await days_of(exchange, "")) == 10
    assert await days_of(exchange, "2100-01-01") == []


async def test_an_early_close_ends_the_day_and_outlives_a_restart(
    settings: MakeSettings, keys: Keys
) -> None:
    clock, kept = ClockAt("2026-11-25T17:00:00"), settings(always_open=False)
    async with house(kept, clock) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        async with exchange.member() as member:
            day = a_limit(DOLLAR)
            await member.rest(day)
            told = await set_day(exchange, hours("2026-11-25", "14:30", "16:00"))
            assert told is not None
            assert (told.is_short, told.is_set, told.reason_text) == (True, True, "snow")
            await member.ended(day)
            await member.said(day, NEW, EXPIRED)

    async with house(kept, clock) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        async with exchange.member(next_report_seq=3) as member:
            (refused,) = await member.trade(an_order())
            assert refused.reject_reason == exchange_pb2.REJECT_REASON_MARKET_CLOSED
            usual = pb.SetTradingDayRequest(date="2026-11-25", is_usual=True)
            told = await set_day(exchange, usual)
            assert told is not None
            assert not told.is_set
            await member.rest(a_limit(DOLLAR))


async def test_a_date_without_a_session_gets_one_and_loses_it(exchange: Exchange) -> None:
    saturday = "2026-11-28"
    assert await set_day(exchange, hours(saturday, "10:00", "11:00")) is not None
    assert (await days_of(exchange, saturday, 1))[0].date == saturday
    closed = await set_day(exchange, pb.SetTradingDayRequest(date=saturday, is_closed=True))
    assert closed is not None
    assert not closed.HasField("opens_at")
    assert await set_day(exchange, pb.SetTradingDayRequest(date=saturday, is_usual=True)) is None


async def test_hours_that_cannot_be_are_refused(exchange: Exchange) -> None:
    late = hours("2026-11-25", "14:30", "16:00")
    late.open.closes_at.FromJsonString("2026-11-26T01:00:00Z")
    for wrong in (
        pb.SetTradingDayRequest(),
        pb.SetTradingDayRequest(date="2026-02-30", is_closed=True),
        pb.SetTradingDayRequest(date="tomorrow", is_closed=True),
        pb.SetTradingDayRequest(date="2026-11-25"),
        pb.SetTradingDayRequest(date="2026-11-25", is_closed=False),
        pb.SetTradingDayRequest(date="2026-11-25", is_closed=True, reason_text="x" * 201),
        pb.SetTradingDayRequest(date="2026-11-25", is_closed=True, reason_text="sn\0w"),
        hours("2026-11-25", "16:00", "16:00"),
        late,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await set_day(exchange, wrong)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT, wrong
    for first, limit in (("2026", 1), ("2026-11-25", -1), ("2026-11-25", 1_001)):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await days_of(exchange, first, limit)
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
