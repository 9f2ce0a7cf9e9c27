"""The matching core of one symbol: orders of every type on its book, and stops that wait.

A stop is elected by a trade at a price that it waits for: those of one trade in the order they
came, those of an earlier trade first. Elected orders enter the book one after the other, each whole
before the next; what their trades elect comes after them. A STOP becomes a MARKET order, a
STOP_LIMIT a LIMIT order. A stop whose price the last trade has met already is elected at once.

Nothing trades outside `bounds`: a new order that would is refused, an elected one waits on in its
place together with those elected after it, and `is_breached` says so until it is heard.

Pure, integers only, one writer at a time. The steps since `begin` can be undone exactly.
"""

from collections import deque
from collections.abc import Container
from typing import NamedTuple

from msgspec.structs import replace

from libs.money import format_dollars
from services.exchange_simulator.book import BUY, SELL, Book, Fill
from services.exchange_simulator.domain import (
    Ending,
    OrderType,
    RejectReason,
    Ticket,
    TimeInForce,
    at_once,
    would_trade,
)
from services.exchange_simulator.stops import Stops, Waiting

_LIMIT, _MARKET, _STOP = OrderType.LIMIT, OrderType.MARKET, OrderType.STOP
_DAY = TimeInForce.DAY
_RESTING = (TimeInForce.DAY, TimeInForce.GTC)
_END_OF_DAY = Ending(RejectReason.EXPIRED, "the day is over")


class Traded(NamedTuple):
    """An order took these resting orders, in this order."""

    order_id: int
    fills: list[Fill]


class Elected(NamedTuple):
    """A waiting order was elected and enters the book."""

    order_id: int


class Refused(NamedTuple):
    """An order never stood."""

    order_id: int
    ending: Ending


class Ended(NamedTuple):
    """What is left of an order, `quantity` shares, will not fill."""

    order_id: int
    quantity: int
    ending: Ending


Event = Traded | Elected | Refused | Ended


