"""The trading floor: every listed symbol's book, maker and last price. Pure; one writer at a time.

Other participants' orders have positive ids (their tape's), the makers' are negative.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.exchange_simulator.book import BUY, Book, Fill
from services.exchange_simulator.domain import (
    Ending,
    Instrument,
    NewOrder,
    Outcome,
    RejectReason,
    flaw,
    trade,
)
from services.exchange_simulator.maker import Maker


@dataclass(frozen=True, slots=True)
class Top:
    """The best of one side: micros, shares, orders."""

    price_micros: int
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A market at a glance; None is an empty side, last_price_micros 0 is no trade yet."""

    bid: Top | None
    ask: Top | None
    last_price_micros: int
    volume: int


class TapeKind(IntEnum):
    """What another participant does."""

    NEW = 1
    IOC = 2
    REDUCE = 3
    DELETE = 4


@dataclass(frozen=True, slots=True)
class TapeCommand:
    """One step of a tape. For DELETE only the id counts, for REDUCE the id and the quantity."""

    kind: TapeKind
    order_id: int
    side: int = 0
    price: int = 0
    quantity: int = 0


class Market:
    """One symbol. While `maker` is None others own the book and nobody requotes."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.book = Book()
        self.maker: Maker | None = None
        self.is_halted = False
        self.last_price = 0
        self.volume = 0
        self.bought = 0
        self.quote = Quote(None, None, 0, 0)
        self.updated_at: datetime
        self._before = (0, 0, 0)

    def begin(self) -> None:
        """Remember how it stands."""
        self._before = self.last_price, self.volume, self.bought
        self.book.begin()

    def rollback(self) -> None:
        """Stand as at `begin`."""
        self.last_price, self.volume, self.bought = self._before
        self.book.rollback()

    def record(self, side: int, fills: Sequence[Fill]) -> int:
        """Count fills of an incoming order of `side`; the shares traded."""
        traded = sum(fill.quantity for fill in fills)
        if traded:
            self.last_price = fills[-1].price
            self.volume += traded
            self.bought += traded if side == BUY else -traded
        return traded

    def play(self, command: TapeCommand) -> int | None:
        """Do what another participant does: the shares traded; None: its order was not there."""
        book, order_id = self.book, command.order_id
        if command.kind == TapeKind.REDUCE:
            return 0 if book.reduce(order_id, command.quantity) else None
        if command.kind == TapeKind.DELETE:
            return 0 if book.delete(order_id) else None
        if command.kind == TapeKind.IOC:
            fills = book.take(command.side, command.quantity, command.price)
        elif order_id in book:
            return None
        else:
            fills = book.add(order_id, command.side, command.price, command.quantity)
        return self.record(command.side, fills)

    def look(self) -> Quote:
        """The market as it stands."""
        bid, ask = self.book.bids.best(), self.book.asks.best()
        return Quote(
            bid=Top(bid.price, bid.quantity, bid.orders) if bid else None,
            ask=Top(ask.price, ask.quantity, ask.orders) if ask else None,
            last_price_micros=self.last_price,
            volume=self.volume,
        )


class Floor:
    """Markets by symbol. Members' orders run between `begin` and `commit` or `rollback`."""

    def __init__(
        self, instruments: Iterable[Instrument], *, seed: int, opened_at: datetime
    ) -> None:
        self.markets = {
            instrument.symbol: Market(instrument)
            for instrument in sorted(instruments, key=lambda instrument: instrument.symbol)
        }
        self._seed = seed
        self._random = random.Random(seed)
        self._last_id = 0
        self._in_progress: dict[str, Market] | None = None
        for symbol, market in self.markets.items():
            self.reset(symbol)
            market.quote, market.updated_at = market.look(), opened_at

    def begin(self) -> None:
        """Members' orders from here on can be undone."""
        self._in_progress = {}

    def commit(self) -> list[str]:
        """They stand: the makers requote. The symbols that were touched."""
        touched, self._in_progress = self._in_progress or {}, None
        for market in touched.values():
            market.book.commit()
            self._follow(market)
        return list(touched)

    def rollback(self) -> None:
        """They never were."""
        touched, self._in_progress = self._in_progress or {}, None
        for market in touched.values():
            market.rollback()

    def execute(self, order: NewOrder, *, is_open: bool) -> Outcome:
        """Refuse or trade one order of a member."""
        assert self._in_progress is not None
        market = self.markets.get(order.symbol)
        ending = _objection(order, market, is_open=is_open)
        if ending is not None or market is None:
            return Outcome(False, [], ending)
        if order.symbol not in self._in_progress:
            self._in_progress[order.symbol] = market
            market.begin()
        outcome = trade(order, market.book)
        market.record(order.side, outcome.fills)
        return outcome

    def load(self, symbol: str, orders: Iterable[TapeCommand]) -> int:
        """Replace a book by NEW orders in order of priority; how many rest. The maker leaves.

        ValueError, and nothing changed: an id repeats or an order crosses.
        """
        book = Book()
        for order in orders:
            if book.add(order.order_id, order.side, order.price, order.quantity):
                raise ValueError(f"order {order.order_id} crosses the book")
        market = self.markets[symbol]
        market.book, market.maker = book, None
        return len(book)

    def reset(self, symbol: str) -> int:
        """Give a book to its maker, as at the start; how many orders rest."""
        market = self.markets[symbol]
        market.book, market.bought = Book(), 0
        market.maker = Maker(market.instrument, seed=self._seed, next_id=self._next_id)
        market.maker.open(market.book)
        return len(market.book)

    def drift(self) -> str | None:
        """Move one symbol that has a maker; which one, None: there is none."""
        movable = [s for s, m in self.markets.items() if m.maker is not None and not m.is_halted]
        if not movable:
            return None
        symbol = self._random.choice(movable)
        market = self.markets[symbol]
        assert market.maker is not None
        market.maker.drift(market.book)
        return symbol

    def _follow(self, market: Market) -> None:
        bought, market.bought = market.bought, 0
        if market.maker is not None:
            market.maker.follow(market.book, bought)

    def _next_id(self) -> int:
        self._last_id -= 1
        return self._last_id


def _objection(order: NewOrder, market: Market | None, *, is_open: bool) -> Ending | None:
    """Why an order may not trade at all now; None: it may."""
    if market is None:
        return Ending(RejectReason.UNKNOWN_SYMBOL, f"{order.symbol[:16]} is not listed")
    if not is_open:
        return Ending(RejectReason.MARKET_CLOSED, "the exchange is closed")
    if market.is_halted:
        return Ending(RejectReason.HALTED, f"trading in {order.symbol} is halted")
    words = flaw(order)
    return Ending(RejectReason.OTHER, words) if words else None
