"""When the exchange trades. Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum

_USUAL = timedelta(hours=6, minutes=30)


class Phase(IntEnum):
    """Who says whether the exchange is open: its hours, its calendar, or an operator."""

    BY_HOURS = 1
    OPEN = 2
    CLOSED = 3
    BY_CALENDAR = 4


@dataclass(frozen=True, slots=True)
class Session:
    """One day's trading: from opens_at on, until just before closes_at. UTC."""

    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """Other hours for one date, an operator's; without a session it does not open."""

    day: date
    session: Session | None
    reason: str


@dataclass(frozen=True, slots=True)
class TradingDay:
    """A date with a session, or one that an operator took away."""

    day: date
    session: Session | None
    change: Change | None

    @property
    def is_short(self) -> bool:
        """Whether it closes before the usual hour."""
        return self.session is not None and self.session.closes_at - self.session.opens_at < _USUAL


def day_of(at: datetime) -> date:
    """The day that goes on at that time: no session goes beyond a date in UTC."""
    return at.astimezone(UTC).date()


class Hours:
    """Trading hours; without sessions it is always open."""

    def __init__(self, sessions: Sequence[Session] | None) -> None:
        self._is_always_open = sessions is None
        self._usual = {session.opens_at.date(): session for session in sessions or ()}
        self._changes: dict[date, Change] = {}
        self._sessions: list[Session] = []
        self._closes: list[datetime] = []
        self.amend(())

    def amend(self, changes: Iterable[Change]) -> None:
        """Have these changes, and no others, on dates of the calendar."""
        self._changes = {change.day: change for change in changes}
        sessions = dict(self._usual)
        for day, change in self._changes.items():
            sessions.pop(day, None)
            if change.session is not None:
                sessions[day] = change.session
        self._sessions = [sessions[day] for day in sorted(sessions)]
        self._closes = [session.closes_at for session in self._sessions]

    def changes(self) -> list[Change]:
        """An operator's changes."""
        return list(self._changes.values())

    def days(self, first: date, most: int) -> list[TradingDay]:
        """At most so many days from a date on, those without a session only if they are changed."""
        days = sorted(day for day in {*self._usual, *self._changes} if day >= first)
        return [self.day(day) for day in days[:most]]

    def day(self, day: date) -> TradingDay:
        """The hours of a date."""
        change = self._changes.get(day)
        return TradingDay(day, change.session if change else self._usual.get(day), change)

    @property
    def is_always_open(self) -> bool:
        """Whether it keeps no hours."""
        return self._is_always_open

    def is_open(self, now: datetime) -> bool:
        """Whether orders are taken."""
        if self._is_always_open:
            return True
        session = self.session(now)
        return session is not None and session.opens_at <= now

    def session(self, now: datetime) -> Session | None:
        """The session in progress, else the next one; None when always open or past the table."""
        index = bisect_right(self._closes, now)
        if index == len(self._sessions):
            return None
        return self._sessions[index]

    def next_open(self, now: datetime) -> datetime | None:
        """When the next session opens, which is not open yet; None: there is none."""
        session = self.session(now)
        if session is not None and session.opens_at <= now:
            session = self.session(session.closes_at)
        return session.opens_at if session is not None else None

    def last_close(self, now: datetime) -> datetime | None:
        """When the last session that is over closed; None: there is none."""
        index = bisect_right(self._closes, now)
        return self._closes[index - 1] if index else None
