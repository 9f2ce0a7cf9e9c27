"""Moments in messages are those of the library, only faster made."""

import doctest
from datetime import UTC, datetime, timedelta, timezone

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from libs import stamps

_MOMENTS = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5))]))


@given(_MOMENTS.filter(lambda moment: 1 < moment.year < 9999))
def test_a_moment_is_written_and_read_as_the_library_does_it(moment: datetime) -> None:
    theirs, ours = Timestamp(), Timestamp()
    theirs.FromDatetime(moment)
    stamps.set_moment(ours, moment)
    assert ours == theirs
    assert stamps.moment_of(ours) == theirs.ToDatetime(tzinfo=UTC) == moment


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(0, -1), (0, 1_000_000_000), (2**62, 0), (-(2**62), 0)]
)
def test_what_is_no_moment_is_none(seconds: int, nanos: int) -> None:
    with pytest.raises((ValueError, OverflowError)):
        stamps.moment_of(Timestamp(seconds=seconds, nanos=nanos))


def test_its_examples_are_true() -> None:
    failed, attempted = doctest.testmod(stamps)
    assert (failed, attempted > 2) == (0, True)
