"""No trade is outside the limits around the price of late; one that would be halts its symbol."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.exchange_simulator.bands import Band, Rule, at, limits, paused, with_trade
from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.guard import Guard
from services.exchange_simulator.main import Settings, house
from services.exchange_simulator.matching import Matcher
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2 as service_pb
from tests.exchange_simulator.member import (
    NEW,
    REJECTED,
    REPLACE_REJECTED,
    TRADE,
    Exchange,
    a_limit,
    a_replace,
    an_order,
)
from tests.exchange_simulator.others import DOLLAR, do, load, resting, step
from tests.exchange_simulator.test_days import ClockAt
from tests.exchange_simulator.tickets import limit, market, stop, told
from tests.support.keys import Keys
from tests.support.wait import until

MakeSettings = Callable[..., Settings]
NOON = datetime(2026, 11, 23, 17, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RULE = Rule(100_000, window=300 * SECOND, pause=60 * SECOND)  # a tenth


@given(st.integers(1, 900_000_000_000), st.integers(1, 900_000))
def test_limits_are_within_the_width_and_hold_the_reference(reference: int, width: int) -> None:
    low, high = limits(reference, Rule(width, SECOND, SECOND))
    assert 0 <= low <= reference <= high
    assert (reference - low) * 1_000_000 <= reference * width
    assert (high - reference) * 1_000_000 <= reference * width
    assert (reference - low + 1) * 1_000_000 > reference * width
    assert (high + 1 - reference) * 1_000_000 > reference * width


def test_the_reference_is_the_mean_of_the_window_and_stays_when_nobody_trades() -> None:
    band = Band(100)
    band = with_trade(band, NOON, quantity=10, notional=1_000)
    band = with_trade(band, NOON, quantity=10, notional=1_200)
    band = with_trade(band, NOON + 200 * SECOND, quantity=20, notional=3_000)
    references = [
        at(band, NOON + seconds * SECOND, RULE, book_price=7).reference
        for seconds in (200, 299, 300, 499)
    ]
    assert references == [130, 130, 150, 150]
    last = at(band, NOON + 499 * SECOND, RULE, book_price=7)
    later = at(last, NOON + 500 * SECOND, RULE, book_price=7)
    assert (later.reference, later.traded) == (150, ())


def test_a_pause_ends_by_itself_with_the_books_own_price() -> None:
    band = paused(with_trade(Band(100), NOON, quantity=1, notional=100), NOON, RULE)
    assert at(band, NOON + 59 * SECOND, RULE, book_price=130) == band
    assert at(band, NOON + 60 * SECOND, RULE, book_price=130) == Band(130)
    assert at(band, NOON + 60 * SECOND, RULE, book_price=0) == Band(100)


def a_guarded(*asks: tuple[int, int]) -> tuple[Matcher, Guard]:
    """A book with these offers (price, shares), whose reference is 100."""
    matcher = Matcher()
    guard = Guard(matcher, RULE)
    guard.begin(NOON)
    matcher.enter(limit(901, SELL, 1, 100))
    guard.hear(matcher.enter(limit(902, BUY, 1, 100)))
    for order_id, (price, quantity) in enumerate(asks, start=1):
        matcher.enter(limit(order_id, SELL, quantity, price))
    return matcher, guard


def test_an_order_that_would_trade_outside_does_not_trade_at_all() -> None:
    matcher, guard = a_guarded((109, 5), (111, 5))
    events = matcher.enter(market(10, BUY, 6))
    guard.hear(events)
    assert told(events) == [("refused", 10, "HALTED")]
    assert len(matcher.book) == 2
    assert guard.paused_until == NOON + 60 * SECOND


def test_an_order_that_finds_enough_within_trades_and_one_that_only_rests_does_too() -> None:
    matcher, guard = a_guarded((109, 5), (111, 5))
    guard.hear(matcher.enter(limit(10, BUY, 6, 110)))
    guard.hear(matcher.enter(limit(11, SELL, 6, 500)))
    assert guard.paused_until is None
    assert 10 in matcher
    assert 11 in matcher


def test_a_stop_whose_election_would_trade_outside_waits_on_in_its_place() -> None:
    matcher, guard = a_guarded((105, 1), (120, 9))
    for order_id, price in ((20, 104), (30, 106), (21, 104)):
        matcher.enter(stop(order_id, BUY, 1, price))
    events = matcher.enter(market(10, BUY, 1))
    guard.hear(events)
    assert told(events) == [("traded", 10, [(1, 1, 105)])]
    assert [ticket.order_id for ticket in matcher.stops.tickets()] == [20, 30, 21]
    assert guard.paused_until is not None

    guard.begin(NOON + 60 * SECOND)
    events = matcher.enter(market(11, BUY, 1))
    assert [each for each in told(events) if each[0] == "elected"] == [
        ("elected", order_id) for order_id in (20, 30, 21)
    ]


def test_a_rollback_brings_the_reference_back_and_ends_the_pause() -> None:
    matcher, guard = a_guarded((109, 5), (111, 5))
    bounds = matcher.bounds
    matcher.begin()
    guard.begin(NOON)
    guard.hear(matcher.enter(limit(10, BUY, 5, 109)))
    assert matcher.bounds != bounds
    guard.hear(matcher.enter(market(11, BUY, 1)))
    matcher.rollback()
    guard.rollback()
    assert (matcher.bounds, guard.paused_until) == (bounds, None)


async def quote_of(exchange: Exchange) -> pb.Quote:
    request = service_pb.ListQuotesRequest(symbols=["AAPL"])
    (quote,) = (await exchange.service.ListQuotes(request, metadata=exchange.reader)).quotes
    return quote


async def instrument_of(exchange: Exchange) -> pb.Instrument:
    request = service_pb.ListInstrumentsRequest()
    listed = await exchange.service.ListInstruments(request, metadata=exchange.reader)
    return next(each for each in listed.instruments if each.symbol == "AAPL")


async def test_trading_is_halted_at_the_limit_and_resumes_by_itself(
    settings: MakeSettings, keys: Keys
) -> None:
    clock = ClockAt("2026-11-23T17:00:00")
    banded = settings(band_percent=10, band_halt_seconds=60)
    async with house(banded, clock) as rpc, Exchange(rpc.address, keys) as exchange:
        await exchange.ready()
        await load(
            exchange, resting(1, 101, 5), resting(2, 120, 50), resting(3, 99, 5, is_bid=True)
        )
        async with exchange.member() as member:
            before = await quote_of(exchange)
            assert (before.lowest_price_micros, before.highest_price_micros) == (
                90 * DOLLAR,
                110 * DOLLAR,
            )
            rests = a_limit(95 * DOLLAR)
            await member.rest(rests)

            raised = await member.ask(a_replace(rests, 10, limit=120 * DOLLAR))
            (refused,) = await member.trade(an_order(quantity=1))
            assert raised.exec_type == REPLACE_REJECTED
            assert {raised.reject_reason, refused.reject_reason} == {pb.REJECT_REASON_HALTED}
            missed = await do(
                exchange, step(control.TapeCommand.KIND_IOC, resting(9, 90, 1, is_bid=False))
            )
            quote = await quote_of(exchange)
            assert (missed.missed, quote.is_halted) == (1, True)
            assert quote.halted_until.ToDatetime(UTC) == clock.at + 60 * SECOND
            assert quote.volume == 0
            instrument = await instrument_of(exchange)
            assert (instrument.is_halted, instrument.halted_until) == (True, quote.halted_until)

            clock.at += 60 * SECOND

            async def is_trading() -> bool:
                return not (await quote_of(exchange)).is_halted

            await until(is_trading)
            reports = await member.trade(an_order(quantity=5))
            assert [report.exec_type for report in reports] == [NEW, TRADE]
            await member.said(rests, NEW, REPLACE_REJECTED)


async def test_without_bands_any_price_trades(exchange: Exchange) -> None:
    await load(exchange, resting(1, 1, 5), resting(2, 900_000, 5))
    async with exchange.member() as member:
        reports = await member.trade(an_order())
    assert [r.exec_type for r in reports] == [NEW, TRADE, TRADE]
    quote = await quote_of(exchange)
    assert (quote.lowest_price_micros, quote.highest_price_micros) == (0, 0)
    assert REJECTED not in [r.exec_type for r in reports]
