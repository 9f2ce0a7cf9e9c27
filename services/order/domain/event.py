"""What happens to trades: the events of a customer, and the fills that they tell of."""

from datetime import datetime
from enum import IntEnum, StrEnum

import msgspec

from services.order.domain.trade import Replace, Trade


class TradeEventKind(IntEnum):
    """What happened to a trade."""

    PLACED = 1
    STARTED = 2
    ACCEPTED = 3
    EXECUTED = 4
    REJECTED = 5
    CANCELED = 6
    EXPIRED = 7
    IN_DOUBT = 8
    RESOLVED = 9
    CANCEL_REQUESTED = 10
    CANCEL_REJECTED = 11
    REPLACE_REQUESTED = 12
    REPLACED = 13
    REPLACE_REJECTED = 14
    EXECUTION_BUSTED = 15
    EXECUTION_CORRECTED = 16


class Cause(StrEnum):
    """Who or what made an event happen."""

    CUSTOMER = "customer"
    HOUSE = "house"
    EXCHANGE = "exchange"
    OPERATOR = "operator"


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One fill: whole shares at a price in micros per share."""

    execution_id: str
    trade_id: str
    quantity: int
    price_micros: int
    venue: str
    executed_at: datetime

    @property
    def key(self) -> tuple[str, str]:
        """What makes it unique for ever."""
        return self.venue, self.execution_id


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What a fill was instead: shares and micros per share, 0 of both if it never was.

    `previous_id`: the amendment of the fill before this one; empty: there was none. `old_quantity`
    and `old_price_micros`: what the fill was by that.
    """

    amendment_id: str
    execution_id: str
    venue: str
    quantity: int
    price_micros: int
    old_quantity: int
    old_price_micros: int
    amended_at: datetime
    reason_text: str
    previous_id: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Of the fill."""
        return self.venue, self.execution_id

    @property
    def is_bust(self) -> bool:
        """Whether the fill never was."""
        return self.quantity == 0


class TradeEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a customer's sequence; `trade` is the trade right after it.

    `refusal`: the reason a cancel or a replace was rejected for, 0 in every other event. `replace`:
    the one that was asked for, done or rejected. `amendment`: what became of a fill.
    """

    trade: Trade
    kind: TradeEventKind
    cause: Cause
    previous_seq: int = 0
    execution: Execution | None = None
    refusal: int = 0
    replace: Replace | None = None
    amendment: Amendment | None = None

    @property
    def fill_key(self) -> tuple[str, str]:
        """Venue and id of the fill it tells of; empty: it tells of none."""
        told = self.execution or self.amendment
        return told.key if told is not None else ("", "")

    @property
    def seq(self) -> int:
        """1, 2, 3, ... per customer."""
        return self.trade.seq

    @property
    def occurred_at(self) -> datetime:
        """When the house recorded it."""
        return self.trade.updated_at


class Heartbeat(msgspec.Struct, frozen=True):
    """There is nothing newer than `head_seq`."""

    head_seq: int
