"""The controls of this process: settings and last prices in memory, and gates made with them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import psycopg

from libs.clock import Clock
from services.order import refusals
from services.order.domain.controls.changing import Change
from services.order.domain.controls.gate import Gate, Market, likeness
from services.order.domain.controls.rates import Rates
from services.order.domain.controls.setting import Book, Control, Setting
from services.order.domain.terms import Terms
from services.order.prices import Prices
from services.order.store.controls import Settings
from services.order.store.own_orders import OwnOrders


class Gates(Protocol):
    """Who has gates."""

    def gate(self) -> Gate:
        """A gate for what is decided now. Raises Unavailable."""


class Guard:
    """Knows nothing until it is refreshed for the first time, and lets nothing through before."""

    def __init__(
        self, clock: Clock, prices: Prices | None = None, *, book: Book | None = None
    ) -> None:
        """`prices`: None where none are ever known. `book`: settings that need not be read."""
        self._clock = clock
        self._prices = prices
        self._book = book
        self._rates = Rates()

    @property
    def book(self) -> Book:
        """The settings as last read. Raises Unavailable while they never were."""
        if self._book is None:
            raise refusals.starting()
        return self._book

    async def refresh(self, connection: psycopg.AsyncConnection) -> None:
        """Read what is new. It is in force once the prices it needs were asked for."""
        known = self._book or Book()
        newer = await Settings(connection).after(known.version)
        book = Book([*known.settings, *newer])
        if self._prices is not None and book.needs_prices:
            await self._prices.need()
        if self._book is None or book.version > self._book.version:
            self._book = book

    async def record(self, connection: psycopg.AsyncConnection, change: Change) -> Setting:
        """Record a setting, within a transaction; `refresh` after its commit."""
        return await Settings(connection).add(change)

    def gate(self) -> Gate:
        """A gate for what is decided now. Raises Unavailable."""
        return Gate(
            self.book,
            self._prices.market if self._prices else Market(),
            self._rates,
            at=self._clock.now(),
            nanos=int(self._clock.monotonic() * 1e9),
        )

    @contextmanager
    def attempts(self) -> Iterator[Gates]:
        """For a transaction that may have to be done again: what a gate spent counts but once.

        Where it is open whether the one before was committed, it is taken for one that was not.
        """
        attempts = _Attempts(self)
        try:
            yield attempts
        except BaseException:
            attempts.undo()
            raise


class _Attempts:
    """Of one transaction, one after the other."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._gate: Gate | None = None

    def gate(self) -> Gate:
        """For the next attempt: the one before came to nothing."""
        self.undo()
        self._gate = self._guard.gate()
        return self._gate

    def undo(self) -> None:
        """The last one came to nothing."""
        if self._gate is not None:
            self._gate.take_back()
            self._gate = None


async def inform(
    gate: Gate, connection: psycopg.AsyncConnection, asked: Sequence[tuple[str, Terms]]
) -> None:
    """Tell the gate what it needs to know of the customers' other orders; most often nothing."""
    if not gate.book.version:
        return
    own_orders = OwnOrders(connection)
    alike = {
        likeness(customer_id, terms)
        for customer_id, terms in asked
        if gate.setting(Control.DUPLICATE_ORDER, customer_id, terms) is not None
    }
    if alike:
        gate.known.recents.update(await own_orders.recent(sorted(alike)))
    pairs = {
        (customer_id, terms.symbol)
        for customer_id, terms in asked
        if gate.setting(Control.SELF_TRADE, customer_id, terms) is not None
    }
    if pairs:
        gate.known.resting.update(await own_orders.open_limits(sorted(pairs)))
