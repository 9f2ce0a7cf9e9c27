"""The orders of one symbol that wait for a price. Pure; integers only; one writer at a time.

A bid waits for a trade at its stop price or above, an offer for one at its stop price or below.
The steps since `begin` can be undone exactly.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator

from services.exchange_simulator.book import BUY
from services.exchange_simulator.domain import Ticket

_NEVER = 1 << 63  # above every price

# A bid's stop price or minus that of an offer; when the order came; its terms. The lowest comes
# first: the one that the next trade away meets before all others.
Waiting = tuple[int, int, Ticket]


class Stops:
    """Orders in the order of their prices, at one price in the order they came."""

    __slots__ = ("_asks", "_bids", "_came", "_journal", "_waiting", "buy_from", "sell_to")

    def __init__(self) -> None:
        self._bids: list[Waiting] = []
        self._asks: list[Waiting] = []
        self._waiting: dict[int, Waiting] = {}
        self._came = 0
        self._journal: list[tuple[bool, Waiting]] | None = None
        self.buy_from = _NEVER  # a trade at this price or above elects a bid
        self.sell_to = 0  # a trade at this price or below elects an offer

    def __contains__(self, order_id: int) -> bool:
        """Whether an order of that id waits."""
        return order_id in self._waiting

    def __len__(self) -> int:
        """How many orders wait."""
        return len(self._waiting)

    def find(self, order_id: int) -> Ticket | None:
        """The waiting order of that id."""
        waiting = self._waiting.get(order_id)
        return waiting[2] if waiting is not None else None

    def tickets(self) -> Iterator[Ticket]:
        """Every waiting order in the order they came."""
        return (ticket for _, _, ticket in sorted(self._waiting.values(), key=_when))

    def add(self, ticket: Ticket) -> None:
        """Wait, as the last at its price; its id must not wait already."""
        self.wait(self.arrive(ticket))

    def arrive(self, ticket: Ticket) -> Waiting:
        """What has come now, and may be to wait."""
        self._came += 1
        return _key(ticket), self._came, ticket

    def wait(self, waiting: Waiting) -> None:
        """Wait in the place of when it came; its id must not wait already."""
        order_id = waiting[2].order_id
        if order_id in self._waiting:
            raise ValueError(f"order {order_id} waits already")
        self._put(waiting)

    def remove(self, order_id: int) -> Ticket | None:
        """Take a waiting order away; None when it does not wait."""
        waiting = self._waiting.get(order_id)
        if waiting is None:
            return None
        self._take(waiting)
        return waiting[2]

    def change(self, ticket: Ticket) -> None:
        """Give a waiting order these terms at the same stop price; it keeps its place."""
        key, came, before = waiting = self._waiting[ticket.order_id]
        if ticket != before:
            self._take(waiting)
            self._put((key, came, ticket))

    def elect(self, price: int) -> list[Waiting]:
        """Take away the orders that a trade at `price` meets, in the order they came."""
        met = [waiting for queue in self._met(price) for waiting in queue]
        for waiting in met:
            self._take(waiting)
        return sorted(met, key=_when)

    def begin(self) -> None:
        """Remember every step from here on."""
        self._journal = []

    def commit(self) -> None:
        """Forget the steps: they stand."""
        self._journal = None

    def rollback(self) -> None:
        """Undo the steps since `begin`, the last first."""
        steps, self._journal = self._journal or [], None
        for is_put, waiting in reversed(steps):
            if is_put:
                self._take(waiting)
            else:
                self._put(waiting)

    def _met(self, price: int) -> Iterator[list[Waiting]]:
        for queue, key in ((self._bids, price), (self._asks, -price)):
            yield queue[: bisect_left(queue, (key + 1,))]

    def _put(self, waiting: Waiting) -> None:
        queue = self._bids if waiting[2].side == BUY else self._asks
        insort(queue, waiting)
        self._waiting[waiting[2].order_id] = waiting
        self._note(True, waiting)

    def _take(self, waiting: Waiting) -> None:
        queue = self._bids if waiting[2].side == BUY else self._asks
        del queue[bisect_left(queue, waiting[:2])]
        del self._waiting[waiting[2].order_id]
        self._note(False, waiting)

    def _note(self, is_put: bool, waiting: Waiting) -> None:
        self.buy_from = self._bids[0][0] if self._bids else _NEVER
        self.sell_to = -self._asks[0][0] if self._asks else 0
        if self._journal is not None:
            self._journal.append((is_put, waiting))


def _key(ticket: Ticket) -> int:
    return ticket.stop if ticket.side == BUY else -ticket.stop


def _when(waiting: Waiting) -> int:
    return waiting[1]
