"""What is held for a trade, through any sequence of fills, replaces, cancels and their answers."""

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.execution.domain.replacing import (
    ReplaceTerms,
    Shape,
    can_still_take,
    extra_for,
    freed,
    raised,
    saved_by,
)
from services.execution.domain.trade import OrderType, Side

QUANTITIES = st.integers(1, 40)
PRICES = st.integers(1, 20)
REPLACE_ID = "019aa000-0000-7000-8000-0000000000aa"


def terms(
    side: Side, old: Shape, new: Shape, filled: int = 0, order_type: OrderType = OrderType.LIMIT
) -> ReplaceTerms:
    return ReplaceTerms(
        replace_id=REPLACE_ID,
        trade_id="019aa000-0000-7000-8000-000000000001",
        side=side,
        symbol="AAPL",
        order_type=order_type,
        old=old,
        old_filled_quantity=filled,
        new=new,
    )


class Street:
    """One order: the exchange, which is ahead, and the books, which follow its reports in order."""

    def __init__(self, side: Side, quantity: int, limit: int) -> None:
        self.side = side
        self.shape = Shape(quantity, limit, 0)
        self.filled = 0
        self.booked_shape, self.booked_filled = self.shape, 0
        self.held = self.still(self.shape, 0)
        self.pending: ReplaceTerms | None = None
        self.is_answered = False
        self.reports: deque[Callable[[], None]] = deque()
        self.is_over = False
        self.is_closed = False
        self.unbooked = 0

    def still(self, shape: Shape, filled: int) -> int:
        return can_still_take(terms(self.side, shape, shape), shape, filled)

    def fill(self, quantity: int, better_by: int) -> None:
        """The exchange fills some of it, at the limit or better."""
        quantity = min(quantity, self.shape.quantity - self.filled)
        if self.is_over or quantity < 1:
            return
        self.filled += quantity
        limit = self.shape.limit_price_micros
        price = max(1, limit - better_by) if self.side is Side.BUY else limit + better_by

        takes = price * quantity if self.side is Side.BUY else quantity
        self.unbooked += takes

        def book() -> None:
            self.unbooked -= takes
            saved = saved_by(
                side=self.side, limit_price_micros=limit, price_micros=price, quantity=quantity
            )
            self.held -= takes + saved
            self.booked_filled += quantity
            if is_last:
                self._close()

        self.reports.append(book)
        self.is_over = is_last = self.filled == self.shape.quantity

    def ask(self, quantity: int, limit: int) -> None:
        """The customer asks for other terms: more is held before the exchange hears of it."""
        if self.pending is None and not self.is_closed:
            new = Shape(quantity, limit, 0)
            self.pending = terms(self.side, self.booked_shape, new, self.booked_filled)
            self.is_answered = False
            self.held += extra_for(self.pending)

    def answer(self, is_done: bool) -> None:
        """The exchange answers what is asked; when the order has ended it is too late."""
        asked = self.pending
        if asked is None or self.is_answered:
            return
        self.is_answered = True
        filled = self.filled if is_done and not self.is_over else None
        if filled is not None:
            self.shape = asked.new
            self.is_over = filled >= self.shape.quantity

        def conclude() -> None:
            change = freed(asked, filled)
            if not self.is_closed:
                self.held += change.amount if change else 0
            self.pending = None
            if filled is not None:
                self.booked_shape = asked.new
                if filled >= asked.new.quantity:
                    self._close()

        self.reports.append(conclude)

    def end(self) -> None:
        """The exchange ends it, as a cancel asks for: what is left of the hold is freed."""
        if not self.is_over:
            self.is_over = True
            self.reports.append(self._close)

    def _close(self) -> None:
        """What is left of the hold is freed, and nothing is held for the trade any more."""
        self.held, self.is_closed = 0, True
        self.booked_shape = Shape(self.booked_filled, self.shape.limit_price_micros, 0)

    def book(self) -> None:
        """The house books the next report."""
        if self.reports:
            self.reports.popleft()()

    def check(self) -> None:
        """What is held covers what can still happen, and is exactly that when all is booked."""
        assert self.held >= 0
        if not self.reports and self.pending is None:
            assert self.held == self.still(self.booked_shape, self.booked_filled)
        if not self.is_over:
            assert self.held >= self.unbooked + self.still(self.shape, self.filled)


STEPS = st.one_of(
    st.tuples(st.just("fill"), QUANTITIES, st.integers(0, 5)),
    st.tuples(st.just("ask"), QUANTITIES, PRICES),
    st.tuples(st.just("answer"), st.booleans()),
    st.tuples(st.just("end")),
    st.tuples(st.just("book")),
)


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(Side), QUANTITIES, PRICES, st.lists(STEPS, max_size=30))
def test_what_is_held_is_what_the_trade_can_still_cost(
    side: Side, quantity: int, limit: int, steps: list[tuple[object, ...]]
) -> None:
    street = Street(side, quantity, limit)
    for name, *arguments in steps:
        getattr(street, str(name))(*arguments)
        street.check()
    street.answer(False)
    while street.reports:
        street.book()
        street.check()


@given(PRICES, PRICES, QUANTITIES, QUANTITIES, QUANTITIES)
def test_more_is_held_by_the_least_that_is_enough(
    old: int, new: int, quantity: int, replaced: int, filled: int
) -> None:
    asked = terms(
        Side.BUY, Shape(quantity, old, 0), Shape(replaced, new, 0), min(filled, quantity - 1)
    )
    needed = [
        can_still_take(asked, asked.new, at) - can_still_take(asked, asked.old, at)
        for at in range(asked.old_filled_quantity, quantity + 1)
    ]
    assert extra_for(asked) == max(0, *needed)


@given(PRICES, PRICES, QUANTITIES, QUANTITIES)
def test_a_stop_to_buy_holds_what_it_may_cost_and_may_cost_what_is_held(
    stop: int, new_stop: int, quantity: int, new_quantity: int
) -> None:
    old, new = Shape(quantity, 0, 100 * stop), Shape(new_quantity, 0, 100 * new_stop)
    asked = terms(Side.BUY, old, new, order_type=OrderType.STOP)
    held = can_still_take(asked, old, 0)
    held += extra_for(asked)
    assert held >= asked.max_notional_micros == 110 * new_stop * new_quantity
    refused, done, late = (freed(asked, filled) for filled in (None, 0, 1))
    assert held + (refused.amount if refused else 0) == can_still_take(asked, old, 0)
    assert held + (done.amount if done else 0) == asked.max_notional_micros
    assert late is None, "what it paid may be more than its stop price"
    assert terms(Side.SELL, old, new, order_type=OrderType.STOP).max_notional_micros == 0


@pytest.mark.parametrize(("old", "new", "amount"), [(10, 12, 2), (12, 10, None)])
def test_an_adjustment_is_the_same_however_often_it_is_made(
    old: int, new: int, amount: int | None
) -> None:
    asked = terms(Side.SELL, Shape(old, 5, 0), Shape(new, 5, 0))
    first, again = raised(asked), raised(asked)
    assert first == again
    assert (first.amount if first else None) == amount
    back = freed(asked, None)
    assert (back.amount if back else None) == (None if amount is None else -amount)
    if first and back:
        assert first.adjustment_id != back.adjustment_id
