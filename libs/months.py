"""Months, and where they begin among the keys of a table that is kept in months."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec

_TEXT = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_LAST_MILLISECONDS = int(datetime(9999, 12, 1, tzinfo=UTC).timestamp() * 1000)


class Month(msgspec.Struct, frozen=True, order=True):
    """A month of the calendar, UTC."""

    year: int
    month: int  # 1 to 12

    @classmethod
    def parse(cls, text: str) -> "Month":
        """Of its text. Raises ValueError.

        >>> Month.parse("2026-07")
        Month(year=2026, month=7)
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError("a month is written like 2026-07")
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, moment: datetime) -> "Month":
        """The month of an aware moment."""
        at = moment.astimezone(UTC)
        return cls(at.year, at.month)

    @classmethod
    def numbered(cls, number: int) -> "Month":
        """Of its number: 0 is January 1970."""
        years, months = divmod(number, 12)
        return cls(1970 + years, months + 1)

    @property
    def number(self) -> int:
        """Months since January 1970.

        >>> Month.parse("2026-07").number
        678
        """
        return (self.year - 1970) * 12 + self.month - 1

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    def plus(self, months: int) -> "Month":
        """So many months later.

        >>> str(Month.parse("2026-12").plus(1))
        '2027-01'
        """
        return Month.numbered(self.number + months)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def months_between(first: Month, end: Month) -> Iterator[Month]:
    """From `first` to the one before `end`."""
    return map(Month.numbered, range(first.number, end.number))


class Key(msgspec.Struct, frozen=True):
    """What the months of a table are told apart by, as PostgreSQL writes it."""

    first: Callable[[Month], str]  # the lowest that a month can have
    month: Callable[[str], Month]  # of such a lowest one


class MonthlyTable(msgspec.Struct, frozen=True):
    """A table partitioned by range of `column`, with a partition `<name>_default`."""

    name: str
    column: str
    key: Key


def _first_uuid7(month: Month) -> str:
    digits = f"{int(month.start.timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


def _month_of_uuid7(text: str) -> Month:
    milliseconds = int(text.replace("-", "")[:12], 16)
    seconds = min(milliseconds, _LAST_MILLISECONDS) / 1000
    return Month.of(datetime.fromtimestamp(seconds, UTC))


def _first_number(month: Month) -> str:
    return str(month.number)


def _month_of_number(text: str) -> Month:
    return Month.numbered(int(text))


# A uuid made by the clock (UUIDv7): its first 48 bits are milliseconds since 1970.
BY_UUID7 = Key(_first_uuid7, _month_of_uuid7)
# An integer that is the month's number.
BY_NUMBER = Key(_first_number, _month_of_number)
