"""Orders for tests of the matching core, and what it tells, in plain tuples."""

from collections.abc import Iterable
from typing import Any

from services.exchange_simulator.book import BUY, SELL, Fill
from services.exchange_simulator.domain import OrderType, Ticket, TimeInForce
from services.exchange_simulator.matching import Elected, Ended, Event, Matcher, Refused, Traded

DAY, GTC, IOC, FOK = TimeInForce


def limit(order_id: int, side: int, quantity: int, price: int, tif: int = GTC) -> Ticket:
    return Ticket(order_id, side, quantity, OrderType.LIMIT, tif, limit=price)


def market(
    order_id: int, side: int, quantity: int, tif: int = DAY, *, max_notional: int = 0
) -> Ticket:
    return Ticket(order_id, side, quantity, OrderType.MARKET, tif, max_notional=max_notional)


def stop(order_id: int, side: int, quantity: int, price: int, *, max_notional: int = 0) -> Ticket:
    return Ticket(
        order_id, side, quantity, OrderType.STOP, GTC, stop=price, max_notional=max_notional
    )


def stop_limit(
    order_id: int, side: int, quantity: int, prices: tuple[int, int], tif: int = GTC
) -> Ticket:
    """`prices`: the stop price and the limit."""
    at, worst = prices
    return Ticket(order_id, side, quantity, OrderType.STOP_LIMIT, tif, stop=at, limit=worst)


def fills_of(fills: Iterable[Fill]) -> list[tuple[int, int, int]]:
    """(resting order, quantity, price) of each."""
    return [(fill.order.order_id, fill.quantity, fill.price) for fill in fills]


def told(events: Iterable[Event]) -> list[Any]:
    """The events in the words of the plain model."""
    return [_told(event) for event in events]


def _told(event: Event) -> Any:
    match event:
        case Traded(order_id, fills):
            return ("traded", order_id, fills_of(fills))
        case Elected(order_id):
            return ("elected", order_id)
        case Refused(order_id, ending):
            return ("refused", order_id, ending.reason.name)
        case Ended(order_id, quantity, ending):
            return ("ended", order_id, quantity, ending.reason.name)


def contents(matcher: Matcher) -> list[Any]:
    """What rests in the order it trades, what waits in the order it came, the last price."""
    resting = [
        (order.order_id, order.side, order.price, order.quantity, order.is_day)
        for side in (BUY, SELL)
        for order in matcher.book.orders(side)
    ]
    return [resting, list(matcher.stops.tickets()), matcher.last_price]
