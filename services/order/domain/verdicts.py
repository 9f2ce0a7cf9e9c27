"""What comes of something told or asked of a trade: values, no rules."""

from enum import IntEnum

import msgspec

from services.order.domain.trade import Cause, Execution, Standing, TradeEventKind


class Code(IntEnum):
    """What is done about an outcome; the numbers of the contract."""

    APPLIED = 1
    REPEATED = 2
    IMPOSSIBLE = 3


class Step(msgspec.Struct, frozen=True):
    """One event to record, and the trade's standing after it; `refusal`: see TradeEvent."""

    kind: TradeEventKind
    standing: Standing
    cause: Cause
    execution: Execution | None = None
    refusal: int = 0


class Verdict(msgspec.Struct, frozen=True):
    """What an outcome means for a trade. Steps only when APPLIED; detail only when IMPOSSIBLE."""

    code: Code
    steps: tuple[Step, ...] = ()
    detail: str = ""


REPEATED = Verdict(Code.REPEATED)


def impossible(detail: str) -> Verdict:
    """A verdict with its reason in words."""
    return Verdict(Code.IMPOSSIBLE, detail=detail)
