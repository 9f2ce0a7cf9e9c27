"""Moments in messages. The library's own way goes through the calendar and costs ten times more."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_SECONDS = 86_400
_NANOS = 1_000_000_000
# What a Timestamp may say: the years 1 to 9999.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799


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


def nanos_of(stamp: Timestamp) -> int:
    """Nanoseconds since 1970 UTC. ValueError when it is no moment.

    >>> nanos_of(Timestamp(seconds=2, nanos=5))
    2000000005
    """
    seconds, nanos = stamp.seconds, stamp.nanos
    if not (_FIRST <= seconds <= _LAST and 0 <= nanos < _NANOS):
        raise ValueError("not within the years 1 to 9999, or not within a second")
    return seconds * _NANOS + nanos


def set_nanos(stamp: Timestamp, nanos: int) -> None:
    """Make `stamp` say what `nanos_of` told of a moment.

    >>> stamp = Timestamp()
    >>> set_nanos(stamp, 2_000_000_005)
    >>> stamp.seconds, stamp.nanos
    (2, 5)
    """
    stamp.seconds, stamp.nanos = divmod(nanos, _NANOS)
