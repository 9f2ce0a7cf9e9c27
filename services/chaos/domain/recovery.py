"""How long it took until trades filled again, as customers saw it.

Times are seconds of one clock.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.chaos.domain.nemesis import Fault


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault as it was done. `concerned`: the customers it could touch; None: all."""

    fault: Fault
    began_at: float
    ended_at: float
    back_at: float | None = None  # a kill: when the process answered again
    concerned: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """A trade that filled: when its customer first asked for it, and heard that it is FILLED."""

    customer: str
    asked_at: float
    filled_at: float


@dataclass(frozen=True, slots=True)
class Recovery:
    """After one fault, in seconds, counted from its start if it is a kill, else from its end.

    `first`: until a trade placed after the start, of a customer concerned, was FILLED; 0.0: before
    the fault ended. `worst`: the same of the customer who waited longest. `back`: until the killed
    process answered. None: not seen.
    """

    struck: Struck
    first: float | None
    worst: float | None
    back: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """All recoveries from one kind of fault of one target."""

    target: str
    kind: str
    count: int
    median: float | None
    longest: float | None
    worst: float | None
    back: float | None  # median
    unseen: int


def recovery(struck: Struck, timings: Iterable[Timing]) -> Recovery:
    """How the trades placed after the start of a fault fared."""
    firsts: dict[str, float] = {}
    for timing in timings:
        is_concerned = struck.concerned is None or timing.customer in struck.concerned
        if is_concerned and timing.asked_at >= struck.began_at:
            earlier = firsts.get(timing.customer, timing.filled_at)
            firsts[timing.customer] = min(earlier, timing.filled_at)
    waits = [max(0.0, filled_at - struck.ended_at) for filled_at in firsts.values()]
    back = None if struck.back_at is None else struck.back_at - struck.began_at
    return Recovery(struck, min(waits, default=None), max(waits, default=None), back)


def summaries(recoveries: Sequence[Recovery]) -> list[Summary]:
    """A line per target and kind, in the order of their names."""
    groups: dict[tuple[str, str], list[Recovery]] = defaultdict(list)
    for one in recoveries:
        groups[one.struck.fault.target, one.struck.fault.kind.value].append(one)
    return [_summary(target, kind, groups[target, kind]) for target, kind in sorted(groups)]


def _summary(target: str, kind: str, group: Sequence[Recovery]) -> Summary:
    firsts = [one.first for one in group if one.first is not None]
    worsts = [one.worst for one in group if one.worst is not None]
    backs = [one.back for one in group if one.back is not None]
    return Summary(
        target=target,
        kind=kind,
        count=len(group),
        median=statistics.median(firsts) if firsts else None,
        longest=max(firsts, default=None),
        worst=max(worsts, default=None),
        back=statistics.median(backs) if backs else None,
        unseen=len(group) - len(firsts),
    )
