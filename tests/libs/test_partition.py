"""Partitions must never move: the vectors are those of the FNV reference (draft-eastlake-fnv)."""

import pytest

from libs.partition import PARTITIONS, fnv1a32, partition_of


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", 0x811C9DC5),
        (b"a", 0xE40C292C),
        (b"b", 0xE70C2DE5),
        (b"foobar", 0xBF9CF968),
        (b"chongo was here!\n", 0xD49930D5),
    ],
)
def test_fnv1a32_gives_the_reference_values(octets: bytes, expected: int) -> None:
    assert fnv1a32(octets) == expected


@pytest.mark.parametrize(
    ("customer_id", "partition"), [("alice", 103), ("bob", 84), ("", 69), ("A" * 64, 5)]
)
def test_a_customers_partition_is_fixed_for_ever(customer_id: str, partition: int) -> None:
    assert partition_of(customer_id) == partition


def test_customers_spread_evenly() -> None:
    counts = [0] * PARTITIONS
    for number in range(128_00):
        counts[partition_of(f"customer-{number}")] += 1

    assert min(counts) > 60
    assert max(counts) < 150
