"""Everybody may read the market: what is listed, quotes, books, hours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest

from libs.clock import SystemClock
from libs.rpc.status import reason_of
from services.exchange_simulator.main import Settings, house
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from tests.exchange_simulator.member import NEW, Exchange, Member, an_order
from tests.exchange_simulator.others import DOLLAR, do, load, resting, step
from tests.support.keys import Keys, bearer
from tests.support.wait import until

NEW_ORDER = control_pb.TapeCommand.KIND_NEW


class ClockAt(SystemClock):
    """A wall clock that stands where it is set."""

    def __init__(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).replace(tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


async def test_listed_symbols_come_by_symbol_with_names(exchange: Exchange) -> None:
    await exchange.halt("MSFT", is_halted=True)

    request = pb.ListInstrumentsRequest()
    response = await exchange.service.ListInstruments(request, metadata=exchange.reader)

    symbols = [instrument.symbol for instrument in response.instruments]
    assert symbols == sorted(symbols)
    named = {instrument.symbol: instrument for instrument in response.instruments}
    assert named["AAPL"].name == "Apple Inc."
    assert (named["AAPL"].is_halted, named["MSFT"].is_halted) == (False, True)


async def test_quotes_are_the_top_of_the_book_and_the_last_trade(
    exchange: Exchange, member: Member
) -> None:
    (before,) = await quotes(exchange, "AAPL")
    bids, asks = await exchange.levels("AAPL")
    assert (before.bid.price_micros, before.bid.quantity) == bids[0]
    assert (before.ask.price_micros, before.ask.quantity) == asks[0]
    assert (before.last_price_micros, before.volume) == (0, 0)

    await member.trade(an_order(quantity=3))

    (after,) = await quotes(exchange, "AAPL")
    assert (after.last_price_micros, after.volume) == (asks[0][0], 3)
    assert after.updated_at.ToNanoseconds() >= before.updated_at.ToNanoseconds()


async def test_all_quotes_come_by_symbol(exchange: Exchange) -> None:
    symbols = [quote.symbol for quote in await quotes(exchange)]

    assert len(symbols) >= 36
    assert symbols == sorted(symbols)


async def test_an_empty_side_has_no_quote(exchange: Exchange) -> None:
    await exchange.control.LoadBook(
        control_pb.LoadBookRequest(symbol="AAPL"), metadata=exchange.operator
    )

    (quote,) = await quotes(exchange, "AAPL")

    assert not quote.HasField("bid")
    assert not quote.HasField("ask")


async def quotes(exchange: Exchange, *symbols: str) -> list[exchange_pb2.Quote]:
    request = pb.ListQuotesRequest(symbols=symbols)
    response = await exchange.service.ListQuotes(request, metadata=exchange.reader)
    return list(response.quotes)


class Watching:
    """Quotes as they come."""

    def __init__(self, exchange: Exchange, *symbols: str) -> None:
        self.seen: list[exchange_pb2.Quote] = []
        self.traded: list[tuple[int, int]] = []  # the lowest and the highest price, where any did
        request = pb.WatchQuotesRequest(symbols=symbols)
        self._call = exchange.service.WatchQuotes(request, metadata=exchange.reader)
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for response in self._call:
            self.seen.append(response.quote)
            if response.highest_traded_micros:
                traded = response.lowest_traded_micros, response.highest_traded_micros
                self.traded.append(traded)

    async def stop(self) -> None:
        self._call.cancel()
        await asyncio.wait([self._task])


@pytest.fixture
async def watching(exchange: Exchange) -> AsyncIterator[Watching]:
    watching = Watching(exchange, "AAPL", "MSFT")
    await until(lambda: len(watching.seen) == 2)
    yield watching
    await watching.stop()


async def test_a_watcher_gets_the_quotes_as_they_stand_and_then_every_change(
    watching: Watching, member: Member
) -> None:
    assert [quote.symbol for quote in watching.seen] == ["AAPL", "MSFT"]

    await member.trade(an_order(quantity=3))
    await member.trade(an_order(symbol="KO", quantity=3))
    await member.trade(an_order(symbol="MSFT", quantity=4))
    await until(lambda: watching.seen[-1].symbol == "MSFT" and watching.seen[-1].volume == 4)

    assert [q.volume for q in watching.seen if q.symbol == "AAPL"] == [0, 3]
    assert "KO" not in {quote.symbol for quote in watching.seen}


async def test_a_watcher_hears_between_which_prices_a_symbol_traded(
    exchange: Exchange, watching: Watching
) -> None:
    assert watching.traded == []
    await load(exchange, resting(1, 101, 1), resting(2, 99, 1, is_bid=True))
    buy, sell = resting(3, 101, 1, is_bid=True), resting(4, 99, 1)
    await do(exchange, step(NEW_ORDER, buy), step(NEW_ORDER, sell))
    await until(lambda: watching.seen[-1].volume == 2)
    lowest, highest = zip(*watching.traded, strict=True)
    assert (min(lowest), max(highest)) == (99 * DOLLAR, 101 * DOLLAR)

    told = len(watching.traded)
    await do(exchange, step(NEW_ORDER, resting(5, 100, 1)))
    await do(exchange, step(NEW_ORDER, resting(6, 100, 1, is_bid=True)))
    await until(lambda: watching.seen[-1].volume == 3)
    assert watching.traded[told:] == [(100 * DOLLAR, 100 * DOLLAR)], "each is told once"


async def test_a_watcher_that_is_behind_skips_to_the_latest(
    exchange: Exchange, watching: Watching
) -> None:
    commands = [
        control_pb.TapeCommand(
            kind=control_pb.TapeCommand.KIND_NEW,
            order=control_pb.RestingOrder(
                order_id=n, is_bid=True, quantity=1, price_micros=300_000_000 + n
            ),
        )
        for n in range(1, 3001)
    ]

    async def messages() -> AsyncIterator[control_pb.PlayTapeRequest]:
        yield control_pb.PlayTapeRequest(symbol="AAPL")
        for first in range(0, 3000, 500):
            yield control_pb.PlayTapeRequest(commands=commands[first : first + 500])

    await exchange.control.LoadBook(
        control_pb.LoadBookRequest(symbol="AAPL"), metadata=exchange.operator
    )
    await exchange.control.PlayTape(messages(), metadata=exchange.operator)

    await until(lambda: watching.seen[-1].bid.price_micros == 300_003_000)
    assert len(watching.seen) < 100


async def test_the_market_moves_while_nobody_trades(
    settings: Callable[..., Settings], keys: Keys
) -> None:
    async with (
        house(settings(market_moves_per_second=200.0)) as rpc,
        Exchange(rpc.address, keys) as exchange,
    ):
        await exchange.ready()
        watching = Watching(exchange)
        await until(lambda: len(watching.seen) > 60)
        await watching.stop()

        assert {quote.volume for quote in watching.seen} == {0}


async def test_the_exchange_stops_at_once_though_it_is_watched_and_members_are_on(
    settings: Callable[..., Settings], keys: Keys
) -> None:
    async with AsyncExitStack() as others, asyncio.timeout(30) as limit:
        async with house(settings()) as rpc:
            exchange = await others.enter_async_context(Exchange(rpc.address, keys))
            await exchange.ready()
            member = await others.enter_async_context(exchange.member())
            watching = Watching(exchange, "AAPL")
            await until(lambda: watching.seen)
            limit.reschedule(asyncio.get_running_loop().time() + 4)  # the grace is 5
        assert await member.code_at_end() == grpc.StatusCode.OK
        await watching.stop()


async def test_a_book_is_told_to_the_depth_asked_for(exchange: Exchange) -> None:
    async def book(depth: int) -> pb.GetBookResponse:
        request = pb.GetBookRequest(symbol="AAPL", depth=depth)
        return await exchange.service.GetBook(request, metadata=exchange.reader)

    shallow, usual = await book(3), await book(0)

    assert (len(shallow.bids), len(shallow.asks)) == (3, 3)
    assert (len(usual.bids), len(usual.asks)) == (10, 10)
    bids = [level.price_micros for level in usual.bids]
    asks = [level.price_micros for level in usual.asks]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]
    for depth in (-1, 1001):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await book(depth)
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_a_symbol_that_is_not_listed_is_not_found(exchange: Exchange) -> None:
    calls: list[Awaitable[Any]] = [
        exchange.service.ListQuotes(
            pb.ListQuotesRequest(symbols=["AAPL", "NOPE"]), metadata=exchange.reader
        ),
        exchange.service.GetBook(pb.GetBookRequest(symbol=""), metadata=exchange.reader),
        exchange.service.WatchQuotes(
            pb.WatchQuotesRequest(symbols=["nope"]), metadata=exchange.reader
        ).read(),
    ]
    for call in calls:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND
        assert reason_of(refused.value) == "UNKNOWN_SYMBOL"


async def status(exchange: Exchange) -> pb.GetMarketStatusResponse:
    request = pb.GetMarketStatusRequest()
    return await exchange.service.GetMarketStatus(request, metadata=exchange.reader)


async def test_an_exchange_without_hours_says_so(exchange: Exchange) -> None:
    response = await status(exchange)

    assert response.is_open
    assert response.is_always_open
    assert not response.HasField("opens_at")
    assert not response.HasField("closes_at")


async def test_out_of_hours_orders_are_rejected_and_in_hours_they_trade(
    settings: Callable[..., Settings], keys: Keys
) -> None:
    clock = ClockAt("2026-11-27T17:59:00")
    async with (
        house(settings(always_open=False), clock) as rpc,
        Exchange(rpc.address, keys) as exchange,
    ):
        await exchange.ready()
        async with exchange.member() as member:
            in_hours = await member.trade(an_order())
            half_day = await status(exchange)
            clock.at = datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
            (rejected,) = await member.trade(an_order())
            closed = await status(exchange)

    assert in_hours[0].exec_type == NEW
    assert half_day.is_open
    assert half_day.closes_at.ToDatetime(UTC) == clock.at
    assert rejected.reject_reason == exchange_pb2.REJECT_REASON_MARKET_CLOSED
    assert not closed.is_open
    assert closed.opens_at.ToDatetime(UTC) == datetime(2026, 11, 30, 14, 30, tzinfo=UTC)


async def test_customers_may_read_but_are_no_members(exchange: Exchange, keys: Keys) -> None:
    customer = bearer(keys.customer("alice"))

    response = await exchange.service.ListQuotes(pb.ListQuotesRequest(), metadata=customer)
    assert response.quotes
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await exchange.service.GetOrder(pb.GetOrderRequest(client_order_id="x"), metadata=customer)
    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED
    call = exchange.service.Session(metadata=customer)
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await call.read()
    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED
