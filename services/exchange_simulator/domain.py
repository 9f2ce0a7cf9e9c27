"""What a member may order and what the exchange answers: terms, reports, rules."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
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


_MARKET, _FOK = OrderType.MARKET, TimeInForce.FOK


class ExecType(IntEnum):
    """What a report says. FIX tag 150."""

    NEW = 1
    TRADE = 2
    REJECTED = 3
    CANCELED = 4
    EXPIRED = 5


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


@dataclass(frozen=True, slots=True)
class NewOrder:
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
    """Something that is listed; prices in cents, depth in shares at the best price."""

    symbol: str
    name: str
    reference_cents: int
    spread_cents: int
    depth: int


@dataclass(frozen=True, slots=True)
class Ending:
    """Why an order, or the rest of it, will not fill."""

    reason: RejectReason
    text: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: not accepted and why, or fills and why there are no more."""

    is_accepted: bool
    fills: list[Fill]
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Filing:
    """What all reports of one order share. A command refused as duplicate has no exchange id."""

    order: NewOrder
    exchange_order_id: str
    transact_time: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One report on the session the order came by. Fields as in the contract."""

    filing: Filing
    seq: int
    exec_id: str
    exec_type: ExecType
    last_quantity: int = 0
    last_price_micros: int = 0
    cumulative_quantity: int = 0
    leaves_quantity: int = 0
    ending: Ending | None = None


def refused(reason: RejectReason, text: str) -> Outcome:
    """An order that never stood."""
    return Outcome(False, [], Ending(reason, text))


def flaw(order: NewOrder) -> str:
    """What is wrong with the terms themselves, in words; empty: nothing."""
    if order.side not in (BUY, SELL):
        return "side is neither BUY nor SELL"
    if not 1 <= order.quantity <= MAX_QUANTITY:
        return f"quantity is not within 1 and {MAX_QUANTITY}"
    if order.time_in_force not in list(TimeInForce):
        return "time_in_force is unknown"
    if order.order_type == OrderType.MARKET:
        return _flaw_of_market(order)
    if order.order_type == OrderType.LIMIT:
        return _flaw_of_limit(order)
    return "only MARKET and LIMIT orders are offered"


def _flaw_of_market(order: NewOrder) -> str:
    if order.limit_price_micros or order.stop_price_micros:
        return "a MARKET order has no price"
    if order.max_notional_micros < 0:
        return "max_notional_micros is negative"
    if order.max_notional_micros and order.side != BUY:
        return "max_notional_micros is for MARKET bids only"
    return ""


def _flaw_of_limit(order: NewOrder) -> str:
    if order.time_in_force not in (TimeInForce.IOC, TimeInForce.FOK):
        return "LIMIT orders are offered with IOC and FOK only"
    if not 1 <= order.limit_price_micros <= MAX_PRICE_MICROS:
        return f"limit_price_micros is not within 1 and {MAX_PRICE_MICROS}"
    if order.stop_price_micros or order.max_notional_micros:
        return "a LIMIT order has neither stop price nor max_notional_micros"
    return ""


NO_MORE = Ending(RejectReason.NO_LIQUIDITY, "the book has no more to trade against")


def trade(order: NewOrder, book: Book) -> Outcome:
    """Execute an order without flaw on the book at once; nothing of it rests."""
    return at_once(
        Ticket(
            0,
            order.side,
            order.quantity,
            order.order_type,
            order.time_in_force,
            limit=order.limit_price_micros,
            max_notional=order.max_notional_micros,
        ),
        book,
    )


def at_once(ticket: Ticket, book: Book) -> Outcome:
    """Take what a MARKET or LIMIT order can have now; nothing of it rests."""
    limit = None if ticket.order_type == _MARKET else ticket.limit
    if limit is None or ticket.time_in_force == _FOK:
        offer = book.offer(ticket.side, ticket.quantity, limit)
        hindrance = _hindrance(ticket, offer)
        if hindrance is not None:
            return hindrance
    fills = book.take(ticket.side, ticket.quantity, limit)
    is_whole = sum(fill.quantity for fill in fills) == ticket.quantity
    return Outcome(True, fills, None if is_whole else NO_MORE)


def _hindrance(ticket: Ticket, offer: Offer) -> Outcome | None:
    """Why an order does not trade, given what the book could give it."""
    if ticket.order_type == _MARKET and not offer.quantity:
        return refused(RejectReason.NO_LIQUIDITY, "the book has nothing to trade against")
    if 0 < ticket.max_notional < offer.notional:
        return refused(
            RejectReason.MAX_NOTIONAL,
            f"{offer.quantity:,} shares cost {format_dollars(offer.notional)},"
            f" more than the order's {format_dollars(ticket.max_notional)}",
        )
    if ticket.time_in_force == _FOK and offer.quantity < ticket.quantity:
        return Outcome(True, [], NO_MORE)
    return None


def reports_of(
    filing: Filing, outcome: Outcome, *, first_seq: int, next_id: Callable[[], str]
) -> list[Report]:
    """What a member is told: REJECTED alone, or NEW, a TRADE per fill, perhaps CANCELED."""
    if not outcome.is_accepted:
        rejected = Report(filing, first_seq, next_id(), ExecType.REJECTED, ending=outcome.ending)
        return [rejected]
    leaves = filing.order.quantity
    reports = [Report(filing, first_seq, next_id(), ExecType.NEW, leaves_quantity=leaves)]
    cumulative = 0
    for fill in outcome.fills:
        cumulative += fill.quantity
        leaves -= fill.quantity
        reports.append(
            Report(
                filing,
                first_seq + len(reports),
                next_id(),
                ExecType.TRADE,
                last_quantity=fill.quantity,
                last_price_micros=fill.price,
                cumulative_quantity=cumulative,
                leaves_quantity=leaves,
            )
        )
    if outcome.ending is not None:
        reports.append(
            Report(
                filing,
                first_seq + len(reports),
                next_id(),
                ExecType.CANCELED,
                cumulative_quantity=cumulative,
                ending=outcome.ending,
            )
        )
    return reports
