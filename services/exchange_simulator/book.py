"""One symbol's limit order book in strict price-time priority. Pure; integers only.

The best price trades first; at one price the order that came first. A resting order keeps its
place when it is reduced. One writer at a time. The steps since `begin` can be undone exactly
(`rollback`), so that a trade whose commit failed leaves no trace.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

BUY = 1
SELL = 2

_RESTED, _LEFT, _SHRANK = range(3)


class Level:
    """The orders at one price, oldest first, as a linked list."""

    __slots__ = ("first", "key", "last", "orders", "price", "quantity")

    def __init__(self, price: int, key: int) -> None:
        self.price = price
        self.key = key
        self.quantity = 0
        self.orders = 0
        self.first: Order | None = None
        self.last: Order | None = None


class Order:
    """A resting order and its neighbours in the queue of its price; quantity is what is left."""

    __slots__ = ("after", "before", "is_day", "level", "order_id", "price", "quantity", "side")

    def __init__(
        self, order_id: int, side: int, price: int, quantity: int, is_day: bool = False
    ) -> None:
        self.order_id = order_id
        self.side = side
        self.price = price
        self.quantity = quantity
        self.is_day = is_day
        self.level: Level
        self.before: Order | None
        self.after: Order | None


class Fill(NamedTuple):
    """Shares traded against one resting order, at that order's price."""

    order: Order
    quantity: int
    price: int


class Offer(NamedTuple):
    """What the book could give now: shares, and what they cost in all."""

    quantity: int
    notional: int


class Half:
    """One side of the book. `keys` ascends to the best: a bid's price, minus an ask's price."""

    __slots__ = ("keys", "levels")

    def __init__(self) -> None:
        self.levels: dict[int, Level] = {}
        self.keys: list[int] = []

    def best(self) -> Level | None:
        """The level that trades next; None on an empty side."""
        return self.levels[self.keys[-1]] if self.keys else None

    def open(self, level: Level) -> None:
        """Put a level in its place."""
        self.levels[level.key] = level
        insort(self.keys, level.key)

    def close(self, level: Level) -> None:
        """Take an empty level away."""
        del self.levels[level.key]
        keys = self.keys
        if keys[-1] == level.key:
            keys.pop()
        else:
            del keys[bisect_left(keys, level.key)]

    def best_first(self) -> Iterator[Level]:
        """Every level from the best on."""
        return (self.levels[key] for key in reversed(self.keys))


