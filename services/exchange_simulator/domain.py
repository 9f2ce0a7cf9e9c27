"""What members command and what the exchange answers: terms, reports, and what trades at once."""

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from libs.money import format_dollars
from services.exchange_simulator.book import BUY, SELL, Book, Fill, Offer

MAX_QUANTITY = 10_000_000
MAX_PRICE_MICROS = 900_000 * 1_000_000  # so that the cost of any order fits a signed 64-bit integer


class Side(IntEnum):
    """Which way."""

    BUY = BUY
    SELL = SELL


class OrderType(IntEnum):
    """What price."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    """How long."""

    DAY = 1
    GTC = 2
    IOC = 3
    FOK = 4


_WORSE: dict[int, int] = {Side.BUY: 1, Side.SELL: -1}
_MARKET, _FOK = OrderType.MARKET, TimeInForce.FOK


class ExecType(IntEnum):
    """What a report says. FIX tag 150."""

    NEW = 1
    TRADE = 2
    REJECTED = 3
    CANCELED = 4
    EXPIRED = 5
    CANCEL_REJECTED = 6
    REPLACED = 7
    REPLACE_REJECTED = 8
    TRIGGERED = 9
    TRADE_CANCEL = 10
    TRADE_CORRECT = 11


class RejectReason(IntEnum):
    """Why an order was refused or ended."""

    NONE = 0
    UNKNOWN_SYMBOL = 1
    MARKET_CLOSED = 2
    HALTED = 3
    NO_LIQUIDITY = 4
    MAX_NOTIONAL = 5
    OTHER = 6
    DUPLICATE_ORDER_ID = 7
    EXPIRED = 8
    TOO_LATE = 9
    UNKNOWN_ORDER = 10
    CANCELED_BY_MEMBER = 11


class NewOrder(msgspec.Struct, frozen=True, gc=False):
    """The terms of a member's order as sent; integers that may be any number. 0 is none."""

    client_order_id: str
    symbol: str
    side: int
    quantity: int
    order_type: int
    limit_price_micros: int
    stop_price_micros: int
    time_in_force: int
    max_notional_micros: int


class CancelOrder(msgspec.Struct, frozen=True, gc=False):
    """The rest of an order is to end."""

    client_order_id: str


class ReplaceOrder(msgspec.Struct, frozen=True, gc=False):
    """An order is to have other terms: shares in all, filled ones too; an amount of 0 stays."""

    client_order_id: str
    quantity: int
    limit_price_micros: int
    stop_price_micros: int
    max_notional_micros: int = 0


Command = NewOrder | CancelOrder | ReplaceOrder


class Ticket(msgspec.Struct, frozen=True, gc=False):
    """The terms of an order as a book takes them; prices in micros, 0 is none.

    `max_notional` bounds what a bid at any price may cost.
    """

    order_id: int
    side: int
    quantity: int
    order_type: int
    time_in_force: int
    limit: int = 0
    stop: int = 0
    max_notional: int = 0


@dataclass(frozen=True, slots=True)
class Instrument:
    """Something that is listed; prices in cents, depth in shares at the best price.

    `is_calm`: its price never moves but by trades.
    """

    symbol: str
    name: str
    reference_cents: int
    spread_cents: int
    depth: int
    is_calm: bool = False


class Ending(msgspec.Struct, frozen=True, gc=False):
    """Why an order, or the rest of it, will not fill."""

    reason: RejectReason
    text: str


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of an order: not accepted and why, or fills and why there are no more."""

    is_accepted: bool
    fills: list[Fill]
    ending: Ending | None = None


class Filing(msgspec.Struct, frozen=True, gc=False):
    """The order a report is about. Ids and terms that are not known are empty."""

    client_order_id: str
    exchange_order_id: str = ""
    symbol: str = ""
    side: int = 0


class Report(msgspec.Struct, frozen=True, gc=False):
    """What is said of an order. Fields as in the contract.

    `change`: by how much the shares filled change, where that is not `last_quantity`.
    """

    exec_type: ExecType
    last_quantity: int = 0
    last_price_micros: int = 0
    cumulative_quantity: int = 0
    leaves_quantity: int = 0
    ending: Ending | None = None
    command_seq: int = 0
    quantity: int = 0
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    max_notional_micros: int = 0
    exec_ref_id: str = ""
    first_exec_id: str = ""
    change: int | None = None


def refused(reason: RejectReason, text: str) -> Outcome:
    """An order that never stood."""
    return Outcome(False, [], Ending(reason, text))


NO_MORE = Ending(RejectReason.NO_LIQUIDITY, "the book has no more to trade against")


def at_once(ticket: Ticket, book: Book) -> Outcome:
    """Take what a MARKET or LIMIT order can have now; nothing of it rests."""
    limit = None if ticket.order_type == _MARKET else ticket.limit
    if limit is None or ticket.time_in_force == _FOK:
        hindrance = _hindrance(ticket, book.offer(ticket.side, ticket.quantity, limit))
        if hindrance is not None:
            return hindrance
    fills = book.take(ticket.side, ticket.quantity, limit)
    is_whole = sum(fill.quantity for fill in fills) == ticket.quantity
    return Outcome(True, fills, None if is_whole else NO_MORE)


def would_trade(ticket: Ticket, book: Book) -> tuple[int, int] | None:
    """The lowest and highest price a MARKET or LIMIT order would trade at now; None: at none."""
    limit = None if ticket.order_type == _MARKET else ticket.limit
    if _hindrance(ticket, book.offer(ticket.side, ticket.quantity, limit)) is not None:
        return None
    half = book.asks if ticket.side == BUY else book.bids
    prices, left = list[int](), ticket.quantity
    for level in half.best_first():
        if left <= 0 or (limit is not None and (level.price - limit) * _WORSE[ticket.side] > 0):
            break
        prices.append(level.price)
        left -= level.quantity
    return (min(prices), max(prices)) if prices else None


def _hindrance(ticket: Ticket, offer: Offer) -> Outcome | None:
    """Why an order does not trade, given what the book could give it."""
    if ticket.order_type == _MARKET and not offer.quantity:
        return refused(RejectReason.NO_LIQUIDITY, "the book has nothing to trade against")
    if 0 < ticket.max_notional < offer.notional:
        return refused(
            RejectReason.MAX_NOTIONAL,
            f"{offer.quantity:,} shares cost {format_dollars(offer.notional)},"
            f" and the order may cost {format_dollars(ticket.max_notional)} at most",
        )
    if ticket.time_in_force == _FOK and offer.quantity < ticket.quantity:
        return Outcome(True, [], NO_MORE)
    return None
