"""A trade, its events, and the words for them.

Enums bear the numbers of the contract, which are stored as they are. Values are frozen structs of
msgspec: a batch makes hundreds of them, and a frozen dataclass takes ten times as long to make.
"""

from datetime import datetime
from enum import IntEnum, StrEnum

import msgspec

from libs.held import held_id


class Side(IntEnum):
    """Which way shares move for the customer."""

    BUY = 1
    SELL = 2


class OrderType(IntEnum):
    """What price the customer accepts."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4


class TimeInForce(IntEnum):
    """How long an order may wait for a fill."""

    DAY = 1
    GTC = 2
    IOC = 3
    FOK = 4


class TradeStatus(IntEnum):
    """Where a trade stands."""

    PLACED = 1
    IN_PROGRESS = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    PENDING_CANCEL = 5
    PENDING_REPLACE = 6
    CANCELED = 7
    REJECTED = 8
    EXPIRED = 9

    @property
    def is_terminal(self) -> bool:
        """A trade never leaves such a status."""
        return self in _TERMINAL

    @property
    def is_pending(self) -> bool:
        """A request is on its way to the exchange."""
        return self in _PENDING


_PENDING = frozenset({TradeStatus.PENDING_CANCEL, TradeStatus.PENDING_REPLACE})
_TERMINAL = frozenset(
    {TradeStatus.FILLED, TradeStatus.CANCELED, TradeStatus.REJECTED, TradeStatus.EXPIRED}
)


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


_LASTING = frozenset({TimeInForce.DAY, TimeInForce.GTC})


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What the customer asked for. Prices in micros per share; 0 where the type has none."""

    symbol: str
    side: Side
    quantity: int
    order_type: OrderType = OrderType.MARKET
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    time_in_force: TimeInForce = TimeInForce.DAY

    @property
    def may_rest(self) -> bool:
        """Whether the exchange may keep it on its book."""
        return self.order_type is not OrderType.MARKET and self.time_in_force in _LASTING

    @property
    def revision(self) -> "Revision":
        """What a replace may change of them."""
        return Revision(self.quantity, self.limit_price_micros, self.stop_price_micros)

    def revised(self, revision: "Revision") -> "Terms":
        """The same terms but for these."""
        return msgspec.structs.replace(
            self,
            quantity=revision.quantity,
            limit_price_micros=revision.limit_price_micros,
            stop_price_micros=revision.stop_price_micros,
        )


class Revision(msgspec.Struct, frozen=True):
    """Whole shares in all and micros per share; 0: none, or as asked for by a customer: kept."""

    quantity: int
    limit_price_micros: int
    stop_price_micros: int


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """Other terms for a trade: as asked for, what the trade had then, and what it comes to.

    `orig_client_order_id` is the trade's when it was asked for, `old_filled_quantity` what was used
    up of it.
    """

    replace_id: str
    client_order_id: str
    orig_client_order_id: str
    asked: Revision
    old: Revision
    old_filled_quantity: int
    new: Revision


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an event may change of a trade.

    `reason` is a number of stockbroker.common.v1.Reason, 0 for none. `in_doubt_since` is set if and
    only if it is in doubt, by the journal. `filled_notional_micros` is the exact sum of price x
    quantity. `replace`: the one on its way to the exchange. `taken_back`: shares that were filled,
    and then busted or corrected away; they count in neither.
    """

    status: TradeStatus = TradeStatus.PLACED
    reason: int = 0
    reason_text: str = ""
    in_doubt: bool = False
    in_doubt_since: datetime | None = None
    filled_quantity: int = 0
    filled_notional_micros: int = 0
    exchange_order_id: str = ""
    executed_at: datetime | None = None
    replace: Replace | None = None
    taken_back: int = 0

    @property
    def traded_quantity(self) -> int:
        """Shares of the order that are used up at the exchange: no bust gives any back to it."""
        return self.filled_quantity + self.taken_back


class AsPlaced(msgspec.Struct, frozen=True):
    """What a replace changed of a trade, as it was at first."""

    client_order_id: str
    revision: Revision


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One trade of one customer as it stood right after its event `seq`.

    `as_placed`: once a replace was asked for.
    """

    trade_id: str
    client_order_id: str
    customer_id: str
    terms: Terms
    placed_seq: int
    created_at: datetime
    standing: Standing
    seq: int
    updated_at: datetime
    orig_client_order_id: str = ""
    as_placed: AsPlaced | None = None

    @property
    def status(self) -> TradeStatus:
        """Where it stands."""
        return self.standing.status

    @property
    def needs_turn(self) -> bool:
        """Whether it holds up the customer's next trade: until it has ended, or rests."""
        return not self.status.is_terminal and not self.rests

    @property
    def rests(self) -> bool:
        """Whether it is on the exchange's book, or may be."""
        if not self.terms.may_rest or self.status.is_terminal:
            return False
        return bool(self.standing.exchange_order_id or self.standing.traded_quantity)

    @property
    def is_held_by_house(self) -> bool:
        """Whether it is a stop that the house holds, and that the exchange does not know yet."""
        at_exchange = self.standing.exchange_order_id
        is_held = bool(at_exchange) and at_exchange == held_id(self.trade_id)
        return is_held and not self.status.is_terminal

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether its replace may go to the exchange now: after its order, not over a cancel."""
        return self.status is TradeStatus.PENDING_REPLACE and self.rests


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
    """What a fill was instead: shares and micros per share, 0 of both if it never was."""

    amendment_id: str
    execution_id: str
    venue: str
    quantity: int
    price_micros: int
    old_quantity: int
    old_price_micros: int
    amended_at: datetime
    reason_text: str

    @property
    def key(self) -> tuple[str, str]:
        """Of the fill: it is amended once."""
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


def average_price_micros(filled_quantity: int, filled_notional_micros: int) -> int:
    """The notional per share, rounded half up; 0 before the first fill.

    >>> average_price_micros(2, 3), average_price_micros(3, 4), average_price_micros(0, 0)
    (2, 1, 0)
    """
    if filled_quantity == 0:
        return 0
    return (2 * filled_notional_micros + filled_quantity) // (2 * filled_quantity)
