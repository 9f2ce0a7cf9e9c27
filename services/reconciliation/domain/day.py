"""Trade dates: when one can be sealed, and what is sealed."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec

from services.reconciliation.domain.sighting import Source

FIRST_SEAL = bytes(32)


class DayOfSource(msgspec.Struct, frozen=True):
    """A day's executions by one source; corrections are not in the sums."""

    source: Source
    executions: int
    quantity: int
    notional_micros: int
    corrections: int


class DayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a day is sealed with. `open_breaks` are as they are told to operators."""

    trade_date: date
    sealed_at: datetime
    sources: list[DayOfSource]
    closed_breaks: int
    open_break_count: int
    open_breaks: list[dict[str, Any]]


class SealedDay(msgspec.Struct, frozen=True):
    """A report as it is on record."""

    report: DayReport
    seal: bytes
    previous_seal: bytes


def next_due(
    *, last_sealed: date | None, first_traded: date | None, now: datetime, wait: timedelta
) -> date | None:
    """The next day to seal, once it has been over for `wait`; None: there is none."""
    day = last_sealed + timedelta(days=1) if last_sealed else first_traded
    return day if day is not None and due_at(day, wait) <= now else None


def due_at(day: date, wait: timedelta) -> datetime:
    """When it can be sealed at the earliest: every source is to be read anew since then."""
    return datetime.combine(day + timedelta(days=1), time(), UTC) + wait


def complete(found: Iterable[DayOfSource]) -> list[DayOfSource]:
    """One per source, those without executions too."""
    by_source = {each.source: each for each in found}
    return [by_source.get(source) or DayOfSource(source, 0, 0, 0, 0) for source in Source]


def write(report: DayReport) -> str:
    """The text that is sealed and kept."""
    return msgspec.json.encode(report).decode()


def read(text: str) -> DayReport:
    """The report that was written."""
    return msgspec.json.decode(text, type=DayReport)


def seal(text: str, previous_seal: bytes) -> bytes:
    """SHA-256 over the seal of the day before and the text."""
    return hashlib.sha256(previous_seal + text.encode()).digest()
