"""When the exchange trades. Pure."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


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


class Hours:
    """Trading hours; without sessions it is always open."""

    def __init__(self, sessions: list[Session] | None) -> None:
        self._sessions = sessions
        self._closes = [session.closes_at for session in sessions or ()]

    @property
    def is_always_open(self) -> bool:
        """Whether it keeps no hours."""
        return self._sessions is None

    def is_open(self, now: datetime) -> bool:
        """Whether orders are taken."""
        if self._sessions is None:
            return True
        session = self.session(now)
        return session is not None and session.opens_at <= now

    def session(self, now: datetime) -> Session | None:
        """The session in progress, else the next one; None when always open or past the table."""
        index = bisect_right(self._closes, now)
        if self._sessions is None or index == len(self._sessions):
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
