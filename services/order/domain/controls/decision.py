"""The decision about a trade: the same function for a placement, a preview and an explanation."""

import msgspec
from msgspec.structs import replace

from libs.reasons import Reason
from services.order.domain.controls.checks import Check, Outcome, look
from services.order.domain.controls.facts import NO_FACTS, Case, Facts, Kept, case_of, unpack
from services.order.domain.controls.setting import Book, Control
from services.order.domain.trade import Trade

# In this order they are looked at and told; the first that fails is the reason.
ORDER = (
    Control.CUSTOMER_RATE,
    Control.SYMBOL_RATE,
    Control.RESTRICTED_SYMBOL,
    Control.MAX_QUANTITY,
    Control.MAX_NOTIONAL,
    Control.PRICE_COLLAR,
    Control.DUPLICATE_ORDER,
    Control.SELF_TRADE,
)
# Reasons of trades that were rejected as they were placed.
AT_PLACEMENT = frozenset(
    {
        Reason.REASON_ORDER_QUANTITY_LIMIT,
        Reason.REASON_ORDER_NOTIONAL_LIMIT,
        Reason.REASON_PRICE_COLLAR,
        Reason.REASON_DUPLICATE_ORDER,
        Reason.REASON_SYMBOL_RESTRICTED,
        Reason.REASON_SELF_TRADE,
        Reason.REASON_LAST_PRICE_UNKNOWN,
    }
)


class Decision(msgspec.Struct, frozen=True):
    """What every control says, in ORDER, under which version of the settings."""

    version: int
    checks: tuple[Check, ...]

    @property
    def failed(self) -> Check | None:
        """The first that failed."""
        return next((each for each in self.checks if each.outcome is Outcome.FAILED), None)

    @property
    def kept(self) -> Kept:
        """The decision as it is kept: only facts that a check has looked at."""
        failed, seen = 0, NO_FACTS
        for check in self.checks:
            if check.outcome is Outcome.FAILED:
                failed |= 1 << check.control
            if check.facts is not NO_FACTS:
                seen = _both(seen, check.facts)
        return Kept(self.version, failed, seen)


def _both(one: Facts, other: Facts) -> Facts:
    """What either says: two checks that say the same thing agree about it."""
    return Facts(
        last_price_micros=one.last_price_micros or other.last_price_micros,
        price_age_ms=one.price_age_ms or other.price_age_ms,
        duplicate_of=one.duplicate_of or other.duplicate_of,
        crosses=one.crosses or other.crosses,
        customer_rate_left=max(one.customer_rate_left, other.customer_rate_left),
        symbol_rate_left=max(one.symbol_rate_left, other.symbol_rate_left),
    )


def decide(case: Case) -> Decision:
    """What every control says of the case."""
    return Decision(case.version, tuple(look(control, case) for control in ORDER))


def explain(case: Case, kept: Kept) -> Decision:
    """The decision that was kept. What failed then has failed, whatever the rules are now."""
    now = decide(case)
    checks = [
        each if (each.outcome is Outcome.FAILED) == bool(kept.failed >> each.control & 1)
        else replace(each, outcome=_other(each))
        for each in now.checks
    ]  # fmt: skip
    return Decision(now.version, tuple(checks))


def explanation(trade: Trade, book: Book, packed: bytes) -> Decision:
    """What a trade was decided by, out of what was kept with it and every setting there is."""
    kept = unpack(packed)
    terms = trade.terms.revised(trade.as_placed.revision) if trade.as_placed else trade.terms
    case = case_of(trade.customer_id, terms, book.as_of(kept.version), trade.created_at, kept.facts)
    return explain(case, kept)


def _other(check: Check) -> Outcome:
    return Outcome.PASSED if check.outcome is Outcome.FAILED else Outcome.FAILED
