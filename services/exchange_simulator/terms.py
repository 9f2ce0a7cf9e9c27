"""What an order may ask for, whatever its type: the form of its terms. Pure."""

from services.exchange_simulator.book import BUY, SELL
from services.exchange_simulator.domain import (
    MAX_PRICE_MICROS,
    MAX_QUANTITY,
    OrderType,
    Ticket,
    TimeInForce,
)

_DOLLAR = 1_000_000
_CENT = 10_000
_FINE_TICK = 100  # a hundredth of a cent
_WAITING = frozenset((TimeInForce.DAY, TimeInForce.GTC))
_TIMES_IN_FORCE = frozenset(TimeInForce)
_NAMES: dict[int, str] = {order_type: order_type.name for order_type in OrderType}
_WITH_LIMIT = frozenset((OrderType.LIMIT, OrderType.STOP_LIMIT))
_WITH_STOP = frozenset((OrderType.STOP, OrderType.STOP_LIMIT))


def tick_of(price: int) -> int:
    """The step of prices there, in micros: a cent from a dollar on, below a hundredth of one.

    Rule 612 of Regulation NMS.

    >>> tick_of(1_000_000), tick_of(999_900)
    (10000, 100)
    """
    return _CENT if price >= _DOLLAR else _FINE_TICK


def flaw_of(ticket: Ticket) -> str:
    """What is wrong with the terms themselves, in words; empty: nothing."""
    if ticket.side not in (BUY, SELL):
        return "side is neither BUY nor SELL"
    if not 1 <= ticket.quantity <= MAX_QUANTITY:
        return f"quantity is not within 1 and {MAX_QUANTITY}"
    if ticket.time_in_force not in _TIMES_IN_FORCE:
        return "time_in_force is unknown"
    if ticket.order_type not in _NAMES:
        return "order_type is unknown"
    return _flaw_of_prices(ticket) or _flaw_of_type(ticket)


def _flaw_of_prices(ticket: Ticket) -> str:
    """Each price is there exactly if the type has it, and is one that can be traded at."""
    has_limit = ticket.order_type in _WITH_LIMIT
    has_stop = ticket.order_type in _WITH_STOP
    for what, price, has in (("limit", ticket.limit, has_limit), ("stop", ticket.stop, has_stop)):
        if not has and price:
            return f"a {_NAMES[ticket.order_type]} order has no {what} price"
        if has and not 1 <= price <= MAX_PRICE_MICROS:
            return f"the {what} price is not within 1 and {MAX_PRICE_MICROS}"
        if has and price % tick_of(price):
            return f"the {what} price is no multiple of {tick_of(price)}"
    return ""


def _flaw_of_type(ticket: Ticket) -> str:
    if ticket.stop and ticket.time_in_force not in _WAITING:
        return "an order that waits for a price is DAY or GTC"
    if ticket.max_notional < 0:
        return "max_notional is negative"
    is_bid_at_any_price = ticket.side == BUY and not ticket.limit
    if ticket.max_notional and not is_bid_at_any_price:
        return "max_notional is for MARKET and STOP bids only"
    return ""
