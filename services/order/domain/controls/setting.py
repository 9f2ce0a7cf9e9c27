"""What operators have set: effective-dated, never changed, the most specific in force wins."""

from collections.abc import Iterable
from datetime import datetime
from enum import IntEnum

import msgspec


class Control(IntEnum):
    """What is looked at before a trade is let through; numbers of the contract."""

    MAX_QUANTITY = 1
    MAX_NOTIONAL = 2
    PRICE_COLLAR = 3
    DUPLICATE_ORDER = 4
    CUSTOMER_RATE = 5
    SYMBOL_RATE = 6
    RESTRICTED_SYMBOL = 7
    SELF_TRADE = 8


NEED_PRICES = frozenset({Control.MAX_NOTIONAL, Control.PRICE_COLLAR})


class Action(IntEnum):
    """What a setting does: SET a limit, EXEMPT from less specific ones, or WITHDRAW its like."""

    SET = 1
    EXEMPT = 2
    WITHDRAW = 3


class Scope(msgspec.Struct, frozen=True):
    """Whose trades, and in what; empty: everybody's, in everything."""

    customer_id: str = ""
    symbol: str = ""

    @property
    def words(self) -> str:
        """For a person.

        >>> Scope().words, Scope("alice", "KO").words
        ('firm', 'customer alice in KO')
        """
        if not self.customer_id:
            return f"symbol {self.symbol}" if self.symbol else "firm"
        return f"customer {self.customer_id}" + (f" in {self.symbol}" if self.symbol else "")


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a setting says. `limit` and `seconds` mean what the control says they do, 0 for nothing.

    `passes_without_price`: a trade goes through when the last price it needs is not known.
    """

    control: Control
    scope: Scope = Scope()
    action: Action = Action.SET
    limit: int = 0
    seconds: int = 0
    passes_without_price: bool = False


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the history: 1, 2, 3, ... by `version`, in force from `effective_at` on."""

    version: int
    terms: Terms
    effective_at: datetime
    actor: str
    reason_text: str
    recorded_at: datetime


class Book:
    """Every setting up to a version, the history included."""

    def __init__(self, settings: Iterable[Setting] = ()) -> None:
        self.settings = sorted(settings, key=lambda each: each.version)
        self.version = self.settings[-1].version if self.settings else 0
        self._by_key: dict[tuple[Control, str, str], list[Setting]] = {}
        for each in sorted(self.settings, key=lambda each: (each.effective_at, each.version)):
            scope = each.terms.scope
            key = each.terms.control, scope.customer_id, scope.symbol
            self._by_key.setdefault(key, []).append(each)
        kinds = {(control, bool(who), bool(what)) for control, who, what in self._by_key}
        # The most specific first: only what was ever set is looked for.
        self._kinds = sorted(kinds, key=lambda kind: (kind[0], not kind[1], not kind[2]))

    @property
    def needs_prices(self) -> bool:
        """Whether a control was ever set that looks at last prices."""
        return any(each.terms.control in NEED_PRICES for each in self.settings)

    def in_force(self, customer_id: str, symbol: str, at: datetime) -> dict[Control, Setting]:
        """What holds for a customer's trade in a symbol; an EXEMPT setting says: no limit.

        A customer's setting for the symbol wins over one for the customer, that over one for the
        symbol, that over the firm's.
        """
        found: dict[Control, Setting] = {}
        for control, is_customers, is_symbols in self._kinds:
            if control in found:
                continue
            key = control, customer_id if is_customers else "", symbol if is_symbols else ""
            setting = self._latest(key, at) if key in self._by_key else None
            if setting is not None and setting.terms.action is not Action.WITHDRAW:
                found[control] = setting
        return found

    def as_of(self, version: int) -> "Book":
        """As it was when that was the newest version."""
        return Book(each for each in self.settings if each.version <= version)

    def standing(self, at: datetime) -> list[Setting]:
        """What is in force at that time, and what will be later, by control and scope."""
        found = []
        for key in sorted(self._by_key):
            now = self._latest(key, at)
            if now is not None and now.terms.action is not Action.WITHDRAW:
                found.append(now)
            found += [each for each in self._by_key[key] if each.effective_at > at]
        return found

    def _latest(self, key: tuple[Control, str, str], at: datetime) -> Setting | None:
        for each in reversed(self._by_key.get(key, ())):
            if each.effective_at <= at:
                return each
        return None
