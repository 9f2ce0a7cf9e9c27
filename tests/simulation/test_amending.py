"""Fills that the exchange takes back or corrects while everything goes wrong."""

from collections import Counter

import pytest

from simulation.faults import Strike
from simulation.plan import Plan
from simulation.run import Tools, run
from simulation.scenario import who_sell_it_all
from tests.simulation.amend_mistakes import MISTAKES, under_a_new_id
from tests.simulation.planted import Mistake, find

pytestmark = pytest.mark.timeout(300)
_MOST_SEEDS = 40
# Only what is asked again can be taken for something new.
_ANSWER_LOST = ("reply_lost", "ledger", "rpc.reply:CorrectExecutions")
_STRIKES: dict[Mistake, list[Strike]] = {
    under_a_new_id: [Strike(*_ANSWER_LOST, nth) for nth in (1, 2)]
}


def test_what_the_exchange_takes_back_is_booked_once_whatever_goes_wrong(simulated: Tools) -> None:
    met: Counter[str] = Counter()
    for seed in range(1, 6):
        verdict = run(Plan(f"amended-{seed}", amends=True), simulated)
        assert verdict.violation is None
        met += verdict.coverage.codes
    assert met["fill busted"]
    assert met["fill corrected"]
    assert met["correction corrected"]
    assert met["correction busted"]


def test_what_cannot_be_taken_back_yet_waits_and_is_booked_then(simulated: Tools) -> None:
    for seed in range(1, _MOST_SEEDS + 1):
        plan = Plan(f"sold-{seed}", amends=True, customers=who_sell_it_all(), rates={})
        verdict = run(plan, simulated)
        assert verdict.violation is None
        if verdict.coverage.codes["CorrectExecutions INSUFFICIENT_SHARES"]:
            assert verdict.coverage.codes["amendment parked, then booked"]
            return
    pytest.fail(f"within {_MOST_SEEDS} seeds the books could take everything back at once")


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_planted_mistake_is_found(simulated: Tools, mistake: Mistake) -> None:
    def plan(seed: int) -> Plan:
        return Plan(f"planted-{seed}", amends=True, script=_STRIKES.get(mistake, ()))

    find(simulated, mistake, by=MISTAKES[mistake], plan=plan, most_seeds=_MOST_SEEDS)
