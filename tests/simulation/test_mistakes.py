"""The simulation finds what it is for: each mistake, planted alone, within a few seeds."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from simulation.plan import Plan
from simulation.run import Tools, run
from tests.simulation.mistakes import MISTAKES

_MOST_SEEDS = 60


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_found(
    simulated: Tools, mistake: Callable[[], AbstractContextManager[None]]
) -> None:
    with mistake():
        for seed in range(1, _MOST_SEEDS + 1):
            verdict = run(Plan(f"planted-{seed}"), simulated)
            if verdict.violation is not None:
                assert str(verdict.violation).startswith(MISTAKES[mistake])
                return
    pytest.fail(f"{mistake.__name__} was not found within {_MOST_SEEDS} seeds")
