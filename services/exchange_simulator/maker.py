"""The other participants of a symbol when no tape plays: a market maker with a ladder of quotes.

Deterministic by seed. It quotes on demand, after trades and market moves, never by a timer. A
buyer's pressure lifts its prices, a seller's lowers them; idle moves lean back to the reference.
"""

import random
from collections.abc import Callable
from typing import Any

from services.exchange_simulator.book import BUY, SELL, Book
from services.exchange_simulator.domain import Instrument, OrderType, Ticket, TimeInForce
from services.exchange_simulator.matching import Event, Matcher

RUNGS = 20
CENT_MICROS = 10_000
_MAX_STEPS = 5

Mood = tuple[int, int, tuple[Any, ...]]


class Maker:
    """Keeps RUNGS price levels on either side of one symbol's book.

    `next_id` gives negative ids, which nobody else's orders have. A quote that meets an order of
    somebody else trades with it; what came of the quotes is returned. The best bid stands at `_bid`
    cents, the best ask one spread above; the rungs behind are half a spread apart and grow deeper.
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

    def open(self, matcher: Matcher) -> list[Event]:
        """Quote into a book that has none of its orders."""
        return self._quote(matcher)

    def follow(self, matcher: Matcher, bought: int) -> list[Event]:
        """Quote again after trades; `bought` is shares bought less shares sold by others."""
        self._pressure += bought
        steps = int(self._pressure / self._instrument.depth)
        self._pressure -= steps * self._instrument.depth
        self._move(max(-_MAX_STEPS, min(_MAX_STEPS, steps)))
        return self._quote(matcher)

    def drift(self, matcher: Matcher) -> list[Event]:
        """One idle move: a step up or down, likelier towards the reference price."""
        away = (self._bid - self._home) * 1000 // self._home
        self._move(1 if self._random.randrange(1000) >= 500 + 10 * away else -1)
        return self._quote(matcher)

    def mood(self) -> Mood:
        """What it is about to do, for `restore`."""
        return self._bid, self._pressure, self._random.getstate()

    def restore(self, mood: Mood) -> None:
        """Be in that mood again."""
        self._bid, self._pressure, state = mood
        self._random.setstate(state)

    def _move(self, steps: int) -> None:
        self._bid = max(self._lowest, self._bid + steps * self._step)

    def _quote(self, matcher: Matcher) -> list[Event]:
        """Quote anew where a price is no rung, or holds less than half or more than twice."""
        missing: list[tuple[int, int, int]] = []
        ask_cents = self._bid + self._instrument.spread_cents
        for side, rungs in ((BUY, self._rungs(self._bid, -1)), (SELL, self._rungs(ask_cents, 1))):
            good = _tidy(matcher.book, side, rungs)
            missing += [(side, p, depth) for p, depth in rungs.items() if p not in good]
        events: list[Event] = []
        for side, price, depth in missing:
            self._post(matcher, (side, price, depth), events)
        return events

    def _rungs(self, best_cents: int, direction: int) -> dict[int, int]:
        """Price in micros -> shares wanted there, best first."""
        return {
            (best_cents + direction * rung * self._step) * CENT_MICROS: self._instrument.depth
            * (rung + 1)
            for rung in range(RUNGS)
        }

    def _post(self, matcher: Matcher, rung: tuple[int, int, int], events: list[Event]) -> None:
        """Two orders of uneven size, as a real queue has, of about the depth of the rung."""
        side, price, depth = rung
        quantity = max(1, depth * self._random.randint(80, 120) // 100)
        first = self._random.randint(0, quantity)
        for part in (first, quantity - first):
            if part:
                ticket = Ticket(
                    self._next_id(), side, part, OrderType.LIMIT, TimeInForce.GTC, limit=price
                )
                events += matcher.enter(ticket)


def _tidy(book: Book, side: int, rungs: dict[int, int]) -> set[int]:
    """Take quotes away that are no good; the prices where quotes stand that are."""
    mine = [order for order in book.orders(side) if order.order_id < 0]
    stands = dict.fromkeys(rungs, 0)
    for order in mine:
        stands[order.price] = stands.get(order.price, 0) + order.quantity
    good = {p for p, depth in rungs.items() if depth <= 2 * stands[p] <= 4 * depth}
    for order in mine:
        if order.price not in good:
            book.delete(order.order_id)
    return good
