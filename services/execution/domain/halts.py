"""What operators have halted."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.execution.domain.trade import Trade

_CUSTOMER = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SYMBOL = re.compile(r"[A-Z0-9.-]{1,12}")
MAX_REASON_LENGTH = 500


class ScopeKind(StrEnum):
    """How much a halt covers."""

    FIRM = "firm"
    CUSTOMER = "customer"
    SYMBOL = "symbol"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a halt covers; `name` is the customer or the symbol, empty for the firm."""

    kind: ScopeKind
    name: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether such a customer or symbol can exist."""
        match self.kind:
            case ScopeKind.FIRM:
                return self.name == ""
            case ScopeKind.CUSTOMER:
                return _CUSTOMER.fullmatch(self.name) is not None
            case ScopeKind.SYMBOL:
                return _SYMBOL.fullmatch(self.name) is not None


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt in force."""

    scope: Scope
    reason_text: str
    actor: str
    halted_at: datetime


@dataclass(frozen=True, slots=True)
class HaltEvent:
    """A halt or resume that was asked for: its terms, and whether it changed anything."""

    event_id: int
    is_halt: bool
    terms: Halt
    took_effect: bool


class Halts:
    """The halts in force, oldest first."""

    def __init__(self, halts: Iterable[Halt] = ()) -> None:
        self.in_force = tuple(halts)
        self._is_firm = bool(self._named(ScopeKind.FIRM))
        self._customers = self._named(ScopeKind.CUSTOMER)
        self._symbols = self._named(ScopeKind.SYMBOL)

    def stops_customer(self, customer_id: str) -> bool:
        """Whether nothing of the customer may be taken up."""
        return self._is_firm or customer_id in self._customers

    def stops_symbol(self, symbol: str) -> bool:
        """Whether nothing in the symbol may be sent to the exchange."""
        return symbol in self._symbols

    def stops(self, trade: Trade) -> bool:
        """Whether nothing of the trade may be sent to the exchange but its cancel."""
        return self.stops_customer(trade.customer_id) or self.stops_symbol(trade.symbol)

    def _named(self, kind: ScopeKind) -> frozenset[str]:
        return frozenset(halt.scope.name for halt in self.in_force if halt.scope.kind is kind)
