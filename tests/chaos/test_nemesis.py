"""What goes wrong follows from the seed, and nothing is left out."""

from itertools import pairwise

import pytest

from services.chaos import layout
from services.chaos.domain.nemesis import ALL, FAMILIES, PARTITIONS, Fault, Field, Kind, schedule

PROCESSES = ("postgres", "nats", *layout.calls(2))
FIELD = Field(PROCESSES, layout.calls(2))


def _schedule(seed: int, minutes: float, *families: str) -> tuple[Fault, ...]:
    return schedule(
        seed=seed, seconds=minutes * 60, field=FIELD, families=families or tuple(FAMILIES)
    )


def test_the_same_seed_gives_the_same_faults_and_another_seed_others() -> None:
    assert _schedule(7, 5) == _schedule(7, 5)
    assert _schedule(7, 5) != _schedule(8, 5)


@pytest.mark.parametrize("seed", range(20))
def test_faults_come_one_after_the_other_with_a_rest_between(seed: int) -> None:
    faults = [fault for fault in _schedule(seed, 3) if fault.kind is not Kind.MISBEHAVE]
    assert len(faults) > 10
    for one, other in pairwise(faults):
        assert other.at >= one.at + one.seconds + 1.4
        assert other.target != one.target
    assert faults[-1].at + faults[-1].seconds <= 180


@pytest.mark.parametrize("seed", range(5))
def test_in_a_long_drill_everything_is_killed_stopped_cut_off_and_flooded(seed: int) -> None:
    faults = _schedule(seed, 30)
    for kinds in ((Kind.KILL,), (Kind.STOP,), PARTITIONS, (Kind.FLOOD,)):
        hit = {fault.target for fault in faults if fault.kind in kinds}
        assert set(PROCESSES) <= hit
    assert any(fault.kind is Kind.FULL and fault.target == "postgres" for fault in faults)
    assert ALL in {fault.target for fault in faults if fault.kind is Kind.KILL}
    assert any(">" in fault.target for fault in faults)
    assert {fault.kind for fault in faults} == set(Kind)
    longest = max(fault.seconds for fault in faults if fault.kind is Kind.STOP)
    assert 12 < longest <= 30


def test_several_faults_at_once_are_several_lanes_of_their_own() -> None:
    faults = schedule(seed=1, seconds=180, field=FIELD, families=("kill", "stop"), at_once=3)
    lanes = [[f for f in faults if f.lane == lane] for lane in range(3)]
    assert all(len(lane) > 10 for lane in lanes)
    assert len({tuple(f.target for f in lane) for lane in lanes}) == 3
    assert any(
        one.at < other.at < one.at + one.seconds for one in lanes[0] for other in lanes[1]
    ), "they overlap"


def test_only_what_was_asked_for_goes_wrong() -> None:
    assert {fault.kind for fault in _schedule(1, 5, "kill", "stop")} == {Kind.KILL, Kind.STOP}
    assert {fault.kind for fault in _schedule(1, 5, "exchange")} == {Kind.MISBEHAVE}
    assert _schedule(1, 5, "kill")[0].seconds == 0.0


def test_the_exchange_misbehaves_all_the_time_beside_the_rest() -> None:
    faults = [fault for fault in _schedule(3, 2) if fault.kind is Kind.MISBEHAVE]
    assert faults[0].at == 0
    for one, other in pairwise(faults):
        assert other.at == pytest.approx(one.at + one.seconds, abs=0.2)
    assert any(fault.misbehaviour and fault.misbehaviour.duplicate_permille for fault in faults)
