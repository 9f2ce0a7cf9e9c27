"""One symbol's market: its matching core, its maker, and what was traded. Pure.

Makers' orders have negative ids, those of a tape positive ones below `MEMBERS`, members' from there
on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum

from services.exchange_simulator.bands import Rule
from services.exchange_simulator.book import BUY, SELL, Book, Order
from services.exchange_simulator.domain import (
    Ending,
    Instrument,
    OrderType,
    Ticket,
    TimeInForce,
)
from services.exchange_simulator.guard import Guard
from services.exchange_simulator.maker import Maker, Mood
from services.exchange_simulator.matching import Event, Matcher, Traded
from services.exchange_simulator.quotes import Range, both
from services.exchange_simulator.stops import Stops

MEMBERS = 1 << 63  # the first id of a member's order


@dataclass(frozen=True, slots=True)
class Top:
    """The best of one side: micros, shares, orders."""

    price_micros: int
    quantity: int
    orders: int


@dataclass(frozen=True, slots=True)
class Quote:
    """A market at a glance; None is an empty side, last_price_micros 0 is no trade yet.

    `limits`: no trade below or above them; None: it may be at any price.
    """

    bid: Top | None
    ask: Top | None
    last_price_micros: int
    volume: int
    is_halted: bool = False
    halted_until: datetime | None = None
    limits: tuple[int, int] | None = None


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


_ORDERING = {TapeKind.NEW: TimeInForce.GTC, TapeKind.IOC: TimeInForce.IOC}


class Market:
    """One symbol. While `maker` is None others own the book and nobody requotes."""

    def __init__(self, instrument: Instrument, rule: Rule | None = None) -> None:
        self.instrument = instrument
        self.matcher = Matcher()
        self.guard = Guard(self.matcher, rule)
        self.maker: Maker | None = None
        self.is_halted = False
        self.volume = 0
        self.traded: Range = None  # since it was told last
        self.quote = Quote(None, None, 0, 0)
        self.updated_at: datetime
        self._bought = 0  # by others than the maker since it quoted last, less what they sold
        self._before = (0, 0)
        self._maker_before: tuple[Maker, Mood] | None = None

    @property
    def book(self) -> Book:
        """What rests."""
        return self.matcher.book

    @property
    def is_stopped(self) -> bool:
        """Whether nothing trades now: an operator's halt, or a pause."""
        return self.is_halted or self.guard.paused_until is not None

    @property
    def is_movable(self) -> bool:
        """Whether its maker may move idly."""
        return self.maker is not None and not self.is_stopped and not self.instrument.is_calm

    def begin(self, now: datetime) -> None:
        """Remember how it stands; it is `now` until the next time."""
        self._before = self.volume, self._bought
        self._maker_before = (self.maker, self.maker.mood()) if self.maker is not None else None
        self.matcher.begin()
        self.guard.begin(now)

    def commit(self) -> None:
        """It stands as it is."""
        self.matcher.commit()

    def rollback(self) -> None:
        """Stand as at `begin`."""
        self.volume, self._bought = self._before
        self.traded = None
        self.guard.rollback()
        if self._maker_before is not None:
            maker, mood = self._maker_before
            maker.restore(mood)
        self.matcher.rollback()

    def enter(self, ticket: Ticket) -> list[Event]:
        """Take an order of a member; what comes of it."""
        return self._counted(self.matcher.enter(ticket))

    def replace(self, ticket: Ticket) -> list[Event]:
        """Give a member's order, which works, these terms; what comes of it."""
        events = self.matcher.replace(
            ticket.order_id,
            ticket.quantity,
            limit=ticket.limit,
            stop=ticket.stop,
            max_notional=ticket.max_notional,
        )
        assert events is not None
        return self._counted(events)

    def play(self, command: TapeCommand, *, is_open: bool) -> list[Event] | None:
        """Do what another participant does; None: its order was not there, or may not come now."""
        matcher, order_id = self.matcher, command.order_id
        if command.kind == TapeKind.REDUCE:
            return [] if matcher.reduce(order_id, command.quantity) else None
        if command.kind == TapeKind.DELETE:
            return [] if matcher.cancel(order_id) else None
        if self.is_stopped or not is_open or order_id in matcher:
            return None
        ticket = Ticket(
            order_id,
            command.side,
            command.quantity,
            OrderType.LIMIT,
            _ORDERING[command.kind],
            limit=command.price,
        )
        return self._counted(matcher.enter(ticket))

    def follow(self) -> list[Event]:
        """The maker quotes again after trades; what comes of it."""
        bought, self._bought = self._bought, 0
        if self.maker is None:
            return []
        return self._counted(self.maker.follow(self.matcher, bought))

    def drift(self) -> list[Event]:
        """The maker moves, unless it may not any more since that was wanted; what comes of it."""
        if self.maker is None or not self.is_movable:
            return []
        return self._counted(self.maker.drift(self.matcher))

    def load(self, orders: Iterable[TapeCommand]) -> int:
        """Members' orders and these, in order of priority; how many rest. The maker leaves.

        ValueError, and nothing changed: an id repeats or an order crosses another.
        """
        book = _around(self._members(), ())
        for order in orders:
            if book.add(order.order_id, order.side, order.price, order.quantity):
                raise ValueError(f"order {order.order_id} crosses the book")
        self.matcher.book, self.maker = book, None
        self.guard.forget()
        return len(book)

    def reset(self, maker: Maker) -> int:
        """Give the book to a maker, which quotes around members' orders; how many orders rest."""
        fresh = Matcher()
        maker.open(fresh)
        self.matcher.book = _around(self._members(), _orders(fresh.book))
        self.maker, self._bought = maker, 0
        self.guard.forget()
        return len(self.book)

    def seat(self, tickets: Iterable[Ticket]) -> None:
        """Put members' orders in the order given in place of those that are there.

        They come before all others; quotes that cross one of them leave.
        """
        members, stops = list[Order](), Stops()
        for ticket in tickets:
            if ticket.stop:
                stops.add(ticket)
            else:
                members.append(_resting(ticket))
        others = (order for order in _orders(self.book) if order.order_id < MEMBERS)
        self.matcher.book, self.matcher.stops = _around(members, others), stops

    def look(self) -> Quote:
        """The market as it stands."""
        bid, ask = self.book.bids.best(), self.book.asks.best()
        return Quote(
            bid=Top(bid.price, bid.quantity, bid.orders) if bid else None,
            ask=Top(ask.price, ask.quantity, ask.orders) if ask else None,
            last_price_micros=self.matcher.last_price,
            volume=self.volume,
            is_halted=self.is_stopped,
            halted_until=None if self.is_halted else self.guard.paused_until,
            limits=self.matcher.bounds,
        )

    def breach(self, ticket: Ticket) -> Ending | None:
        """Why a member's order may not have these terms now; the market is paused then."""
        return None if ticket.stop else self.guard.breach(ticket)

    def _members(self) -> list[Order]:
        return [order for order in _orders(self.book) if order.order_id >= MEMBERS]

    def _counted(self, events: list[Event]) -> list[Event]:
        for event in events:
            if isinstance(event, Traded):
                traded = sum(fill.quantity for fill in event.fills)
                self.volume += traded
                first, last = event.fills[0].price, event.fills[-1].price  # ever worse
                self.traded = both(self.traded, (min(first, last), max(first, last)))
                if event.order_id > 0:
                    is_bid = event.fills[0].order.side == SELL
                    self._bought += traded if is_bid else -traded
        self.guard.hear(events)
        return events


def _orders(book: Book) -> list[Order]:
    """Every resting order, bids first, in the order they would trade."""
    return [order for side in (BUY, SELL) for order in book.orders(side)]


def _resting(ticket: Ticket) -> Order:
    is_day = ticket.time_in_force == TimeInForce.DAY
    return Order(ticket.order_id, ticket.side, ticket.limit, ticket.quantity, is_day)


def _around(members: Iterable[Order], others: Iterable[Order]) -> Book:
    """A book of members' orders, which do not cross, and those of the others that do not either."""
    book = Book()
    for order in members:
        book.add(order.order_id, order.side, order.price, order.quantity, order.is_day)
    for order in others:
        if not book.offer(order.side, 1, order.price).quantity:
            book.add(order.order_id, order.side, order.price, order.quantity, order.is_day)
    return book
