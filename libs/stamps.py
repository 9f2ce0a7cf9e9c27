"""Moments in messages. The library's own way goes through the calendar and costs ten times more."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400


def set_moment(stamp: Timestamp, moment: datetime) -> None:
    """Make `stamp` say `moment`, which is aware; to the microsecond.

    >>> stamp = Timestamp()
    >>> set_moment(stamp, datetime(2026, 11, 20, 14, 30, 0, 123456, tzinfo=UTC))
    >>> stamp.ToJsonString()
    '2026-11-20T14:30:00.123456Z'
    """
    since = moment - _EPOCH
    stamp.seconds = since.days * _DAY_SECONDS + since.seconds
    stamp.nanos = since.microseconds * 1_000


def moment_of(stamp: Timestamp) -> datetime:
    """The moment, to the microsecond, rounded down. ValueError or OverflowError when it is none.

    >>> moment_of(Timestamp(seconds=1, nanos=2_999))
    datetime.datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=datetime.timezone.utc)
    """
    if not 0 <= stamp.nanos < 1_000_000_000:
        raise ValueError("the nanoseconds of a moment are within a second")
    return _EPOCH + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1_000)
