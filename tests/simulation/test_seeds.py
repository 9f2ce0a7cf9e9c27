"""Runs by seed: faults of all kinds, every promise checked at each step."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulation.faults import Strike
from simulation.main import RACING_SECONDS
from simulation.plan import Plan
from simulation.races import RACES
from simulation.run import Tools, run
from simulation.scenario import many_trades, steady_customers
from tests.simulation.mistakes import no_idempotency

_ROOT = Path(__file__).parents[2]
_AT_ONCE = 10
_MOST_SEEDS = 20  # until what is looked for is met


@pytest.mark.parametrize("first", range(1, 61, _AT_ONCE))
def test_every_promise_is_kept_whatever_goes_wrong(simulated: Tools, first: int) -> None:
    for seed in range(first, first + _AT_ONCE):
        verdict = run(Plan(str(seed)), simulated)
        assert verdict.violation is None, f"make simulate SEED={seed}"


@pytest.mark.parametrize("options", [("--seeds", "0"), ("--seeds", "-3"), ("--races", "x")])
def test_of_no_runs_nothing_is_claimed(options: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "simulation.main", *options]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"argument {options[0]}: a whole number from 1 on" in done.stderr


@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_with_no_fault_nothing_is_healed(simulated: Tools, seed: str) -> None:
    verdict = run(Plan(seed, rates={}), simulated)
    assert verdict.violation is None
    assert not verdict.injected
    assert verdict.heals["resent"] == verdict.heals["doubted"] == verdict.heals["reaped"] == 0
    assert verdict.heals["logons"] == 1


@pytest.mark.parametrize("lost", [0.01, 1.0])
def test_lost_nudges_are_noticed_by_counters_alone(simulated: Tools, lost: float) -> None:
    plan = Plan(
        "nudges",
        rates={"nudge_lost": lost},
        customers=many_trades(),
        counts={"order": 1, "ledger": 1, "execution": 2, "gateway": 1, "exchange": 1},
        calm_after_seconds=120.0,
    )
    verdict = run(plan, simulated)
    assert verdict.violation is None
    assert verdict.injected["nudge_lost"] >= 1
    # A customer's next nudge, or the end of the trade before, makes up for some.
    assert lost < 1.0 or verdict.heals["swept"] >= 1
    assert verdict.heals["doubted"] == verdict.heals["resent"] == 0


def test_what_brief_answers_leave_out_is_counted(simulated: Tools) -> None:
    lost = Strike("reply_lost", "gateway", "rpc.reply:SubmitOrders")
    for seed in range(_MOST_SEEDS):
        plan = Plan(f"brief {seed}", rates={}, script=[lost], customers=steady_customers())
        codes = run(plan, simulated).coverage.codes
        assert codes["SubmitOrders ORDER_STATE_PENDING"] >= 1
        assert codes["ApplyReports CODE_APPLIED"] > 1
        if codes["SubmitOrders ORDER_STATE_DONE"]:  # it may still be open when it comes again
            break
    assert codes["SubmitOrders ORDER_STATE_DONE"] == 1, "it was submitted again"


def test_a_seed_gives_the_same_trace_again(simulated: Tools) -> None:
    first, again = (run(Plan("7", keeps_trace=True), simulated) for _ in range(2))
    assert first.lines == again.lines
    assert first.digest == again.digest
    assert run(Plan("8"), simulated).digest != first.digest


def test_a_seed_gives_the_same_trace_whatever_ran_before_and_however_words_are_hashed(
    simulated: Tools,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "simulation.main", "--races", "1", "--seed", "1"],
        cwd=_ROOT,
        env=os.environ | {"PYTHONHASHSEED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as alone:
        with no_idempotency():
            run(Plan("1"), simulated)
        here = run(Plan("1", races=RACES, calm_after_seconds=RACING_SECONDS), simulated)
        there = alone.communicate()[0].splitlines()
    assert here.violation is None
    assert here.digest in there[-1]
