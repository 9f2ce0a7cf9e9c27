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
    the fault ended. `last`: until all trades placed up to then, that filled at all, were FILLED.
    `back`: until the killed process answered. None: not seen.
    """

    struck: Struck
    first: float | None
    last: float | None
    back: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """All recoveries from one kind of fault of one target."""

    target: str
    kind: str
    count: int
    median: float | None
    longest: float | None
    last: float | None  # the longest of all
    back: float | None  # median
    unseen: int


def recovery(struck: Struck, timings: Iterable[Timing]) -> Recovery:
    """How the trades placed after the start of a fault fared."""
    after = [
        timing
        for timing in timings
        if timing.asked_at >= struck.began_at
        and (struck.concerned is None or timing.customer in struck.concerned)
    ]
    back = None if struck.back_at is None else struck.back_at - struck.began_at
    if not after:
        return Recovery(struck, None, None, back)
    first_at = max(struck.ended_at, min(timing.filled_at for timing in after))
    waits = [timing.filled_at - struck.ended_at for timing in after if timing.asked_at <= first_at]
    return Recovery(struck, first_at - struck.ended_at, max(0.0, *waits), back)


def summaries(recoveries: Sequence[Recovery]) -> list[Summary]:
    """A line per target and kind, in the order of their names."""
    groups: dict[tuple[str, str], list[Recovery]] = defaultdict(list)
    for one in recoveries:
        groups[one.struck.fault.target, one.struck.fault.kind.value].append(one)
    return [_summary(target, kind, groups[target, kind]) for target, kind in sorted(groups)]


def _summary(target: str, kind: str, group: Sequence[Recovery]) -> Summary:
    firsts = [one.first for one in group if one.first is not None]
    lasts = [one.last for one in group if one.last is not None]
    backs = [one.back for one in group if one.back is not None]
    return Summary(
        target=target,
        kind=kind,
        count=len(group),
        median=statistics.median(firsts) if firsts else None,
        longest=max(firsts, default=None),
        last=max(lasts, default=None),
        back=statistics.median(backs) if backs else None,
        unseen=len(group) - len(firsts),
    )
