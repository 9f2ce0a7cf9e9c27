"""What an order may ask for: every type with its own prices, on the ticks of the market."""

import pytest
from msgspec.structs import replace

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import MAX_PRICE_MICROS, MAX_QUANTITY, Ticket
from services.exchange_simulator.terms import flaw_of, tick_of
from tests.exchange_simulator.tickets import DAY, FOK, GTC, IOC, limit, market, stop, stop_limit

DOLLAR = 1_000_000


def test_a_price_moves_by_cents_from_a_dollar_on_and_by_hundredths_of_one_below() -> None:
    assert [tick_of(price) for price in (1, 999_999, DOLLAR, 500 * DOLLAR)] == [
        100,
        100,
        10_000,
        10_000,
    ]
    for price, words in (
        (DOLLAR, ""),
        (DOLLAR + 10_000, ""),
        (DOLLAR + 100, "the limit price is no multiple of 10000"),
        (DOLLAR - 100, ""),
        (DOLLAR - 50, "the limit price is no multiple of 100"),
        (100, ""),
        (99, "the limit price is no multiple of 100"),
    ):
        assert flaw_of(limit(1, BUY, 1, price)) == words
    off = stop_limit(1, SELL, 1, (DOLLAR + 1, DOLLAR))
    assert flaw_of(off) == "the stop price is no multiple of 10000"


@pytest.mark.parametrize("tif", [DAY, GTC, IOC, FOK])
def test_market_and_limit_orders_are_good_for_any_time(tif: int) -> None:
    assert flaw_of(market(1, SELL, MAX_QUANTITY, tif)) == ""
    assert flaw_of(limit(1, BUY, 1, MAX_PRICE_MICROS, tif)) == ""


@pytest.mark.parametrize("tif", [IOC, FOK])
def test_an_order_that_is_for_now_cannot_wait(tif: int) -> None:
    waiting = stop_limit(1, BUY, 1, (DOLLAR, DOLLAR))
    assert flaw_of(waiting) == ""
    words = "an order that waits for a price is DAY or GTC"
    assert flaw_of(replace(waiting, time_in_force=tif)) == words
    assert flaw_of(replace(stop(1, BUY, 1, DOLLAR), time_in_force=tif)) == words


@pytest.mark.parametrize(
    ("ticket", "words"),
    [
        (market(1, 3, 1), "side is neither BUY nor SELL"),
        (market(1, BUY, 0), f"quantity is not within 1 and {MAX_QUANTITY}"),
        (market(1, BUY, MAX_QUANTITY + 1), f"quantity is not within 1 and {MAX_QUANTITY}"),
        (market(1, BUY, 1, 9), "time_in_force is unknown"),
        (replace(market(1, BUY, 1), order_type=9), "order_type is unknown"),
        (replace(market(1, BUY, 1), limit=DOLLAR), "a MARKET order has no limit price"),
        (replace(market(1, BUY, 1), stop=DOLLAR), "a MARKET order has no stop price"),
        (replace(stop(1, BUY, 1, DOLLAR), limit=DOLLAR), "a STOP order has no limit price"),
        (replace(limit(1, BUY, 1, DOLLAR), stop=DOLLAR), "a LIMIT order has no stop price"),
        (limit(1, BUY, 1, 0), f"the limit price is not within 1 and {MAX_PRICE_MICROS}"),
        (limit(1, BUY, 1, -100), f"the limit price is not within 1 and {MAX_PRICE_MICROS}"),
        (stop(1, BUY, 1, 0), f"the stop price is not within 1 and {MAX_PRICE_MICROS}"),
        (
            stop(1, BUY, 1, MAX_PRICE_MICROS + 10_000),
            f"the stop price is not within 1 and {MAX_PRICE_MICROS}",
        ),
        (market(1, BUY, 1, max_notional=-1), "max_notional is negative"),
        (market(1, SELL, 1, max_notional=1), "max_notional is for MARKET and STOP bids only"),
        (
            replace(limit(1, BUY, 1, DOLLAR), max_notional=1),
            "max_notional is for MARKET and STOP bids only",
        ),
    ],
)
def test_terms_that_make_no_order_are_told_in_words(ticket: Ticket, words: str) -> None:
    assert flaw_of(ticket) == words


def test_a_bid_at_any_price_may_be_bounded() -> None:
    assert flaw_of(market(1, BUY, 1, max_notional=1)) == ""
    assert flaw_of(stop(1, BUY, 1, DOLLAR, max_notional=1)) == ""
