"""What a drill saw from outside: of the customers' door, of the exchange, of the books.

Words are those of the contracts without their prefixes: FILLED, STARTED, INSUFFICIENT_FUNDS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Events about a customer's wish to cancel, not about the order: they may come any time.
ABOUT_CANCELS = frozenset({"CANCEL_REQUESTED", "CANCEL_REJECTED"})
# What the exchange takes back of fills: when the trade is over, whatever else is going on.
AMENDING = frozenset({"EXECUTION_BUSTED", "EXECUTION_CORRECTED"})
TERMINAL = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED"})
CASH = "USD"
# Symbols whose orders end by a script of the exchange: status and reason.
SCRIPTED = {
    "TEST.FILL": ("FILLED", ""),
    "TEST.PARTS": ("FILLED", ""),
    "TEST.HALF": ("CANCELED", "NO_LIQUIDITY"),
    "TEST.EXPIRE": ("EXPIRED", "EXPIRED"),
    "TEST.REJECT": ("REJECTED", "EXCHANGE_REJECTED"),
    "TEST.HALTED": ("REJECTED", "SYMBOL_HALTED"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a customer asks for; `side` is BUY or SELL."""

    client_order_id: str
    side: str
    symbol: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Ack:
    """An answer to PlaceTrade; the same order may be answered many times."""

    customer: str
    client_order_id: str
    trade_id: str


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
    filled_quantity: int = 0
    fill: Fill | None = None
    amendment: Amendment | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the trade is over."""
        return self.status in TERMINAL


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
    """The exchange's own record: its fills, the trades it is done with, what it took back."""

    fills: Sequence[Fill] = ()
    ended: frozenset[str] = frozenset()
    amendments: Sequence[Amendment] = ()


@dataclass(frozen=True, slots=True)
class Journal:
    """The ledger's own record, in its order; `broken`: what the house finds wrong."""

    transfers: Sequence[Transfer] = ()
    entries: Sequence[Entry] = ()
    broken: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """All of it. `endowments`: customer -> asset -> what they were given at the start."""

    endowments: Mapping[str, Mapping[str, int]]
    acks: Sequence[Ack]
    events: Mapping[str, Sequence[Event]]
    venue: Venue = field(default_factory=Venue)
    journal: Journal = field(default_factory=Journal)
