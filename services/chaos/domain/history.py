"""What a drill saw from outside: of the customers' door, of the exchange, of the books.

Words are those of the contracts without their prefixes: FILLED, STARTED, INSUFFICIENT_FUNDS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Events about what a customer wishes for an order, not about the order: they may come any time.
ABOUT_WISHES = frozenset(
    {
        "CANCEL_REQUESTED",
        "CANCEL_REJECTED",
        "REPLACE_REQUESTED",
        "REPLACED",
        "REPLACE_REJECTED",
    }
)
# What the exchange takes back of fills: when the trade is over, whatever else is going on.
AMENDING = frozenset({"EXECUTION_BUSTED", "EXECUTION_CORRECTED"})
TERMINAL = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED"})
WORKING = frozenset({"IN_PROGRESS", "PARTIALLY_FILLED"})
STOPS = frozenset({"STOP", "STOP_LIMIT"})
CASH = "USD"
# Symbols whose orders end by a script of the exchange: status and reason. What rests is canceled by
# its customer, and what is never answered is resolved by an operator.
SCRIPTED = {
    "TEST.FILL": ("FILLED", ""),
    "TEST.PARTS": ("FILLED", ""),
    "TEST.HALF": ("CANCELED", "NO_LIQUIDITY"),
    "TEST.EXPIRE": ("EXPIRED", "EXPIRED"),
    "TEST.REJECT": ("REJECTED", "EXCHANGE_REJECTED"),
    "TEST.HALTED": ("REJECTED", "SYMBOL_HALTED"),
    "TEST.STEPS": ("FILLED", ""),
    "TEST.SLOW": ("FILLED", ""),
    "TEST.REST": ("CANCELED", "CANCELED_BY_CUSTOMER"),
    "TEST.SILENT": ("REJECTED", "EXCHANGE_REJECTED"),
}
SILENT = "TEST.SILENT"


def may_rest(order_type: str, time_in_force: str) -> bool:
    """Whether such an order may wait at the exchange."""
    return order_type != "MARKET" and time_in_force in ("DAY", "GTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a customer asks for; `side` is BUY or SELL. Prices are micros; 0: none."""

    client_order_id: str
    side: str
    symbol: str
    quantity: int
    order_type: str = "MARKET"
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    time_in_force: str = "DAY"

    @property
    def may_rest(self) -> bool:
        """Whether it may wait at the exchange, and have other terms."""
        return may_rest(self.order_type, self.time_in_force)


@dataclass(frozen=True, slots=True)
class Ack:
    """An answer to PlaceTrade; the same order may be answered many times."""

    customer: str
    client_order_id: str
    trade_id: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What a replace may change. Prices are micros; 0: none, or kept."""

    quantity: int
    limit_price_micros: int = 0
    stop_price_micros: int = 0


@dataclass(frozen=True, slots=True)
class ReplaceAck:
    """ReplaceTrade was answered: the replace of that id is taken."""

    customer: str
    client_order_id: str
    trade_id: str
    asked: Terms


@dataclass(frozen=True, slots=True)
class Fill:
    """Shares that changed hands at one price."""

    execution_id: str
    trade_id: str
    quantity: int
    price_micros: int


@dataclass(frozen=True, slots=True)
class Amendment:
    """A fill was another; 0 shares: it never was."""

    amendment_id: str
    execution_id: str
    quantity: int
    price_micros: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One entry of a customer's event sequence, with the trade as it stood right after it."""

    seq: int
    kind: str
    trade_id: str
    client_order_id: str
    side: str
    symbol: str
    quantity: int
    status: str
    reason: str = ""
    in_doubt: bool = False
    in_doubt_since: float = 0.0  # seconds of the house's clock; 0: not in doubt
    filled_quantity: int = 0
    fill: Fill | None = None
    amendment: Amendment | None = None
    order_type: str = "MARKET"
    time_in_force: str = "DAY"
    limit_price_micros: int = 0
    stop_price_micros: int = 0
    is_accepted: bool = False
    replace_id: str = ""  # the customer's id of the replace it tells of
    replace_terms: Terms | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the trade is over."""
        return self.status in TERMINAL

    @property
    def may_rest(self) -> bool:
        """Whether it may wait at the exchange, so that it holds up no other once it is there."""
        return may_rest(self.order_type, self.time_in_force)

    @property
    def rests(self) -> bool:
        """Whether it waits at the exchange, and nothing of its customer's waits for an answer."""
        return self.may_rest and self.is_accepted and self.status in WORKING

    @property
    def is_stop(self) -> bool:
        """Whether it waits for a price first."""
        return self.order_type in STOPS

    @property
    def order(self) -> Order:
        """What was asked for, as it stands."""
        return Order(
            client_order_id=self.client_order_id,
            side=self.side,
            symbol=self.symbol,
            quantity=self.quantity,
            order_type=self.order_type,
            limit_price_micros=self.limit_price_micros,
            stop_price_micros=self.stop_price_micros,
            time_in_force=self.time_in_force,
        )

    @property
    def terms(self) -> Terms:
        """What a replace may change, as it stands."""
        return Terms(self.quantity, self.limit_price_micros, self.stop_price_micros)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """A row of the ledger's journal; `hold_id` is the hold it draws on or releases."""

    seq: int
    transfer_id: str
    kind: str
    is_done: bool
    hold_id: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One change of one account; `amount` is negative where it leaves the account."""

    seq: int
    account: str
    asset: str
    version: int
    amount: int
    balance_after: int
    held_after: int
    has_floor: bool = True


@dataclass(frozen=True, slots=True)
class Venue:
    """The exchange's own record: its fills, the trades it is done with, what it took back.

    `terms`: the orders it was sent, as they stand last; `triggered`: stops whose price was met.
    """

    fills: Sequence[Fill] = ()
    ended: frozenset[str] = frozenset()
    amendments: Sequence[Amendment] = ()
    terms: Mapping[str, Terms] = field(default_factory=dict)
    triggered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class HeldStop:
    """A stop that the house held. `trigger_price_micros`: 0: no price is recorded that met it."""

    trade_id: str
    side: str
    stop_price_micros: int
    is_triggered: bool
    trigger_price_micros: int


@dataclass(frozen=True, slots=True)
class Gateway:
    """The record of the house's door to the exchange: orders by trade, stops it held."""

    terms: Mapping[str, Terms] = field(default_factory=dict)
    held: Sequence[HeldStop] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """The ledger's own record, in its order; `broken`: what the house finds wrong."""

    transfers: Sequence[Transfer] = ()
    entries: Sequence[Entry] = ()
    broken: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All of it. `endowments`: customer -> asset -> what they were given at the start.

    `unanswered`: trade and words for each request that a service has no answer to. `resolved`:
    trades of which an operator has said that the exchange never had them. `orders`: what was asked
    for, by customer and id.
    """

    endowments: Mapping[str, Mapping[str, int]]
    acks: Sequence[Ack]
    events: Mapping[str, Sequence[Event]]
    venue: Venue = field(default_factory=Venue)
    journal: Journal = field(default_factory=Journal)
    gateway: Gateway = field(default_factory=Gateway)
    replaces: Sequence[ReplaceAck] = ()
    unanswered: Sequence[tuple[str, str]] = ()
    resolved: frozenset[str] = frozenset()
    orders: Mapping[tuple[str, str], Order] = field(default_factory=dict)