class Book:
    """The book of one symbol. Sides are BUY and SELL; prices and quantities are positive."""

    __slots__ = ("_journal", "_orders", "asks", "bids")

    def __init__(self) -> None:
        self.bids = Half()
        self.asks = Half()
        self._orders: dict[int, Order] = {}
        self._journal: list[tuple[int, Order, int]] | None = None

    def __contains__(self, order_id: int) -> bool:
        """Whether an order of that id rests."""
        return order_id in self._orders

    def __len__(self) -> int:
        """How many orders rest."""
        return len(self._orders)

    def half(self, side: int) -> Half:
        """The orders of one side."""
        return self.bids if side == BUY else self.asks

    def find(self, order_id: int) -> Order | None:
        """The resting order of that id."""
        return self._orders.get(order_id)

    def add(
        self, order_id: int, side: int, price: int, quantity: int, is_day: bool = False
    ) -> list[Fill]:
        """Trade what crosses, rest what is left under `order_id`, which must not rest already."""
        if order_id in self._orders:
            raise ValueError(f"order {order_id} rests already")
        fills = self.take(side, quantity, price)
        for fill in fills:
            quantity -= fill.quantity
        if quantity:
            self._rest(Order(order_id, side, price, quantity, is_day))
        return fills

    def take(self, side: int, quantity: int, limit: int | None = None) -> list[Fill]:
        """Trade at once up to quantity at limit or better (None: at any price); nothing rests."""
        half, floor = self._against(side, limit)
        fills: list[Fill] = []
        keys = half.keys
        while quantity and keys and (floor is None or keys[-1] >= floor):
            order = half.levels[keys[-1]].first
            assert order is not None
            traded = min(quantity, order.quantity)
            quantity -= traded
            fills.append(Fill(order, traded, order.price))
            if traded == order.quantity:
                self._leave(order)
            else:
                self._shrink(order, traded)
        return fills

    def offer(self, side: int, quantity: int, limit: int | None = None) -> Offer:
        """What `take` would give, and what it would cost, without trading."""
        half, floor = self._against(side, limit)
        wanted, notional = quantity, 0
        for level in half.best_first():
            if not wanted or (floor is not None and level.key < floor):
                break
            traded = min(wanted, level.quantity)
            wanted -= traded
            notional += traded * level.price
        return Offer(quantity - wanted, notional)

    def reduce(self, order_id: int, quantity: int) -> bool:
        """Take quantity off a resting order, which keeps its place; False when it does not rest.

        An order with no more left than that leaves the book.
        """
        order = self._orders.get(order_id)
        if order is None:
            return False
        if quantity < order.quantity:
            self._shrink(order, quantity)
        else:
            self._leave(order)
        return True

    def replace(self, order_id: int, price: int, quantity: int) -> list[Fill] | None:
        """Give a resting order another price, and quantity as what is left of it; its fills.

        It keeps its place if all it does is shrink; else it comes anew, as the last at its price,
        and trades what it crosses. None when it does not rest.
        """
        order = self._orders.get(order_id)
        if order is None:
            return None
        if price == order.price and quantity <= order.quantity:
            if quantity < order.quantity:
                self._shrink(order, order.quantity - quantity)
            return []
        self._leave(order)
        return self.add(order_id, order.side, price, quantity, order.is_day)

    def delete(self, order_id: int) -> bool:
        """Take a resting order away; False when it does not rest."""
        order = self._orders.get(order_id)
        if order is None:
            return False
        self._leave(order)
        return True

    def orders(self, side: int) -> Iterator[Order]:
        """Every resting order of a side in the order it would trade."""
        for level in self.half(side).best_first():
            order = level.first
            while order is not None:
                yield order
                order = order.after

    def begin(self) -> None:
        """Remember every step from here on."""
        self._journal = []

    def commit(self) -> None:
        """Forget the steps: they stand."""
        self._journal = None

    def rollback(self) -> None:
        """Undo the steps since `begin`, the last first: every order is back in its very place."""
        steps, self._journal = self._journal or [], None
        for step, order, quantity in reversed(steps):
            if step == _RESTED:
                self._leave(order)
            elif step == _LEFT:
                self._return(order)
            else:
                self._shrink(order, -quantity)

    def _against(self, side: int, limit: int | None) -> tuple[Half, int | None]:
        """The side an order of `side` trades against, and the lowest key its limit allows."""
        if side == BUY:
            return self.asks, None if limit is None else -limit
        return self.bids, limit

    def _rest(self, order: Order) -> None:
        half, key = (self.bids, order.price) if order.side == BUY else (self.asks, -order.price)
        level = half.levels.get(key)
        if level is None:
            level = Level(order.price, key)
            half.open(level)
        order.level = level
        order.before = last = level.last
        order.after = None
        if last is None:
            level.first = order
        else:
            last.after = order
        level.last = order
        level.quantity += order.quantity
        level.orders += 1
        self._orders[order.order_id] = order
        if self._journal is not None:
            self._journal.append((_RESTED, order, 0))

    def _leave(self, order: Order) -> None:
        """Unlink an order; it keeps its own links, so that `_return` finds the place."""
        level, before, after = order.level, order.before, order.after
        if before is None:
            level.first = after
        else:
            before.after = after
        if after is None:
            level.last = before
        else:
            after.before = before
        level.quantity -= order.quantity
        level.orders -= 1
        if level.first is None:
            self.half(order.side).close(level)
        del self._orders[order.order_id]
        if self._journal is not None:
            self._journal.append((_LEFT, order, 0))

    def _return(self, order: Order) -> None:
        """Undo `_leave`; right only while everything since has been undone."""
        level, before, after = order.level, order.before, order.after
        if level.first is None:
            self.half(order.side).open(level)
        if before is None:
            level.first = order
        else:
            before.after = order
        if after is None:
            level.last = order
        else:
            after.before = order
        level.quantity += order.quantity
        level.orders += 1
        self._orders[order.order_id] = order

    def _shrink(self, order: Order, quantity: int) -> None:
        order.quantity -= quantity
        order.level.quantity -= quantity
        if self._journal is not None:
            self._journal.append((_SHRANK, order, quantity))
