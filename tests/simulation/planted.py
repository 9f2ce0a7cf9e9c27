"""Looking for a mistake that was planted."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from simulation.plan import Plan
from simulation.run import Tools, run

Mistake = Callable[[], AbstractContextManager[None]]


def find(
    simulated: Tools,
    mistake: Mistake,
    *,
    by: tuple[str, ...],
    plan: Callable[[int], Plan],
    most_seeds: int,
) -> None:
    """Run seeds with the mistake until one breaks one of these promises; fail if none does."""
    with mistake():
        for seed in range(1, most_seeds + 1):
            verdict = run(plan(seed), simulated)
            if str(verdict.violation).startswith(by):
                return
    pytest.fail(f"{mistake.__name__} was not found within {most_seeds} seeds")
