"""Requests that race each other and the market: one true outcome each, and races that see."""

from dataclasses import replace
from typing import Any

import pytest

from simulation.main import RACING_SECONDS
from simulation.plan import Plan
from simulation.races import RACES
from simulation.run import Tools, Verdict, run
from tests.simulation.planted import Mistake, find
from tests.simulation.race_mistakes import MISTAKES

pytestmark = pytest.mark.timeout(300)
_MOST_SEEDS = 30
_FEW = 12
_PLAN = Plan("", races=RACES, calm_after_seconds=RACING_SECONDS)


def raced(simulated: Tools, seed: str, **more: Any) -> Verdict:
    """A run of many races, with faults while they last."""
    return run(replace(_PLAN, seed=seed, **more), simulated)


@pytest.mark.parametrize("seed", range(1, 4))
def test_every_race_ends_in_one_way_and_the_events_tell_which(simulated: Tools, seed: int) -> None:
    verdict = raced(simulated, str(seed))
    assert verdict.violation is None, f"make simulate RACES=1 SEED={seed}"
    assert verdict.coverage.races.total() == RACES


def test_with_no_fault_a_race_is_between_the_customer_and_the_market(simulated: Tools) -> None:
    verdict = raced(simulated, "c2", rates={})
    assert verdict.violation is None
    ends = [end.partition(": ")[2] for end in verdict.coverage.races]
    for how in ("canceled at the exchange", "filled", "canceled while it waited", "replaced"):
        assert any(how in end for end in ends), how


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_found(simulated: Tools, mistake: Mistake) -> None:
    found = MISTAKES[mistake]

    def plan(seed: int) -> Plan:
        return replace(_PLAN, seed=f"planted-{seed}", races=_FEW, kinds=found.among)

    find(simulated, mistake, by=found.by, plan=plan, most_seeds=_MOST_SEEDS)
