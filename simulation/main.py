"""Runs many seeds, or one again: `make simulate SEEDS=1000`, `make simulate SEED=123`.

Ends with 0 when every seed kept every promise and, from 1,000 seeds on, everything that should be
met was met; else with 1, and names the seeds that did not. Interrupted, it tells what it has seen.
"""

import argparse
import contextlib
import gc
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from libs.arguments import whole_number
from libs.embedded import Postgres, Tuning
from simulation.coverage import Coverage
from simulation.plan import Plan
from simulation.races import RACES
from simulation.run import Tools, Verdict, run
from simulation.tools import tools

_ENOUGH = 1_000  # runs after which nothing may be left unmet
_ENOUGH_RACES = 6_000  # the rarest end is one of a thousand races
RACING_SECONDS = 300.0  # in which faults may happen
_TELL_SECONDS = 10.0
_MOST_FAILED = 10


def main(arguments: list[str]) -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("--seeds", type=whole_number, default=100, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", help="this one alone, with its trace")
    parser.add_argument("--races", type=whole_number, default=0, help="so many races instead")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="simulation-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL may run as another user
        tuning = Tuning(shared_buffers_mb=64, is_durable=False)
        with (
            Postgres(folder / "postgres", tuning=tuning) as postgres,
            tools(postgres, folder / "keys") as shared,
        ):
            gc.freeze()
            if asked.seed is not None:
                return _one(_plan(asked.seed, races=bool(asked.races)), shared)
            runs = -(-asked.races // RACES) or asked.seeds
            seeds = range(asked.first, asked.first + runs)
            plans = (_plan(str(seed), races=bool(asked.races)) for seed in seeds)
            return _many(plans, shared, Total(of_races=bool(asked.races)))


def _plan(seed: str, *, races: bool) -> Plan:
    if not races:
        return Plan(seed)
    return Plan(seed, races=RACES, calm_after_seconds=RACING_SECONDS)


def _one(plan: Plan, shared: Tools) -> int:
    """One run, with all of its trace."""
    seed = plan.seed
    verdict = run(replace(plan, keeps_trace=True), shared)
    for line in verdict.lines:
        _say(line)
    _say(f"seed {seed}: {verdict.violation or 'every promise kept'}; trace {verdict.digest}")
    return int(verdict.violation is not None)


def _many(plans: Iterable[Plan], shared: Tools, total: "Total") -> int:
    """Runs until the plans or somebody's patience end."""
    began = told_at = time.monotonic()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        for plan in plans:
            total.add(run(plan, shared))
            if time.monotonic() - told_at >= _TELL_SECONDS:
                told_at = time.monotonic()
                _say(total.line(told_at - began))
            if len(total.failed) >= _MOST_FAILED:
                break
    _say(total.line(time.monotonic() - began))
    return total.tell()


class Total:
    """What came of all runs."""

    def __init__(self, *, of_races: bool = False) -> None:
        self._of_races = of_races
        self.runs = 0
        self.trades = 0
        self.failed: list[Verdict] = []
        self.injected: Counter[str] = Counter()
        self.heals: Counter[str] = Counter()
        self.coverage = Coverage()

    def add(self, verdict: Verdict) -> None:
        """And one more."""
        self.runs += 1
        self.trades += verdict.trades
        self.injected.update(verdict.injected)
        self.heals.update(verdict.heals)
        self.coverage.add(verdict.coverage)
        if verdict.violation is not None:
            self.failed.append(verdict)
            _say(f"seed {verdict.seed}: {verdict.violation}")

    def line(self, seconds: float) -> str:
        """How far it is."""
        raced = sum(self.coverage.races.values())
        rate = (raced or self.runs) / max(seconds, 0.001)
        faults = sum(self.injected.values())
        races = f"{raced:,} races, " if self._of_races else ""
        return (
            f"{self.runs:,} seeds, {races}{self.trades:,} trades, {faults:,} faults,"
            f" {len(self.failed)} failed; {rate:.1f} {'races' if raced else 'seeds'}/s"
        )

    def tell(self) -> int:
        """The verdict in words; the exit code."""
        _table("races", self.coverage.races)
        _table("faults", self.injected)
        _table("heals", self.heals)
        _table("kill points", self.coverage.kill_points)
        _table("answers", self.coverage.codes)
        missing = self.coverage.missing_races() if self._of_races else self.coverage.missing()
        if missing:
            _say("never met: " + "; ".join(missing))
        again = "RACES=1 SEED" if self._of_races else "SEED"
        for verdict in self.failed:
            _say(f"FAILED: make simulate {again}={verdict.seed}    {verdict.violation}")
        enough = _ENOUGH_RACES if self._of_races else _ENOUGH
        done = sum(self.coverage.races.values()) if self._of_races else self.runs
        is_blind = bool(missing) and done >= enough
        _say("FAILED" if self.failed else "BLIND" if is_blind else "every promise kept")
        return int(bool(self.failed) or is_blind)


def _table(title: str, counts: Counter[str]) -> None:
    _say(f"{title}:")
    for name, count in sorted(counts.items()):
        _say(f"  {count:>9,}  {name}")


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
