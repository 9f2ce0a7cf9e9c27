"""The simulation finds what it is for: each mistake, planted alone, within a few seeds.

Some strike only amid a certain fault, which chance alone meets in one seed of fifteen: there it is
certain.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import pytest

from simulation.faults import Strike
from simulation.plan import Plan
from simulation.run import Tools, run
from tests.simulation.mistakes import (
    MISTAKES,
    no_fence,
    no_fence_of_requests,
    timeout_taken_for_rejection,
)

_MOST_SEEDS = 60
_ANSWER_LOST = ("reply_lost", "gateway", "rpc.reply:SubmitOrders")
_STANDS_STILL = ("stop", "execution", "rpc.send:ClaimTrades")
_STRIKES: Mapping[Callable[[], AbstractContextManager[None]], Sequence[Strike]] = {
    timeout_taken_for_rejection: [Strike(*_ANSWER_LOST, nth) for nth in (1, 3, 5)],
    no_fence: [Strike(*_STANDS_STILL, nth) for nth in (2, 6)],
    no_fence_of_requests: [Strike(*_STANDS_STILL, nth) for nth in (2, 6)],
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_found(
    simulated: Tools, mistake: Callable[[], AbstractContextManager[None]]
) -> None:
    with mistake():
        for seed in range(1, _MOST_SEEDS + 1):
            plan = Plan(f"planted-{seed}", script=_STRIKES.get(mistake, ()))
            verdict = run(plan, simulated)
            if verdict.violation is not None:
                assert str(verdict.violation).startswith(MISTAKES[mistake])
                return
    pytest.fail(f"{mistake.__name__} was not found within {_MOST_SEEDS} seeds")
