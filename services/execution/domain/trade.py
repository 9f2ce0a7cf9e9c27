"""A trade that was taken up, and what must be set aside for it."""

from dataclasses import dataclass
from enum import Enum, IntEnum

import msgspec

from libs.holds import ALL_AVAILABLE, CASH, Hold, hold_to_buy, hold_to_sell

__all__ = ["ALL_AVAILABLE", "CASH", "Hold"]


class Side(IntEnum):
    """Which way shares move; numbers of the contract."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """What price is accepted; numbers of the contract."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


_WITH_LIMIT = frozenset((OrderType.LIMIT, OrderType.STOP_LIMIT))
_BUY, _SELL = Side.BUY, Side.SELL


class Trade(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A trade taken up under an epoch. `attempts` above 1: work on it was cut off before.

    `cancel_id`: which cancel of it was taken up, if one was. `placed_on`: the UTC day, counted from
    1970-01-01.
    """

    trade_id: str
    customer_id: str
    partition: int
    epoch: int
    attempts: int
    symbol: str
    side: Side
    quantity: int
    order_type: OrderType
    limit_price_micros: int
    stop_price_micros: int
    time_in_force: int
    placed_on: int = 0
    is_to_be_canceled: bool = False
    is_at_exchange: bool = False
    cancel_id: str = ""

    @property
    def has_limit(self) -> bool:
        """Whether the customer bounds the price."""
        return self.order_type in _WITH_LIMIT


class Turn(msgspec.Struct, frozen=True, gc=False):
    """A customer whose trade is to be taken up; `is_halted`: only what is to be canceled."""

    customer_id: str
    partition: int
    is_halted: bool = False


class OpenCustomer(msgspec.Struct, frozen=True, gc=False):
    """A customer with an open trade, the oldest one named, or one of which something is asked.

    `is_taken_up`: it, or what is asked, was given to a worker before.
    """

    customer_id: str
    partition: int
    trade_id: str
    is_taken_up: bool


class Held(msgspec.Struct, frozen=True, gc=False):
    """The ledger's answer to a hold. `reason` 0: `amount` is held; otherwise why nothing is."""

    amount: int
    reason: int = 0


class OrderState(Enum):
    """Where an order stands at the gateway."""

    UNKNOWN = "unknown"
    UNANSWERED = "unanswered"
    ACCEPTED = "accepted"
    DONE = "done"


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """The gateway's answer to an order. `reason` 0: it has the order durably.

    `is_expired`: its day was over before it was ever sent. `is_halted`: it was not asked, because
    of a halt; `may_have_it`: not again, and nobody knows whether it has the order.
    """

    reason: int = 0
    is_stale: bool = False
    is_expired: bool = False
    is_halted: bool = False
    may_have_it: bool = False


@dataclass(frozen=True, slots=True)
class CancelTaken:
    """The gateway's answer to a cancel. `never_sent`: the exchange will never hear of the order."""

    reason: int = 0
    is_stale: bool = False
    never_sent: bool = False


@dataclass(frozen=True, slots=True)
class Setback:
    """An attempt that failed, under an epoch. `trade_id` empty: it is not known which trade.

    `attempt`: which one of the trade it was; 0: not known.
    """

    customer_id: str
    partition: int
    epoch: int
    trade_id: str
    fault_text: str
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Faulted:
    """What came of counting a fault; `faults` 0: nothing was counted."""

    faults: int = 0
    is_parked: bool = False


def hold_for(trade: Trade) -> Hold:
    """What must be set aside before the order is sent."""
    if trade.side is _SELL:
        return hold_to_sell(trade.symbol, trade.quantity)
    return hold_to_buy(
        trade.quantity,
        limit_price_micros=trade.limit_price_micros if trade.has_limit else 0,
        stop_price_micros=trade.stop_price_micros,
    )


def max_notional_micros(trade: Trade, held: Held) -> int:
    """What the exchange may spend on a BUY without a limit; 0: no such bound."""
    return held.amount if trade.side is _BUY and not trade.has_limit else 0


def rejects(reason: int) -> bool:
    """Whether a reason of the ledger means that the trade is rejected.

    Numbers 1 to 99 say why a trade was not filled; any other reason is a fault of the house, and a
    fault never rejects a trade.
    """
    return 1 <= reason <= 99
