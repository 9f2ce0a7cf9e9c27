"""What goes wrong in a run: by chance at the rates of its seed, or just as a test scripts it."""

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# Chances per opportunity when a seed has this fault at its fullest.
FULL: Mapping[str, float] = {
    "kill": 0.004,
    "stop": 0.001,
    "request_lost": 0.08,
    "reply_lost": 0.08,
    "request_doubled": 0.08,
    "call_slow": 0.05,
    "commit_refused": 0.03,
    "commit_unheard": 0.03,
    "stream_cut": 0.03,
    "stream_slow": 0.05,
    "nudge_lost": 0.3,
    "nudge_unheard": 0.1,
    "nudge_doubled": 0.2,
    "nudge_slow": 0.2,
    "acknowledgement_lost": 0.2,
    "beat_lost": 0.1,
    "database_away": 0.0005,
    "bus_away": 0.002,
    "bus_wiped": 0.001,
    "terminate": 0.0005,
}
MOST = {"kill": 8, "stop": 3, "database_away": 2, "bus_away": 2, "bus_wiped": 1, "terminate": 2}


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault at the `nth` time (from 1) that `point` of a process of this kind is passed."""

    fault: str
    kind: str
    point: str
    nth: int = 1


@dataclass(slots=True)
class Faults:
    """Decides at every opportunity; counts what it did."""

    rng: random.Random
    rates: Mapping[str, float]
    script: Sequence[Strike] = ()
    is_active: bool = False
    injected: Counter[str] = field(default_factory=Counter)
    struck: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    passed: Counter[tuple[str, str]] = field(default_factory=Counter)
    pending: list[Strike] = field(init=False)

    def __post_init__(self) -> None:
        self.pending = list(self.script)

    def strikes(self, fault: str, kind: str = "", point: str = "") -> bool:
        """Whether this fault happens here and now."""
        if not self.is_active:
            return False
        if not self._is_scripted(fault, kind, point) and not self._by_chance(fault):
            return False
        self.injected[fault] += 1
        self.struck[fault, kind, point] += 1
        return True

    def passes(self, kind: str, point: str) -> None:
        """A process of that kind comes to that point."""
        if self.is_active:
            self.passed[kind, point] += 1

    def _is_scripted(self, fault: str, kind: str, point: str) -> bool:
        for strike in self.pending:
            is_there = (strike.fault, strike.kind, strike.point) == (fault, kind, point)
            if is_there and self.passed[kind, point] >= strike.nth:
                self.pending.remove(strike)
                return True
        return False

    def _by_chance(self, fault: str) -> bool:
        rate = self.rates.get(fault, 0.0)
        if not rate or self.injected[fault] >= MOST.get(fault, 1_000_000):
            return False
        return self.rng.random() < rate


def seeded_rates(rng: random.Random) -> dict[str, float]:
    """A seed has some kinds of faults and not others, so that each meets the house alone too."""
    return {
        fault: full * rng.choice((0.2, 0.5, 1.0))
        for fault, full in FULL.items()
        if rng.random() < 0.6
    }
