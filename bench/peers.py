"""Other matching engines for Python, as they come by package name, told the same commands.

Neither knows IOC, so what is left of such an order is canceled by a command of its own.
"""

import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

from lightmatchingengine.lightmatchingengine import LightMatchingEngine
from pyorderbook import Book, ask, bid
from pyorderbook.order import Order

from services.exchange_simulator.book import BUY
from services.exchange_simulator.domain import Ticket, TimeInForce

# To import pyorderbook is to have everything logged.
logging.getLogger().setLevel(logging.WARNING)

_SYMBOL = "ONE"
_MICROS = 1_000_000


class Peer(Protocol):
    """Somebody else's market of one symbol."""

    traded: int  # shares

    def enter(self, ticket: Ticket) -> None:
        """Take a LIMIT order that is DAY or IOC."""

    def cancel(self, order_id: int) -> None:
        """Take an order out."""


class Light:
    """lightmatchingengine."""

    def __init__(self) -> None:
        self.traded = 0  # shares
        self._engine = LightMatchingEngine()
        self._ids: dict[int, int] = {}

    def enter(self, ticket: Ticket) -> None:
        """Its sides have the numbers of the contract's."""
        order, trades = self._engine.add_order(_SYMBOL, ticket.limit, ticket.quantity, ticket.side)
        self._ids[ticket.order_id] = order.order_id
        if trades:
            self.traded += order.cum_qty
        if order.leaves_qty and ticket.time_in_force == TimeInForce.IOC:
            self._engine.cancel_order(order.order_id, _SYMBOL)

    def cancel(self, order_id: int) -> None:
        """By its own id."""
        self._engine.cancel_order(self._ids[order_id], _SYMBOL)


class Py:
    """pyorderbook."""

    def __init__(self) -> None:
        self.traded = 0  # shares
        self._book = Book()
        self._orders: dict[int, Order] = {}

    def enter(self, ticket: Ticket) -> None:
        """Prices are decimal numbers."""
        make = bid if ticket.side == BUY else ask
        order = make(_SYMBOL, Decimal(ticket.limit) / _MICROS, ticket.quantity)
        self._orders[ticket.order_id] = order
        self._book.match(order)
        self.traded += ticket.quantity - order.quantity
        if order.quantity and ticket.time_in_force == TimeInForce.IOC:
            self._book.cancel(order)

    def cancel(self, order_id: int) -> None:
        """By the order itself."""
        self._book.cancel(self._orders[order_id])


PEERS: dict[str, Callable[[], Peer]] = {"lightmatchingengine": Light, "pyorderbook": Py}
