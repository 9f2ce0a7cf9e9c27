"""Orders of every type, whatever members do, held against a plain model."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import OrderType, Ticket
from services.exchange_simulator.matching import Matcher
from tests.exchange_simulator.naive_market import NaiveMarket
from tests.exchange_simulator.test_book import check_levels
from tests.exchange_simulator.tickets import (
    DAY,
    FOK,
    GTC,
    IOC,
    contents,
    told,
)

sides = st.sampled_from([BUY, SELL])
prices = st.integers(min_value=95, max_value=105)
quantities = st.integers(min_value=1, max_value=50)
known_ids = st.integers(min_value=1, max_value=60)
bounds = st.none() | st.integers(min_value=1, max_value=5_000)


@st.composite
def tickets(draw: st.DrawFn) -> Ticket:
    """An order without flaw, its id aside."""
    kind = draw(st.sampled_from(list(OrderType)))
    side, is_limit = draw(sides), kind in (OrderType.LIMIT, OrderType.STOP_LIMIT)
    has_stop = kind in (OrderType.STOP, OrderType.STOP_LIMIT)
    is_bounded = side == BUY and not is_limit
    return Ticket(
        0,
        side,
        draw(quantities),
        kind,
        draw(st.sampled_from([DAY, GTC] if has_stop else [DAY, GTC, IOC, FOK])),
        limit=draw(prices) if is_limit else 0,
        stop=draw(prices) if has_stop else 0,
        max_notional=draw(bounds) or 0 if is_bounded else 0,
    )


def numbered(ticket: Ticket, order_id: int) -> Ticket:
    return Ticket(order_id, *(getattr(ticket, name) for name in ticket.__struct_fields__[1:]))


class AnyMarket(RuleBasedStateMachine):
    """Whatever members do, all is as the plain model says."""

    def __init__(self) -> None:
        super().__init__()
        self.matcher, self.naive = Matcher(), NaiveMarket()
        self.last_id = 0
        self.entered = self.traded = self.ended = 0

    @rule(ticket=tickets())
    def enter(self, ticket: Ticket) -> None:
        self.last_id += 1
        ticket = numbered(ticket, self.last_id)
        self.entered += ticket.quantity
        self.naive.enter(ticket)
        self._compare(told(self.matcher.enter(ticket)), ticket.quantity)

    @rule(order_id=known_ids)
    def cancel(self, order_id: int) -> None:
        left = self.matcher.cancel(order_id)
        assert left == self.naive.cancel(order_id)
        self.ended += left

    @rule(order_id=known_ids, quantity=quantities)
    def reduce(self, order_id: int, quantity: int) -> None:
        left = self.naive.left(order_id)
        assert self.matcher.reduce(order_id, quantity) == self.naive.reduce(order_id, quantity)
        self.ended += min(left, quantity)

    @rule(
        order_id=known_ids,
        quantity=quantities,
        limit_price=st.just(0) | prices,
        stop_price=st.just(0) | prices,
    )
    def replace(self, order_id: int, quantity: int, limit_price: int, stop_price: int) -> None:
        waiting = self.matcher.stops.find(order_id)
        if waiting is not None and not waiting.limit:
            limit_price = 0
        self.entered += quantity - self.naive.left(order_id) if order_id in self.matcher else 0
        events = self.matcher.replace(order_id, quantity, limit=limit_price, stop=stop_price)
        is_there = self.naive.replace(order_id, quantity, limit_price, stop_price)
        assert (events is not None) == is_there
        self._compare(told(events or []), quantity)

    @rule()
    def end_day(self) -> None:
        self.naive.end_day()
        self._compare(told(self.matcher.end_day()), 0)
        assert not any(order.is_day for s in (BUY, SELL) for order in self.matcher.book.orders(s))

    def _compare(self, events: list[Any], refused: int) -> None:
        assert events == self.naive.told
        self.naive.told.clear()
        for event in events:
            if event[0] == "traded":
                self.traded += sum(quantity for _, quantity, _ in event[2])
            elif event[0] == "ended":
                self.ended += event[2]
            elif event[0] == "refused":
                self.ended += refused

    @invariant()
    def nothing_is_lost_or_made(self) -> None:
        resting, waiting, _ = contents(self.matcher)
        here = sum(row[3] for row in resting) + sum(ticket.quantity for ticket in waiting)
        assert self.entered == 2 * self.traded + self.ended + here

    @invariant()
    def the_book_and_what_waits_are_as_the_model_says(self) -> None:
        resting, waiting, last_price = contents(self.matcher)
        assert [row[:4] for row in resting] == [
            (order.order_id, order.side, order.price, order.quantity)
            for side in (BUY, SELL)
            for order in self.naive.book.queue(side)
        ]
        assert (waiting, last_price) == (self.naive.waiting, self.naive.last_price)
        assert len(self.matcher.stops) == len(waiting)
        for side in (BUY, SELL):
            check_levels(self.matcher.book, side)

    @invariant()
    def nothing_crosses_and_nothing_waits_for_the_price_there_is(self) -> None:
        bid, ask = self.matcher.book.bids.best(), self.matcher.book.asks.best()
        assert bid is None or ask is None or bid.price < ask.price
        last = self.matcher.last_price
        for ticket in self.matcher.stops.tickets():
            assert not last or (last < ticket.stop if ticket.side == BUY else last > ticket.stop)


TestAnyMarket = AnyMarket.TestCase
TestAnyMarket.settings = settings(deadline=None, max_examples=60, stateful_step_count=40)

Step = tuple[str, int, Ticket]
steps = st.lists(
    st.tuples(
        st.sampled_from(["enter", "enter", "enter", "cancel", "reduce", "replace", "end_day"]),
        st.integers(min_value=1, max_value=40),
        tickets(),
    ),
    max_size=40,
)


def play(matcher: Matcher, played: list[Step], first_id: int) -> list[Any]:
    happened: list[Any] = []
    for number, (step, order_id, ticket) in enumerate(played, start=first_id):
        if step == "enter":
            happened += told(matcher.enter(numbered(ticket, number)))
        elif step == "cancel":
            happened.append(matcher.cancel(order_id))
        elif step == "reduce":
            happened.append(matcher.reduce(order_id, ticket.quantity))
        elif step == "replace":
            happened += told(matcher.replace(order_id, ticket.quantity, stop=ticket.stop) or [])
        else:
            happened += told(matcher.end_day())
    return happened


@settings(deadline=None)
@given(before=steps, undone=steps, after=steps)
def test_a_rollback_leaves_the_market_as_if_nothing_had_been(
    before: list[Step], undone: list[Step], after: list[Step]
) -> None:
    matcher, untouched = Matcher(), Matcher()
    assert play(matcher, before, 1) == play(untouched, before, 1)
    matcher.begin()
    play(matcher, undone, 1000)
    matcher.rollback()
    assert contents(matcher) == contents(untouched)
    matcher.begin()
    assert play(matcher, after, 2000) == play(untouched, after, 2000)
    matcher.commit()
    assert contents(matcher) == contents(untouched)
