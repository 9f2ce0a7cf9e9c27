"""Orders of every type go by the rules, told one by one."""

import pytest

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import Ticket
from services.exchange_simulator.matching import Matcher
from tests.exchange_simulator.tickets import (
    DAY,
    FOK,
    GTC,
    IOC,
    contents,
    limit,
    market,
    stop,
    stop_limit,
    told,
)


def at_100() -> Matcher:
    """A market that last traded at 100 and is empty."""
    matcher = Matcher()
    matcher.enter(limit(901, SELL, 1, 100))
    matcher.enter(limit(902, BUY, 1, 100))
    return matcher


def ids(matcher: Matcher, side: int) -> list[int]:
    return [order.order_id for order in matcher.book.orders(side)]


def test_an_order_keeps_its_place_when_it_shrinks_and_loses_it_otherwise() -> None:
    matcher = Matcher()
    for order_id in (1, 2, 3):
        matcher.enter(limit(order_id, BUY, 10, 100))
    matcher.reduce(1, 4)
    assert matcher.replace(2, 5) == []
    assert matcher.replace(2, 5, limit=100) == []
    assert ids(matcher, BUY) == [1, 2, 3]
    matcher.replace(1, 7)  # more than the 6 that were left
    assert ids(matcher, BUY) == [2, 3, 1]
    matcher.replace(3, 10, limit=99)
    matcher.replace(3, 10, limit=100)
    assert ids(matcher, BUY) == [2, 1, 3]


def test_a_new_price_that_crosses_trades_at_once() -> None:
    matcher = Matcher()
    matcher.enter(limit(1, BUY, 10, 99, DAY))
    matcher.enter(limit(2, SELL, 4, 101))
    events = matcher.replace(1, 10, limit=101)
    assert told(events or []) == [("traded", 1, [(2, 4, 101)])]
    assert contents(matcher) == [[(1, BUY, 101, 6, True)], [], 101]


def test_fok_fills_whole_or_not_at_all_and_ioc_takes_what_there_is() -> None:
    matcher = Matcher()
    matcher.enter(limit(1, SELL, 10, 100))
    assert told(matcher.enter(limit(2, BUY, 11, 100, FOK))) == [("ended", 2, 11, "NO_LIQUIDITY")]
    assert told(matcher.enter(limit(3, BUY, 6, 100, FOK))) == [("traded", 3, [(1, 6, 100)])]
    assert told(matcher.enter(limit(4, BUY, 9, 100, IOC))) == [
        ("traded", 4, [(1, 4, 100)]),
        ("ended", 4, 5, "NO_LIQUIDITY"),
    ]
    assert told(matcher.enter(limit(5, BUY, 9, 100, IOC))) == [("ended", 5, 9, "NO_LIQUIDITY")]


def test_a_market_order_never_rests_nor_costs_more_than_it_may() -> None:
    matcher = Matcher()
    assert told(matcher.enter(market(1, BUY, 5))) == [("refused", 1, "NO_LIQUIDITY")]
    matcher.enter(limit(2, SELL, 5, 100))
    costly = market(3, BUY, 9, max_notional=499)
    assert told(matcher.enter(costly)) == [("refused", 3, "MAX_NOTIONAL")]
    assert told(matcher.enter(market(4, BUY, 9, max_notional=500))) == [
        ("traded", 4, [(2, 5, 100)]),
        ("ended", 4, 4, "NO_LIQUIDITY"),
    ]


def test_a_stop_waits_for_a_trade_not_for_a_quote() -> None:
    matcher = at_100()
    assert matcher.enter(stop(1, BUY, 3, 102)) == []
    matcher.enter(limit(2, SELL, 5, 103))
    matcher.enter(limit(3, BUY, 5, 102))  # bid at the stop price: no trade
    assert 1 in matcher
    assert told(matcher.enter(limit(4, BUY, 1, 103))) == [
        ("traded", 4, [(2, 1, 103)]),
        ("elected", 1),
        ("traded", 1, [(2, 3, 103)]),
    ]
    assert 1 not in matcher


def test_no_stop_is_elected_before_the_first_trade() -> None:
    matcher = Matcher()
    for ticket in (stop(1, BUY, 1, 1), stop(2, SELL, 1, 999)):
        assert matcher.enter(ticket) == []
    assert len(matcher.stops) == 2


def test_a_stop_whose_price_was_met_already_is_elected_at_once() -> None:
    matcher = at_100()
    matcher.enter(limit(1, BUY, 5, 99))
    assert told(matcher.enter(stop(2, SELL, 2, 100))) == [
        ("elected", 2),
        ("traded", 2, [(1, 2, 99)]),
    ]
    assert matcher.enter(stop(3, SELL, 2, 98)) == []
    events = matcher.replace(3, 2, stop=99)
    assert told(events or []) == [("elected", 3), ("traded", 3, [(1, 2, 99)])]


def test_stops_of_one_trade_are_elected_in_the_order_they_came() -> None:
    matcher = at_100()
    matcher.enter(stop(1, BUY, 1, 103))
    matcher.enter(stop(2, BUY, 1, 101))
    matcher.enter(stop(3, BUY, 1, 102))
    matcher.enter(limit(4, SELL, 9, 103))
    events = told(matcher.enter(limit(5, BUY, 1, 103)))
    assert [event[1] for event in events if event[0] == "elected"] == [1, 2, 3]


