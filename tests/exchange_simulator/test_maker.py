"""A market maker keeps its symbol's book deep, uncrossed and near the reference price."""

from itertools import count

import pytest

from services.exchange_simulator import tables
from services.exchange_simulator.book import BUY, SELL, Book
from services.exchange_simulator.domain import Instrument
from services.exchange_simulator.maker import CENT_MICROS, RUNGS, Maker
from services.exchange_simulator.market import Market
from services.exchange_simulator.matching import Matcher

INSTRUMENTS = tables.read_instruments()
FORD = Instrument("F", "Ford", reference_cents=990, spread_cents=1, depth=9000)


def a_maker(instrument: Instrument = FORD, *, seed: int = 1) -> tuple[Maker, Matcher]:
    ids = count(1)
    maker, matcher = Maker(instrument, seed=seed, next_id=lambda: -next(ids)), Matcher()
    assert maker.open(matcher) == []
    return maker, matcher


def depth(book: Book, side: int) -> int:
    return sum(level.quantity for level in book.half(side).best_first())


def ladder(book: Book) -> list[tuple[int, int, int]]:
    return [(o.side, o.price, o.quantity) for side in (BUY, SELL) for o in book.orders(side)]


def check(book: Book, instrument: Instrument) -> None:
    """Two-sided, at its spread, uncrossed, all rungs there."""
    bid, ask = book.bids.best(), book.asks.best()
    assert bid is not None
    assert ask is not None
    assert ask.price - bid.price == instrument.spread_cents * CENT_MICROS
    assert len(book.bids.keys) == len(book.asks.keys) == RUNGS
    assert min(book.bids.keys) > 0


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.symbol)
def test_every_listed_symbol_opens_with_a_whole_ladder_at_its_reference(
    instrument: Instrument,
) -> None:
    book = a_maker(instrument)[1].book

    check(book, instrument)
    bid, ask = book.bids.best(), book.asks.best()
    assert bid is not None
    assert ask is not None
    assert bid.price <= instrument.reference_cents * CENT_MICROS <= ask.price


def test_a_few_dozen_symbols_are_listed_once_each() -> None:
    symbols = [instrument.symbol for instrument in INSTRUMENTS]

    assert len(symbols) == len(set(symbols)) >= 36
    assert {"AAPL", "MSFT", "NVDA", "BRK.B"} <= set(symbols)


def test_the_same_seed_gives_the_same_book_and_another_another() -> None:
    assert ladder(a_maker(seed=1)[1].book) == ladder(a_maker(seed=1)[1].book)
    assert ladder(a_maker(seed=1)[1].book) != ladder(a_maker(seed=2)[1].book)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_book_that_is_traded_empty_is_deep_again(side: int) -> None:
    maker, matcher = a_maker()
    book = matcher.book
    whole = depth(book, 3 - side)
    for _ in range(100):
        taken = sum(fill.quantity for fill in book.take(side, 10**9))
        assert taken >= whole // 3
        maker.follow(matcher, taken if side == BUY else -taken)
        check(book, FORD)


def test_buyers_lift_the_price_and_sellers_lower_it() -> None:
    maker, matcher = a_maker()
    book = matcher.book
    opening = book.asks.keys[-1]

    maker.follow(matcher, 3 * FORD.depth)
    lifted = book.asks.keys[-1]
    maker.follow(matcher, -3 * FORD.depth)

    assert -lifted == -opening + 3 * CENT_MICROS
    assert book.asks.keys[-1] == opening


def test_idle_moves_stay_near_the_reference_and_leave_the_book_whole() -> None:
    maker, matcher = a_maker()
    book = matcher.book
    prices = []
    for _ in range(3000):
        maker.drift(matcher)
        prices.append(book.bids.keys[-1])
        check(book, FORD)

    reference = FORD.reference_cents * CENT_MICROS
    assert len(set(prices)) > 3
    assert max(abs(price - reference) for price in prices) < reference // 5
    assert len(book) <= 4 * RUNGS, "old quotes do not pile up"
    assert book.bids.levels[book.bids.keys[-1]].quantity <= 2 * FORD.depth


def test_the_price_never_falls_to_nothing() -> None:
    maker, matcher = a_maker()
    book = matcher.book
    for _ in range(2000):
        maker.follow(matcher, -100 * FORD.depth)
        check(book, FORD)


def test_a_market_that_its_maker_left_does_not_move() -> None:
    ids = count(1)
    market = Market(FORD)
    market.reset(Maker(FORD, seed=1, next_id=lambda: -next(ids)))
    market.is_halted = True
    before = ladder(market.book)
    assert market.drift() == []
    assert ladder(market.book) == before
    market.is_halted = False
    market.load([])
    assert market.drift() == []
