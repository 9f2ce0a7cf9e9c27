"""What comes of a delivery: what execution answers, and when a report is delivered again."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from services.exchange_gateway.domain.reports import Breach, Delivery, Parked

_FIRST_PAUSE_SECONDS = 0.2


class Verdict(Enum):
    """Booked; it cannot be true; or it could not be booked now and nothing speaks against it."""

    APPLIED = auto()
    IMPOSSIBLE = auto()
    LATER = auto()


class Answer(msgspec.Struct, frozen=True, gc=False):
    """Execution's word on report `seq`."""

    seq: int
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Postponed:
    """A report that is delivered again. `was_tried`: it does not just wait behind another."""

    seq: int
    trade_id: str
    detail: str = ""
    was_tried: bool = True


@dataclass(frozen=True, slots=True)
class Sorted:
    """What a batch of answers comes to, by the gateway's numbers of the reports."""

    applied: Sequence[int]
    parked: Sequence[Parked]
    postponed: Sequence[Postponed]


def sort_answers(deliveries: Sequence[Delivery], answers: Sequence[Answer]) -> Sorted:
    """Part the answers; after a LATER every later report of the same trade is LATER too.

    A trade's reports are booked in order: one behind a postponed one is delivered again after it,
    whatever was answered. That does no harm, for a report is booked once.
    """
    applied, parked, postponed = [], [], []
    waiting: set[str] = set()
    for delivery, answer in zip(deliveries, answers, strict=True):
        trade_id = delivery.report.trade_id
        if answer.verdict is Verdict.LATER:
            waiting.add(trade_id)
            postponed.append(Postponed(answer.seq, trade_id, answer.detail))
        elif trade_id in waiting:
            postponed.append(Postponed(answer.seq, trade_id, was_tried=False))
        elif answer.verdict is Verdict.IMPOSSIBLE:
            parked.append(Parked(answer.seq, Breach.REFUSED_BY_EXECUTION, answer.detail))
        else:
            applied.append(answer.seq)
    return Sorted(applied, parked, postponed)


def pause_after(attempts: int, *, most: float) -> float:
    """Seconds until a report that failed so often is delivered again.

    >>> [pause_after(attempts, most=30.0) for attempts in (1, 2, 3, 9)]
    [0.2, 0.4, 0.8, 30.0]
    """
    return min(most, _FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 30))
