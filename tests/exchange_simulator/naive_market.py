"""The rules of orders of every type in the plainest words, to hold the matching core against."""

from copy import deepcopy
from typing import Any

from msgspec.structs import replace

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import Ticket, TimeInForce
from tests.exchange_simulator.naive_book import NaiveBook


class NaiveMarket:
    """A book, a list of orders that wait for a price in the order they came, and the last price.

    What happens is told as tuples: ("traded", order, fills), ("elected", order), ("refused", order,
    why), ("ended", order, shares left, why).
    """

    def __init__(self) -> None:
        self.book = NaiveBook()
        self.waiting: list[Ticket] = []
        self.last_price = 0
        self.told: list[Any] = []
        self._of_the_day: set[int] = set()

    def left(self, order_id: int) -> int:
        """How much is left of an order that rests or waits; 0: it does neither."""
        resting = [order.quantity for order in self.book.orders if order.order_id == order_id]
        return sum(resting + [t.quantity for t in self.waiting if t.order_id == order_id])

    def enter(self, ticket: Ticket) -> None:
        """A new order."""
        if ticket.time_in_force == TimeInForce.DAY:
            self._of_the_day.add(ticket.order_id)
        if ticket.stop and not (self.last_price and _meets(self.last_price, ticket)):
            self.waiting.append(ticket)
        else:
            self._enter_all([ticket])

    def cancel(self, order_id: int) -> int:
        """Take an order away; how much was left."""
        left = self.left(order_id)
        self.book.orders = [o for o in self.book.orders if o.order_id != order_id]
        self.waiting = [t for t in self.waiting if t.order_id != order_id]
        return left

    def reduce(self, order_id: int, quantity: int) -> bool:
        """Take quantity off an order."""
        left = self.left(order_id)
        if left > quantity:
            self._set(order_id, left - quantity)
        else:
            self.cancel(order_id)
        return left > 0

    def replace(self, order_id: int, quantity: int, limit: int, stop: int) -> bool:
        """Give an order other terms."""
        waiting = [ticket for ticket in self.waiting if ticket.order_id == order_id]
        resting = [order for order in self.book.orders if order.order_id == order_id]
        for ticket in waiting:
            new = replace(ticket, limit=limit or ticket.limit, stop=stop or ticket.stop)
            if new == ticket and quantity <= ticket.quantity:
                self._set(order_id, quantity)
            else:
                self.cancel(order_id)
                self.enter(replace(new, quantity=quantity))
        for order in resting:
            if (limit or order.price) == order.price and quantity <= order.quantity:
                self._set(order_id, quantity)
            else:
                self.cancel(order_id)
                fills = self.book.add(order_id, order.side, limit or order.price, quantity)
                self._tell_fills(order_id, fills)
                self._enter_all(self._elected_by(fills))
        return bool(waiting or resting)

    def end_day(self) -> None:
        """Expire every DAY order."""
        resting = [*self.book.queue(BUY), *self.book.queue(SELL)]
        ids = [order.order_id for order in resting] + [t.order_id for t in self.waiting]
        for order_id in ids:
            if order_id in self._of_the_day:
                self.told.append(("ended", order_id, self.cancel(order_id), "EXPIRED"))

    def _set(self, order_id: int, quantity: int) -> None:
        for order in self.book.orders:
            if order.order_id == order_id:
                order.quantity = quantity
        self.waiting = [
            replace(t, quantity=quantity) if t.order_id == order_id else t for t in self.waiting
        ]

    def _enter_all(self, queue: list[Ticket]) -> None:
        while queue:
            ticket, *queue = queue
            if ticket.stop:
                self.told.append(("elected", ticket.order_id))
            fills = self._execute(ticket)
            queue = [*queue, *self._elected_by(fills)]

    def _execute(self, ticket: Ticket) -> list[tuple[int, int, int]]:
        may_rest = ticket.time_in_force in (TimeInForce.DAY, TimeInForce.GTC) and ticket.limit
        if may_rest:
            fills = self.book.add(ticket.order_id, ticket.side, ticket.limit, ticket.quantity)
            self._tell_fills(ticket.order_id, fills)
            return fills
        limit = ticket.limit or None
        could = deepcopy(self.book).take(ticket.side, ticket.quantity, limit)
        quantity = sum(traded for _, traded, _ in could)
        cost = sum(traded * price for _, traded, price in could)
        if not (quantity or limit):
            return self._tell_hindered(ticket, "NO_LIQUIDITY")
        if 0 < ticket.max_notional < cost:
            return self._tell_hindered(ticket, "MAX_NOTIONAL")
        if ticket.time_in_force == TimeInForce.FOK and quantity < ticket.quantity:
            self.told.append(("ended", ticket.order_id, ticket.quantity, "NO_LIQUIDITY"))
            return []
        fills = self.book.take(ticket.side, ticket.quantity, limit)
        self._tell_fills(ticket.order_id, fills)
        if quantity < ticket.quantity:
            left = ticket.quantity - quantity
            self.told.append(("ended", ticket.order_id, left, "NO_LIQUIDITY"))
        return fills

    def _tell_hindered(self, ticket: Ticket, why: str) -> list[tuple[int, int, int]]:
        """It never stood, unless it waited before."""
        if ticket.stop:
            self.told.append(("ended", ticket.order_id, ticket.quantity, why))
        else:
            self.told.append(("refused", ticket.order_id, why))
        return []

    def _tell_fills(self, order_id: int, fills: list[tuple[int, int, int]]) -> None:
        if fills:
            self.told.append(("traded", order_id, fills))

    def _elected_by(self, fills: list[tuple[int, int, int]]) -> list[Ticket]:
        elected = []
        for _, _, price in fills:
            self.last_price = price
            elected += [ticket for ticket in self.waiting if _meets(price, ticket)]
            self.waiting = [ticket for ticket in self.waiting if not _meets(price, ticket)]
        return elected


def _meets(price: int, ticket: Ticket) -> bool:
    return price >= ticket.stop if ticket.side == BUY else price <= ticket.stop
