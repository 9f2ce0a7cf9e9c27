"""What comes of something told or asked of a trade."""

from enum import IntEnum

import msgspec

from services.order.domain.event import Amendment, Cause, Execution, TradeEventKind
from services.order.domain.lifecycle import Event, after
from services.order.domain.trade import Replace, Standing, Trade


class Code(IntEnum):
    """What is done about an outcome; the numbers of the contract."""

    APPLIED = 1
    REPEATED = 2
    IMPOSSIBLE = 3


class Step(msgspec.Struct, frozen=True):
    """One event to record, and the trade's standing after it; the rest: see TradeEvent."""

    event: Event
    standing: Standing
    cause: Cause
    execution: Execution | None = None
    refusal: int = 0
    replace: Replace | None = None
    amendment: Amendment | None = None

    @property
    def kind(self) -> TradeEventKind:
        """What it is recorded as."""
        return self.event.kind


class Verdict(msgspec.Struct, frozen=True):
    """What an outcome means for a trade. Steps only when APPLIED; detail only when IMPOSSIBLE."""

    code: Code
    steps: tuple[Step, ...] = ()
    detail: str = ""


REPEATED = Verdict(Code.REPEATED)


def impossible(detail: str) -> Verdict:
    """A verdict with its reason in words."""
    return Verdict(Code.IMPOSSIBLE, detail=detail)


def applied(trade: Trade, step: Step) -> Verdict:
    """One step; when the trade was in doubt, first that it no longer is."""
    if not trade.standing.in_doubt or step.standing.in_doubt:
        return Verdict(Code.APPLIED, (step,))
    return Verdict(Code.APPLIED, (resolved(trade, step.cause), step))


def resolved(trade: Trade, cause: Cause) -> Step:
    """That a trade is no longer in doubt."""
    standing = after(trade.standing, Event.RESOLVED, in_doubt=False, reason_text="")
    return Step(Event.RESOLVED, standing, cause)
