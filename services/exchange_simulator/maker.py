"""The other participants of a symbol when no tape plays: a market maker with a ladder of quotes.

Deterministic by seed. It quotes on demand, after trades and market moves, never by a timer. A
buyer's pressure lifts its prices, a seller's lowers them; idle moves lean back to the reference.
"""

import random
from collections.abc import Callable

from services.exchange_simulator.book import BUY, SELL, Book
from services.exchange_simulator.domain import Instrument

RUNGS = 20
CENT_MICROS = 10_000
_MAX_STEPS = 5


class Maker:
    """Keeps RUNGS price levels on either side of one symbol's book; all its orders are its own.

    `next_id` gives ids that no other order in the book has. The best bid stands at `_bid` cents,
    the best ask one spread above; the rungs behind are half a spread apart and grow deeper.
    """

    def __init__(self, instrument: Instrument, *, seed: int, next_id: Callable[[], int]) -> None:
        self._instrument = instrument
        self._random = random.Random(f"{seed}/{instrument.symbol}")
        self._next_id = next_id
        self._step = max(1, instrument.spread_cents // 2)
        self._lowest = RUNGS * self._step + 1
        self._home = max(self._lowest, instrument.reference_cents - instrument.spread_cents // 2)
        self._bid = self._home
        self._pressure = 0
        self._mine: set[int] = set()

    def open(self, book: Book) -> None:
        """Quote into an empty book."""
        self._mine.clear()
        self._quote(book)

    def follow(self, book: Book, bought: int) -> None:
        """Quote again after trades; `bought` is shares bought less shares sold by others."""
        self._pressure += bought
        steps = int(self._pressure / self._instrument.depth)
        self._pressure -= steps * self._instrument.depth
        self._move(max(-_MAX_STEPS, min(_MAX_STEPS, steps)))
        self._quote(book)

    def drift(self, book: Book) -> None:
        """One idle move: a step up or down, likelier towards the reference price."""
        away = (self._bid - self._home) * 1000 // self._home
        self._move(1 if self._random.randrange(1000) >= 500 + 10 * away else -1)
        self._quote(book)

    def _move(self, steps: int) -> None:
        self._bid = max(self._lowest, self._bid + steps * self._step)

    def _quote(self, book: Book) -> None:
        """Quote anew where a price is no rung, or holds less than half or more than twice."""
        missing = []
        ask_cents = self._bid + self._instrument.spread_cents
        for side, rungs in ((BUY, self._rungs(self._bid, -1)), (SELL, self._rungs(ask_cents, 1))):
            mine = [order for order in book.orders(side) if order.order_id in self._mine]
            stands = dict.fromkeys(rungs, 0)
            for order in mine:
                stands[order.price] = stands.get(order.price, 0) + order.quantity
            good = {p for p, depth in rungs.items() if depth <= 2 * stands[p] <= 4 * depth}
            for order in mine:
                if order.price not in good:
                    book.delete(order.order_id)
            missing += [(side, p, depth) for p, depth in rungs.items() if p not in good]
        self._mine = {order_id for order_id in self._mine if order_id in book}
        for side, price, depth in missing:
            self._post(book, side, price, depth)

    def _rungs(self, best_cents: int, direction: int) -> dict[int, int]:
        """Price in micros -> shares wanted there, best first."""
        return {
            (best_cents + direction * rung * self._step) * CENT_MICROS: self._instrument.depth
            * (rung + 1)
            for rung in range(RUNGS)
        }

    def _post(self, book: Book, side: int, price: int, depth: int) -> None:
        """Two orders of uneven size, as a real queue has, of about `depth` shares."""
        quantity = max(1, depth * self._random.randint(80, 120) // 100)
        first = self._random.randint(0, quantity)
        for part in (first, quantity - first):
            if part:
                order_id = self._next_id()
                self._mine.add(order_id)
                book.add(order_id, side, price, part)
