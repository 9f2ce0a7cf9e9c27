"""How figures are made: the median of rounds, waits, targets, and whether a run was quiet."""

import os

import pytest

from bench.callers import Run, merged
from bench.cpu import Others, family
from bench.report import Row, how_quiet, median, waits
from bench.rows import Written


def test_half_of_the_waits_and_99_in_100_with_a_target() -> None:
    half, most = waits("answered", [n / 1_000 for n in range(1, 1_001)], most_p99=100)
    assert (half.name, round(half.value)) == ("answered, p50", 500)
    assert (most.name, round(most.value)) == ("answered, p99", 991)
    assert (half.meets, most.meets) == (None, False)


def test_a_single_wait_is_its_own_median() -> None:
    assert [row.value for row in waits("alone", [0.25])] == [250.0, 250.0]


def test_a_row_is_the_median_of_its_rounds_and_its_ratio_that_of_theirs() -> None:
    rounds = [[Row(name="a", value=v, unit="1/s", ratio=r)] for v, r in ((1, 9), (5, 7), (3, 8))]
    (row,) = median(rounds)
    assert (row.value, row.ratio) == (3, 8)


def test_what_a_round_lacks_is_the_median_of_the_others_and_says_so() -> None:
    told, kept = Row(name="told no", value=4, unit="ms"), Row(name="kept", value=1, unit="ms")
    rows = {row.name: row for row in median([[kept], [told, kept], [told, kept]])}
    assert (rows["kept"].note, rows["told no"].note) == ("", "in 2 of 3 rounds")


def test_a_run_beside_others_is_called_noisy() -> None:
    assert "NOISY" not in how_quiet([0.02, 0.1])
    assert "NOISY" in how_quiet([0.02, 0.4])
    assert 0 <= Others().share() <= 1
    assert os.getpid() in family(os.getpid())


def test_runs_one_after_the_other_are_one() -> None:
    first = Run(began=1.0, due={"a": 1.0}, ack_seconds=[0.1], refuse_seconds=[0.2])
    second = Run(began=2.0, due={"b": 2.0}, ack_seconds=[0.3])
    whole = merged([first, second])
    assert (whole.began, whole.refused) == (1.0, 1)
    assert list(zip(whole.due, whole.ack_seconds, strict=True)) == [("a", 0.1), ("b", 0.3)]


def test_the_rows_of_one_trade_are_those_written_since() -> None:
    each = Written(700.0, 260.0, 30.0).each(Written(100.0, 60.0, 10.0), 20)
    assert (each.inserted, each.updated, each.deleted) == pytest.approx((30, 10, 1))
