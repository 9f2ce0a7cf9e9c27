"""Orders: what may be sent."""

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum

import msgspec
from msgspec.structs import replace

from libs.partition import PARTITIONS

MAX_QUANTITY = 2**53
MAX_MICROS = 2**53
MAX_NOTIONAL_MICROS = 2**63 - 1  # all the cash that somebody may have
TRADE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
CUSTOMER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
SYMBOL = re.compile(r"[A-Z0-9.-]{1,12}")


class Side(IntEnum):
    """Which way shares move for the customer."""

    BUY = 1
    SELL = 2


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


_SIDES = frozenset(Side)
_ORDER_TYPES = frozenset(OrderType)
_TIMES_IN_FORCE = frozenset(TimeInForce)


class State(IntEnum):
    """Where an order stands. UNKNOWN, neither here nor at the venue, is never stored."""

    UNKNOWN = 1
    PENDING = 2
    ACCEPTED = 3
    DONE = 4


class Reason(StrEnum):
    """Why an order is not taken, or was not filled whole: names of the house's stable reasons."""

    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    MARKET_CLOSED = "MARKET_CLOSED"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    SYMBOL_HALTED = "SYMBOL_HALTED"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    EXCHANGE_REJECTED = "EXCHANGE_REJECTED"
    EXPIRED = "EXPIRED"
    CANCELED_BY_CUSTOMER = "CANCELED_BY_CUSTOMER"
    TOO_LATE_TO_CANCEL = "TOO_LATE_TO_CANCEL"
    TOO_LATE_TO_REPLACE = "TOO_LATE_TO_REPLACE"
    TRADE_NOT_FOUND = "TRADE_NOT_FOUND"
    INVALID_REQUEST = "INVALID_REQUEST"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    INVALID_SYMBOL = "INVALID_SYMBOL"
    INVALID_SIDE = "INVALID_SIDE"
    INVALID_PRICE = "INVALID_PRICE"
    INVALID_ID = "INVALID_ID"
    INVALID_CUSTOMER = "INVALID_CUSTOMER"
    EXISTS_DIFFERENT = "EXISTS_DIFFERENT"
    STALE_EPOCH = "STALE_EPOCH"


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What is ordered; two orders of one trade id must agree in all of it."""

    customer_id: str
    partition: int
    symbol: str
    side: int
    quantity: int
    order_type: int
    limit_price_micros: int
    stop_price_micros: int
    time_in_force: int
    max_notional_micros: int


class Order(msgspec.Struct, frozen=True, gc=False):
    """An order to send, under the epoch its sender leads the partition.

    `placed_on`: the UTC day, counted from 1970-01-01; 0: not told.
    """

    trade_id: str
    epoch: int
    terms: Terms
    placed_on: int = 0

    def is_over(self, today: int) -> bool:
        """Whether its time has run out; `today` counted alike."""
        return self.terms.time_in_force == TimeInForce.DAY and 0 < self.placed_on < today


class Known(msgspec.Struct, frozen=True, gc=False):
    """An order that is stored. `is_withdrawn`: it was canceled before it was ever sent.

    `is_replaced`: a replace of it was sent, or the house triggered it, so that it may stand under
    other terms. `held`: 1: a stop that the house holds, 2: it was triggered and sent.
    `command_seq`: it was sent last under this number; 0: never.
    """

    terms: Terms
    state: State
    is_withdrawn: bool = False
    is_replaced: bool = False
    held: int = 0
    command_seq: int = 0

    def is_meant_by(self, terms: Terms) -> bool:
        """Whether it is the order that a submit names; a replace may have changed the rest."""
        if self.is_replaced:
            return _lasting(self.terms) == _lasting(terms)
        return self.terms == terms


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """What comes of one order: it stands in `state`, or is refused for `reason`."""

    trade_id: str
    state: State | None
    reason: Reason | None = None


class Command(msgspec.Struct, frozen=True, gc=False):
    """What the venue is told under a number of the session; `raw` is what goes over the wire."""

    seq: int
    trade_id: str
    raw: bytes
    is_answered: bool = False


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """Something that can be traded."""

    symbol: str
    name: str
    is_tradable: bool


def fault_of(order: Order) -> Reason | None:
    """The rule an order breaks before anything is looked up; None: none.

    Such an order is a fault of the sender: the house has checked every trade long before.
    """
    terms = order.terms
    if not TRADE_ID.fullmatch(order.trade_id):
        return Reason.INVALID_ID
    if not CUSTOMER_ID.fullmatch(terms.customer_id):
        return Reason.INVALID_CUSTOMER
    if not is_place(terms.partition, order.epoch):
        return Reason.INVALID_REQUEST
    if not SYMBOL.fullmatch(terms.symbol):
        return Reason.INVALID_SYMBOL
    return _fault_of_terms(terms)


def _fault_of_terms(terms: Terms) -> Reason | None:
    if terms.side not in _SIDES:
        return Reason.INVALID_SIDE
    if not is_quantity(terms.quantity):
        return Reason.INVALID_QUANTITY
    if terms.order_type not in _ORDER_TYPES or terms.time_in_force not in _TIMES_IN_FORCE:
        return Reason.INVALID_REQUEST
    return None if _are_amounts(terms) else Reason.INVALID_PRICE


def is_place(partition: int, epoch: int) -> bool:
    """Whether there is such a partition, and could be such an epoch of it."""
    return 0 <= partition < PARTITIONS and epoch >= 0


def is_quantity(quantity: int) -> bool:
    """Whether an order may be that large."""
    return 1 <= quantity <= MAX_QUANTITY


def _are_amounts(terms: Terms) -> bool:
    return (
        0 <= terms.limit_price_micros <= MAX_MICROS
        and 0 <= terms.stop_price_micros <= MAX_MICROS
        and 0 <= terms.max_notional_micros <= MAX_NOTIONAL_MICROS
    )


def highest_epochs(places: Iterable[tuple[int, int]]) -> dict[int, int]:
    """The highest epoch of each partition among (partition, epoch) pairs."""
    highest: dict[int, int] = {}
    for partition, epoch in places:
        highest[partition] = max(epoch, highest.get(partition, 0))
    return highest


def _lasting(terms: Terms) -> Terms:
    return replace(
        terms, quantity=0, limit_price_micros=0, stop_price_micros=0, max_notional_micros=0
    )


def sort_out(
    orders: Sequence[Order], *, epochs: Mapping[int, int], known: Mapping[str, Known], today: int
) -> tuple[list[Submitted], list[Order]]:
    """What comes of each order, in the order given, and which of them are new.

    `epochs` is the highest epoch seen per partition, these orders included; `known` what is stored
    of their trade ids. A trade id given twice counts once. A new DAY order of a day before `today`
    is never sent; what is known may have been, and is not ended here.
    """
    results = []
    fresh: dict[str, Order] = {}
    for order in orders:
        stored = known.get(order.trade_id)
        if stored is None and order.trade_id in fresh:
            stored = Known(fresh[order.trade_id].terms, State.PENDING)
        if order.epoch < epochs[order.terms.partition]:
            results.append(Submitted(order.trade_id, None, Reason.STALE_EPOCH))
        elif stored is None and order.is_over(today):
            results.append(Submitted(order.trade_id, None, Reason.EXPIRED))
        elif stored is None:
            fresh[order.trade_id] = order
            results.append(Submitted(order.trade_id, State.PENDING))
        elif stored.is_withdrawn:
            results.append(Submitted(order.trade_id, State.DONE))
        elif not stored.is_meant_by(order.terms):
            results.append(Submitted(order.trade_id, None, Reason.EXISTS_DIFFERENT))
        else:
            results.append(Submitted(order.trade_id, stored.state))
    return results, list(fresh.values())
