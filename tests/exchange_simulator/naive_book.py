"""The rule of price-time priority in the plainest words, to hold the real book against."""

from dataclasses import dataclass

from services.exchange_simulator.book import BUY


@dataclass
class Resting:
    """An order on the book."""

    order_id: int
    side: int
    price: int
    quantity: int


class NaiveBook:
    """A list of orders in order of arrival, sorted again for every trade."""

    def __init__(self) -> None:
        self.orders: list[Resting] = []

    def queue(self, side: int) -> list[Resting]:
        """The orders of a side in the order they trade."""
        sign = -1 if side == BUY else 1
        return sorted(
            (o for o in self.orders if o.side == side), key=lambda order: sign * order.price
        )

    def take(self, side: int, quantity: int, limit: int | None) -> list[tuple[int, int, int]]:
        """(resting order, quantity, price) of every fill."""
        fills = []
        for order in self.queue(3 - side):
            is_worse = limit is not None and (
                order.price > limit if side == BUY else order.price < limit
            )
            if not quantity or is_worse:
                break
            traded = min(quantity, order.quantity)
            quantity -= traded
            order.quantity -= traded
            fills.append((order.order_id, traded, order.price))
        self.orders = [order for order in self.orders if order.quantity]
        return fills

    def add(
        self, order_id: int, side: int, price: int, quantity: int
    ) -> list[tuple[int, int, int]]:
        """Trade what crosses, rest the rest."""
        fills = self.take(side, quantity, price)
        rest = quantity - sum(traded for _, traded, _ in fills)
        if rest:
            self.orders.append(Resting(order_id, side, price, rest))
        return fills

    def reduce(self, order_id: int, quantity: int) -> bool:
        """Take quantity off an order."""
        found = [order for order in self.orders if order.order_id == order_id]
        for order in found:
            order.quantity -= min(quantity, order.quantity)
        self.orders = [order for order in self.orders if order.quantity]
        return bool(found)