class Matcher:
    """One symbol. `last_price` is that of the last trade, 0 before the first."""

    __slots__ = ("_last_before", "book", "bounds", "is_breached", "last_price", "stops")

    def __init__(self) -> None:
        self.book = Book()
        self.stops = Stops()
        self.last_price = 0
        self._last_before = 0
        self.bounds: tuple[int, int] | None = None  # the lowest and the highest price of a trade
        self.is_breached = False

    def __contains__(self, order_id: int) -> bool:
        """Whether an order of that id rests or waits."""
        return order_id in self.book or order_id in self.stops

    def enter(self, ticket: Ticket) -> list[Event]:
        """Take a new order without flaw whose id neither rests nor waits; what comes of it.

        Nothing where it only rests, or waits.
        """
        events: list[Event] = []
        if ticket.stop:
            if ticket.order_id in self.book:
                raise ValueError(f"order {ticket.order_id} rests already")
            if not self._is_met(ticket):
                self.stops.add(ticket)
                return events
            self._elect([self.stops.arrive(ticket)], events)
            return events
        if ticket.order_id in self.stops:
            raise ValueError(f"order {ticket.order_id} waits already")
        breach = self.breach(ticket)
        if breach is not None:
            return [Refused(ticket.order_id, breach)]
        fills = self._execute(ticket, events, is_new=True)
        if fills:
            self._follow(fills, events)
        return events

    def breach(self, ticket: Ticket) -> Ending | None:
        """Why an order that is no stop may not trade now; None: it may, or would not trade."""
        prices = would_trade(ticket, self.book) if self.bounds is not None else None
        if self.bounds is None or prices is None:
            return None
        low, high = self.bounds
        if low <= prices[0] and prices[1] <= high:
            return None
        self.is_breached = True
        limits = f"{format_dollars(low)} and {format_dollars(high)}"
        return Ending(RejectReason.HALTED, f"it would trade outside the limits {limits}")

    def cancel(self, order_id: int) -> int:
        """Take an order away; how much of it was left, 0: it neither rests nor waits."""
        order = self.book.find(order_id)
        if order is not None:
            self.book.delete(order_id)
            return order.quantity
        ticket = self.stops.remove(order_id)
        return ticket.quantity if ticket is not None else 0

    def reduce(self, order_id: int, quantity: int) -> bool:
        """Take quantity off an order, which keeps its place; False: it neither rests nor waits.

        An order with no more left than that is gone.
        """
        ticket = self.stops.find(order_id)
        if ticket is None:
            return self.book.reduce(order_id, quantity)
        if quantity < ticket.quantity:
            self.stops.change(replace(ticket, quantity=ticket.quantity - quantity))
        else:
            self.stops.remove(order_id)
        return True

    def replace(
        self, order_id: int, quantity: int, *, limit: int = 0, stop: int = 0, max_notional: int = 0
    ) -> list[Event] | None:
        """Give an order other terms, `quantity` as what is left of it; a price or bound of 0 stays.

        It keeps its place if all it does is shrink; else it comes anew, and what comes of that is
        told as of a new order. An order that rests has no stop price any more: there `stop` has no
        effect. None when it neither rests nor waits.
        """
        ticket = self.stops.find(order_id)
        if ticket is not None:
            wanted = replace(
                ticket,
                quantity=quantity,
                limit=limit or ticket.limit,
                stop=stop or ticket.stop,
                max_notional=max_notional or ticket.max_notional,
            )
            return self._replace_waiting(ticket, wanted)
        order = self.book.find(order_id)
        if order is None:
            return None
        fills = self.book.replace(order_id, limit or order.price, quantity)
        events: list[Event] = []
        if fills:
            events.append(Traded(order_id, fills))
            self._follow(fills, events)
        return events

    def end_day(self, stay: Container[int] = ()) -> list[Ended]:
        """Expire every DAY order but these: bids, then offers, best first, then those that wait."""
        resting = [order for side in (BUY, SELL) for order in self.book.orders(side)]
        ids = [order.order_id for order in resting if order.is_day]
        ids += [t.order_id for t in self.stops.tickets() if t.time_in_force == _DAY]
        ids = [order_id for order_id in ids if order_id not in stay]
        return [Ended(order_id, self.cancel(order_id), _END_OF_DAY) for order_id in ids]

    def begin(self) -> None:
        """Remember every step from here on."""
        self._last_before = self.last_price
        self.book.begin()
        self.stops.begin()

    def commit(self) -> None:
        """Forget the steps: they stand."""
        self.book.commit()
        self.stops.commit()

    def rollback(self) -> None:
        """Undo the steps since `begin`: all is as it was then."""
        self.last_price = self._last_before
        self.book.rollback()
        self.stops.rollback()

    def _replace_waiting(self, ticket: Ticket, wanted: Ticket) -> list[Event]:
        is_same_price = (wanted.limit, wanted.stop) == (ticket.limit, ticket.stop)
        if is_same_price and wanted.quantity <= ticket.quantity:
            self.stops.change(wanted)
            return []
        self.stops.remove(ticket.order_id)
        return self.enter(wanted)

    def _execute(self, ticket: Ticket, events: list[Event], *, is_new: bool) -> list[Fill]:
        """Trade, and rest what may rest."""
        order_id, ending, is_accepted = ticket.order_id, None, True
        if ticket.order_type == _LIMIT and ticket.time_in_force in _RESTING:
            is_day = ticket.time_in_force == _DAY
            fills = self.book.add(order_id, ticket.side, ticket.limit, ticket.quantity, is_day)
        else:
            if order_id in self.book:
                raise ValueError(f"order {order_id} rests already")
            outcome = at_once(ticket, self.book)
            fills, ending, is_accepted = outcome.fills, outcome.ending, outcome.is_accepted
        if fills:
            events.append(Traded(order_id, fills))
        if ending is not None:
            left = ticket.quantity - sum(fill.quantity for fill in fills)
            is_refused = is_new and not is_accepted
            events.append(
                Refused(order_id, ending) if is_refused else Ended(order_id, left, ending)
            )
        return fills

    def _follow(self, fills: list[Fill], events: list[Event]) -> None:
        """Note the last price and enter whatever these trades elect."""
        elected = self._elected_by(fills)
        if elected:
            self._elect(elected, events)

    def _elect(self, elected: list[Waiting], events: list[Event]) -> None:
        queue = deque(elected)
        while queue:
            _, _, ticket = first = queue.popleft()
            order_type = _MARKET if ticket.order_type == _STOP else _LIMIT
            order = replace(ticket, order_type=order_type, stop=0)
            if self.breach(order) is not None:
                for waiting in (first, *queue):
                    self.stops.wait(waiting)
                return
            events.append(Elected(ticket.order_id))
            fills = self._execute(order, events, is_new=False)
            if fills:
                queue.extend(self._elected_by(fills))

    def _elected_by(self, fills: list[Fill]) -> list[Waiting]:
        """The waiting orders that these trades elect, those of an earlier trade first."""
        stops, elected = self.stops, list[Waiting]()
        for fill in fills:
            if fill.price >= stops.buy_from or fill.price <= stops.sell_to:
                elected += stops.elect(fill.price)
        self.last_price = fills[-1].price
        return elected

    def _is_met(self, ticket: Ticket) -> bool:
        if not self.last_price:
            return False
        if ticket.side == BUY:
            return self.last_price >= ticket.stop
        return self.last_price <= ticket.stop
