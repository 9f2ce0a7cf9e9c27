"""The book keeps price-time priority, held against a plain model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.exchange_simulator.book import BUY, SELL, Book, Fill, Half
from tests.exchange_simulator.naive_book import NaiveBook

sides = st.sampled_from([BUY, SELL])
prices = st.integers(min_value=95, max_value=105)
quantities = st.integers(min_value=1, max_value=50)


def fills_of(fills: list[Fill]) -> list[tuple[int, int, int]]:
    return [(fill.order.order_id, fill.quantity, fill.price) for fill in fills]


def contents(book: Book) -> list[tuple[int, int, int, int]]:
    return [
        (order.order_id, order.side, order.price, order.quantity)
        for side in (BUY, SELL)
        for order in book.orders(side)
    ]


class AnyBook(RuleBasedStateMachine):
    """Whatever is done to the book, it is as the plain model says."""

    def __init__(self) -> None:
        super().__init__()
        self.book, self.naive = Book(), NaiveBook()
        self.last_id = 0
        self.added = self.traded = self.taken_off = 0
        self.before: list[tuple[int, int, int, int]] | None = None
        self.before_totals = (0, 0, 0)

    @rule(side=sides, price=prices, quantity=quantities)
    def add(self, side: int, price: int, quantity: int) -> None:
        self.last_id += 1
        fills = fills_of(self.book.add(self.last_id, side, price, quantity))
        assert fills == self.naive.add(self.last_id, side, price, quantity)
        self.added += quantity
        self.traded += 2 * sum(traded for _, traded, _ in fills)

    @rule(side=sides, quantity=quantities, limit=st.none() | prices)
    def take(self, side: int, quantity: int, limit: int | None) -> None:
        offer = self.book.offer(side, quantity, limit)
        fills = fills_of(self.book.take(side, quantity, limit))
        assert fills == self.naive.take(side, quantity, limit)
        traded = sum(traded for _, traded, _ in fills)
        assert offer == (traded, sum(traded * price for _, traded, price in fills))
        self.added += traded
        self.traded += 2 * traded

    @rule(order_id=st.integers(min_value=1, max_value=60), quantity=quantities)
    def reduce(self, order_id: int, quantity: int) -> None:
        before = self._resting()
        assert self.book.reduce(order_id, quantity) == self.naive.reduce(order_id, quantity)
        self.taken_off += before - self._resting()

    @rule(order_id=st.integers(min_value=1, max_value=60))
    def delete(self, order_id: int) -> None:
        before = self._resting()
        assert self.book.delete(order_id) == self.naive.reduce(order_id, 10**9)
        self.taken_off += before - self._resting()

    @invariant()
    def nothing_is_lost_or_made(self) -> None:
        assert self.added == self.traded + self.taken_off + self._resting()

    @invariant()
    def the_book_is_not_crossed(self) -> None:
        bid, ask = self.book.bids.best(), self.book.asks.best()
        assert bid is None or ask is None or bid.price < ask.price

    @invariant()
    def queues_and_levels_are_as_the_model_says(self) -> None:
        for side in (BUY, SELL):
            expected = [
                (order.order_id, order.side, order.price, order.quantity)
                for order in self.naive.queue(side)
            ]
            assert [row for row in contents(self.book) if row[1] == side] == expected
            check_levels(self.book, side)
        assert len(self.book) == len(self.naive.orders)

    def _resting(self) -> int:
        return sum(row[3] for row in contents(self.book))


def check_levels(book: Book, side: int) -> None:
    half: Half = book.half(side)
    assert half.keys == sorted(half.levels)
    for level in half.best_first():
        orders = [order for order in book.orders(side) if order.price == level.price]
        assert level.orders == len(orders) > 0
        assert level.quantity == sum(order.quantity for order in orders)


TestAnyBook = AnyBook.TestCase
TestAnyBook.settings = settings(deadline=None, max_examples=60)

steps = st.lists(
    st.tuples(
        st.sampled_from(["add", "take", "reduce", "delete"]),
        st.integers(min_value=1, max_value=40),
        sides,
        prices,
        quantities,
    ),
    max_size=40,
)


def play(book: Book, played: list[tuple[str, int, int, int, int]], first_id: int) -> None:
    for number, (step, order_id, side, price, quantity) in enumerate(played, start=first_id):
        if step == "add":
            book.add(number, side, price, quantity)
        elif step == "take":
            book.take(side, quantity, price)
        elif step == "reduce":
            book.reduce(order_id, quantity)
        else:
            book.delete(order_id)


@settings(deadline=None)
@given(before=steps, undone=steps, after=steps)
def test_a_rollback_leaves_the_book_as_if_nothing_had_been(
    before: list[tuple[str, int, int, int, int]],
    undone: list[tuple[str, int, int, int, int]],
    after: list[tuple[str, int, int, int, int]],
) -> None:
    book, untouched = Book(), Book()
    play(book, before, 1)
    play(untouched, before, 1)

    book.begin()
    play(book, undone, 1000)
    book.rollback()

    assert contents(book) == contents(untouched)
    for side in (BUY, SELL):
        check_levels(book, side)
    play(book, after, 2000)
    play(untouched, after, 2000)
    assert contents(book) == contents(untouched)


def test_an_id_that_rests_cannot_be_used_again() -> None:
    book = Book()
    book.add(1, BUY, 100, 10)

    with pytest.raises(ValueError, match="rests already"):
        book.add(1, SELL, 101, 10)
