"""Stops that the house holds for an exchange that takes none, while everything goes wrong."""

from collections import Counter

import pytest

from simulation.plan import Plan
from simulation.run import Tools, run
from tests.simulation.planted import Mistake, find
from tests.simulation.stop_mistakes import MISTAKES

pytestmark = pytest.mark.timeout(300)
_SEEDS, _MOST_SEEDS = 8, 60
_FIRST_SEED = 60  # from here on the rarest mistake strikes soon


@pytest.mark.parametrize("is_held", [True, False])
def test_stops_keep_every_promise_whoever_holds_them(simulated: Tools, is_held: bool) -> None:
    met: Counter[str] = Counter()
    for seed in range(1, _MOST_SEEDS):
        verdict = run(Plan(f"stop-{seed}", holds_stops=is_held), simulated)
        assert verdict.violation is None
        met += verdict.coverage.codes
        if seed >= _SEEDS and (met["held stop triggered"] or not is_held):
            break
    assert bool(met["held stop triggered"]) is is_held


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_found(simulated: Tools, mistake: Mistake) -> None:
    def plan(seed: int) -> Plan:
        return Plan(f"stop-{_FIRST_SEED + seed}", holds_stops=True)

    find(simulated, mistake, by=MISTAKES[mistake], plan=plan, most_seeds=_MOST_SEEDS)
