"""What becomes of orders by script, whatever the market and the hour: the table. Pure.

The first script that fits an order counts. Which steps an order goes through is in `plans`.
"""

import re
from collections.abc import Iterable, Sequence
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import lru_cache

import msgspec

from services.exchange_simulator.domain import Instrument, NewOrder, RejectReason

MOST_SCRIPTS = 200
_MOST_PARTS = 1_000
_MOST_MS = 600_000
_MOST_WORDS = 200
_MOST_SYMBOLS = 4096  # that are remembered
_SYMBOL = re.compile(r"[A-Z0-9.*?-]{0,12}")
_QUANTITY = re.compile(r"[0-9*?]{0,8}")
_REFUSALS = (
    RejectReason.NONE,
    RejectReason.UNKNOWN_SYMBOL,
    RejectReason.MARKET_CLOSED,
    RejectReason.HALTED,
    RejectReason.NO_LIQUIDITY,
    RejectReason.MAX_NOTIONAL,
    RejectReason.OTHER,
)


class Outcome(IntEnum):
    """What becomes of an order. Values as in the contract."""

    FILL = 1
    HALF_THEN_CANCEL = 2
    PARTIAL_FILLS = 3
    REJECT = 4
    REST = 5
    EXPIRE = 6
    NO_ANSWER = 7


class Script(msgspec.Struct, frozen=True):
    """What becomes of the orders that two patterns fit. Fields as in the contract."""

    symbol: str
    quantity: str
    outcome: Outcome
    parts: int = 0
    reject_reason: RejectReason = RejectReason.NONE
    reason_text: str = ""
    delay_ms: int = 0
    step_ms: int = 0

    def fits(self, order: NewOrder) -> bool:
        """Whether it is about this order, whose symbol fits."""
        return _is_like(str(order.quantity), self.quantity)


class Scripts:
    """The table in force: an operator's, or else the one the exchange comes with."""

    def __init__(self, usual: Iterable[Script] = ()) -> None:
        self._usual = tuple(usual)
        self._set: tuple[Script, ...] | None = None
        self._by_symbol = lru_cache(_MOST_SYMBOLS)(self._of_symbol)

    @property
    def is_default(self) -> bool:
        """Whether no operator has set one."""
        return self._set is None

    @property
    def table(self) -> Sequence[Script]:
        """In order."""
        return self._usual if self._set is None else self._set

    def set(self, scripts: Sequence[Script] | None) -> None:
        """These from now on; None: those the exchange comes with."""
        self._set = None if scripts is None else tuple(scripts)
        self._by_symbol.cache_clear()

    def find(self, order: NewOrder) -> Script | None:
        """The script an order goes by; None: the market decides."""
        for script in self._by_symbol(order.symbol):
            if script.fits(order):
                return script
        return None

    def _of_symbol(self, symbol: str) -> Sequence[Script]:
        """Those of the table that are about this symbol, in order."""
        return [script for script in self.table if _is_like(symbol, script.symbol)]


def flaw_of_script(script: Script) -> tuple[str, str] | None:
    """The field that makes no sense, and what is wrong with it; None: nothing."""
    if not _SYMBOL.fullmatch(script.symbol):
        return "symbol", "symbol is no pattern of up to 12 of A-Z, 0-9, . - * and ?"
    if not _QUANTITY.fullmatch(script.quantity):
        return "quantity", "quantity is no pattern of up to 8 digits, * and ?"
    has_parts = script.outcome == Outcome.PARTIAL_FILLS
    if not (1 if has_parts else 0) <= script.parts <= (_MOST_PARTS if has_parts else 0):
        return "parts", f"parts is 1 to {_MOST_PARTS} for PARTIAL_FILLS, and 0 else"
    for name in ("delay_ms", "step_ms"):
        if not 0 <= getattr(script, name) <= _MOST_MS:
            return name, f"{name} is not within 0 and {_MOST_MS}"
    return _flaw_of_refusal(script)


def _flaw_of_refusal(script: Script) -> tuple[str, str] | None:
    if script.outcome != Outcome.REJECT and (script.reject_reason or script.reason_text):
        return "reject_reason", "reject_reason and reason_text are for REJECT only"
    if script.reject_reason not in _REFUSALS:
        return "reject_reason", f"no order is refused for {script.reject_reason.name}"
    if len(script.reason_text) > _MOST_WORDS:
        return "reason_text", f"reason_text is longer than {_MOST_WORDS}"
    return None


def _is_like(text: str, pattern: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(text, pattern)
    return not pattern or text == pattern


def _listed(symbol: str, name: str) -> Instrument:
    return Instrument(symbol, name, 10_00, 2, 1_000, is_calm=True)


_USUAL = (
    (Script("TEST.FILL", "", Outcome.FILL), "filled whole"),
    (Script("TEST.HALF", "", Outcome.HALF_THEN_CANCEL), "half filled, the rest canceled"),
    (Script("TEST.PARTS", "", Outcome.PARTIAL_FILLS, parts=18), "filled by 18 fills"),
    (
        Script("TEST.STEPS", "", Outcome.PARTIAL_FILLS, parts=5, step_ms=1_000),
        "filled by 5 fills, one a second",
    ),
    (Script("TEST.SLOW", "", Outcome.FILL, delay_ms=3_000), "answered after 3 seconds"),
    (Script("TEST.REST", "", Outcome.REST), "taken, never filled"),
    (Script("TEST.EXPIRE", "", Outcome.EXPIRE), "taken, then expired"),
    (
        Script("TEST.REJECT", "", Outcome.REJECT, reason_text="refused, as TEST.REJECT always is"),
        "refused with words",
    ),
    (
        Script("TEST.HALTED", "", Outcome.REJECT, reject_reason=RejectReason.HALTED),
        "refused as halted",
    ),
    (Script("TEST.SILENT", "", Outcome.NO_ANSWER), "never answered"),
)
USUAL_SCRIPTS = tuple(script for script, _ in _USUAL)
TEST_INSTRUMENTS = tuple(_listed(script.symbol, f"For tests: {name}") for script, name in _USUAL)