def test_stops_of_an_earlier_trade_are_elected_before_those_of_a_later_one() -> None:
    matcher = at_100()
    matcher.enter(stop(1, BUY, 1, 103))
    matcher.enter(stop(2, BUY, 1, 101))
    for order_id, price in ((4, 101), (5, 103)):
        matcher.enter(limit(order_id, SELL, 1, price))
    matcher.enter(limit(6, SELL, 9, 104))
    assert told(matcher.enter(limit(7, BUY, 2, 103))) == [
        ("traded", 7, [(4, 1, 101), (5, 1, 103)]),
        ("elected", 2),
        ("traded", 2, [(6, 1, 104)]),
        ("elected", 1),
        ("traded", 1, [(6, 1, 104)]),
    ]


def test_what_an_elected_order_elects_comes_after_those_elected_before() -> None:
    matcher = at_100()
    matcher.enter(stop(1, SELL, 2, 99))
    matcher.enter(stop(2, SELL, 1, 97))
    matcher.enter(stop(3, SELL, 1, 99))
    for order_id, price in ((4, 99), (5, 98), (6, 97), (7, 96), (8, 95)):
        matcher.enter(limit(order_id, BUY, 1, price))
    assert told(matcher.enter(market(9, SELL, 1))) == [
        ("traded", 9, [(4, 1, 99)]),
        ("elected", 1),
        ("traded", 1, [(5, 1, 98), (6, 1, 97)]),
        ("elected", 3),
        ("traded", 3, [(7, 1, 96)]),
        ("elected", 2),
        ("traded", 2, [(8, 1, 95)]),
    ]


def test_an_elected_stop_limit_rests_what_it_cannot_trade() -> None:
    matcher = at_100()
    matcher.enter(stop_limit(1, BUY, 5, (101, 102), DAY))
    matcher.enter(limit(2, SELL, 1, 101))
    matcher.enter(limit(3, SELL, 2, 102))
    matcher.enter(limit(4, SELL, 9, 103))
    assert told(matcher.enter(limit(5, BUY, 1, 101))) == [
        ("traded", 5, [(2, 1, 101)]),
        ("elected", 1),
        ("traded", 1, [(3, 2, 102)]),
    ]
    resting, waiting, _ = contents(matcher)
    assert (resting[0], waiting) == ((1, BUY, 102, 3, True), [])


def test_an_elected_stop_finds_no_more_than_its_bound_allows() -> None:
    matcher = at_100()
    matcher.enter(stop(1, BUY, 5, 101, max_notional=504))
    matcher.enter(stop(2, BUY, 50, 101))
    matcher.enter(limit(3, SELL, 11, 101))
    assert told(matcher.enter(limit(4, BUY, 1, 101))) == [
        ("traded", 4, [(3, 1, 101)]),
        ("elected", 1),
        ("ended", 1, 5, "MAX_NOTIONAL"),
        ("elected", 2),
        ("traded", 2, [(3, 10, 101)]),
        ("ended", 2, 40, "NO_LIQUIDITY"),
    ]


def test_a_stop_may_be_given_another_bound_and_keeps_its_place() -> None:
    matcher = at_100()
    for order_id in (1, 2):
        matcher.enter(stop(order_id, BUY, 5, 101, max_notional=504))
    matcher.enter(limit(3, SELL, 11, 101))
    assert matcher.replace(1, 5, max_notional=505) == []
    assert told(matcher.enter(limit(4, BUY, 1, 101))) == [
        ("traded", 4, [(3, 1, 101)]),
        ("elected", 1),
        ("traded", 1, [(3, 5, 101)]),
        ("elected", 2),
        ("ended", 2, 5, "MAX_NOTIONAL"),
    ]


def test_a_waiting_order_is_canceled_shrunk_and_replaced() -> None:
    matcher = at_100()
    for order_id in (1, 2, 3):
        matcher.enter(stop_limit(order_id, BUY, 10, (105, 106)))
    assert matcher.cancel(2) == 10
    assert matcher.cancel(2) == 0
    assert matcher.reduce(1, 4)
    assert matcher.replace(1, 5) == []
    assert [(t.order_id, t.quantity) for t in matcher.stops.tickets()] == [(1, 5), (3, 10)]
    assert matcher.replace(1, 5, limit=107) == []
    assert [(t.order_id, t.limit) for t in matcher.stops.tickets()] == [(3, 106), (1, 107)]
    assert matcher.reduce(3, 10)
    assert 3 not in matcher
    assert matcher.replace(3, 1) is None
    assert not matcher.reduce(3, 1)


def test_the_end_of_the_day_leaves_what_is_good_till_canceled() -> None:
    matcher = at_100()
    matcher.enter(limit(1, BUY, 5, 98, DAY))
    matcher.enter(limit(2, BUY, 5, 99, GTC))
    matcher.enter(limit(3, SELL, 5, 101, DAY))
    matcher.enter(stop_limit(4, SELL, 5, (90, 89), DAY))
    matcher.enter(stop(5, SELL, 5, 90))
    matcher.enter(limit(6, SELL, 2, 98, IOC))
    assert told(matcher.end_day()) == [
        ("ended", 1, 5, "EXPIRED"),
        ("ended", 3, 5, "EXPIRED"),
        ("ended", 4, 5, "EXPIRED"),
    ]
    resting, waiting, _ = contents(matcher)
    assert resting == [(2, BUY, 99, 3, False)]
    assert [ticket.order_id for ticket in waiting] == [5]


@pytest.mark.parametrize("first", [limit(1, BUY, 1, 50), stop(1, BUY, 1, 150)])
@pytest.mark.parametrize(
    "second",
    [limit(1, BUY, 1, 50), stop(1, BUY, 1, 150), market(1, BUY, 1), limit(1, BUY, 1, 50, IOC)],
)
def test_an_id_that_rests_or_waits_cannot_be_used_again(first: Ticket, second: Ticket) -> None:
    matcher = at_100()
    matcher.enter(first)
    with pytest.raises(ValueError, match="already"):
        matcher.enter(second)
