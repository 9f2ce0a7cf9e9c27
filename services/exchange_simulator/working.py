"""Members' orders that work: those that rest on a book or wait for a price. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec.structs import replace

from services.exchange_simulator.domain import Filing, NewOrder, Ticket
from services.exchange_simulator.market import MEMBERS
from services.exchange_simulator.plans import Plan


class Working(msgspec.Struct, frozen=True, gc=False):
    """One order. `number` is its id on the floor, in this run of the exchange.

    `place` tells the order in which those came that rest or wait; who loses its place gets a later
    one. `quantity` is shares in all, filled ones included. `is_waiting`: for its stop price.
    `max_notional`: the most it may cost in all, micros; 0: no bound.
    With a `plan` it goes by script and is on no book.
    """

    number: int
    order: NewOrder
    session_id: str
    exchange_order_id: str
    received_at: datetime
    place: int
    quantity: int
    filled: int
    limit: int
    stop: int
    is_waiting: bool
    max_notional: int = 0
    plan: Plan | None = None

    @property
    def left(self) -> int:
        """Shares that still work."""
        return self.quantity - self.filled

    @property
    def filing(self) -> Filing:
        """As its reports name it."""
        order = self.order
        return Filing(order.client_order_id, self.exchange_order_id, order.symbol, order.side)

    def ticket(self) -> Ticket:
        """Its terms as the matching core takes them; a stop that was met is none any more."""
        order = self.order
        return Ticket(
            self.number,
            order.side,
            self.left,
            order.order_type,
            order.time_in_force,
            limit=self.limit,
            stop=self.stop if self.is_waiting else 0,
            max_notional=self.max_notional,
        )


class Blotter:
    """All that work. Changes since `begin` can be undone."""

    def __init__(self) -> None:
        self._orders: dict[str, Working] = {}
        self._ids: dict[int, str] = {}
        self._sessions = Counter[str]()
        self._before: dict[str, Working | None] = {}
        self._ended: dict[str, Working] = {}
        self._last_number = MEMBERS
        self._last_place = 0

    def __iter__(self) -> Iterator[Working]:
        """Every order, in no order."""
        return iter(self._orders.values())

    def sessions(self) -> Iterable[str]:
        """The sessions that have such orders."""
        return self._sessions.keys()

    def find(self, client_order_id: str) -> Working | None:
        """The order of that id."""
        return self._orders.get(client_order_id)

    def numbered(self, number: int) -> Working:
        """The order of that number, which must work."""
        return self._orders[self._ids[number]]

    def open(
        self, order: NewOrder, session_id: str, exchange_order_id: str, *, at: datetime
    ) -> Working:
        """A new order as it would work; it does not yet."""
        return Working(
            self._next_number(),
            order,
            session_id,
            exchange_order_id,
            at,
            self.next_place(),
            quantity=order.quantity,
            filled=0,
            limit=order.limit_price_micros,
            stop=order.stop_price_micros,
            is_waiting=order.stop_price_micros != 0,
            max_notional=order.max_notional_micros,
        )

    def next_place(self) -> int:
        """The last place of all."""
        self._last_place += 1
        return self._last_place

    def put(self, working: Working) -> None:
        """This order works, like this."""
        client_order_id = working.order.client_order_id
        before = self._orders.get(client_order_id)
        self._before.setdefault(client_order_id, before)
        if before is None:
            self._sessions[working.session_id] += 1
            self._ids[working.number] = client_order_id
        self._orders[client_order_id] = working

    def drop(self, client_order_id: str) -> None:
        """This order works no more."""
        before = self._orders.pop(client_order_id)
        self._before.setdefault(client_order_id, before)
        self._ended[client_order_id] = before
        del self._ids[before.number]
        self._sessions[before.session_id] -= 1
        if not self._sessions[before.session_id]:
            del self._sessions[before.session_id]

    def begin(self) -> None:
        """Remember every change from here on."""
        self._before, self._ended = {}, {}

    def changed(self) -> list[Working]:
        """The orders that work and are new or different."""
        now = ((self._orders.get(key), before) for key, before in self._before.items())
        return [order for order, before in now if order is not None and order != before]

    def ended(self, client_order_id: str) -> Working | None:
        """An order that ended since `begin`, as it stood before it did."""
        return self._ended.get(client_order_id)

    def dropped(self) -> list[Working]:
        """The orders that worked at `begin` and work no more, as they stood before they ended."""
        return [
            working
            for client_order_id, working in self._ended.items()
            if self._before[client_order_id] is not None and client_order_id not in self._orders
        ]

    def rollback(self) -> None:
        """Undo the changes."""
        for client_order_id, before in self._before.items():
            if client_order_id in self._orders:
                self.drop(client_order_id)
            if before is not None:
                self.put(before)
        self.begin()

    def load(self, orders: Iterable[Working]) -> list[Working]:
        """Have these orders, in their places, in place of all others; as they are numbered now."""
        self._orders, self._ids, self._sessions = {}, {}, Counter()
        numbered = [
            replace(order, number=self._next_number())
            for order in sorted(orders, key=lambda order: order.place)
        ]
        for order in numbered:
            self.put(order)
        self._last_place = max([self._last_place, *(order.place for order in numbered)])
        self.begin()
        return numbered

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number
