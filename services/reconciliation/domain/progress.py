"""How far the sources are read, and what may be said of them therefore.

All times are of one process and never run backwards; see Moments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from libs.clock import Clock
from services.reconciliation.domain.sighting import ORIGIN, Page, Place, Source


class Moments:
    """The wall clock as it was at the start, moved on by the clock that never runs backwards."""

    def __init__(self, clock: Clock) -> None:
        self._began_at = clock.now()
        self._ticks = clock.monotonic()
        self._clock = clock

    @property
    def began_at(self) -> datetime:
        """When this process began."""
        return self._began_at

    def now(self) -> datetime:
        """Never before what was told before."""
        return self._began_at + timedelta(seconds=self._clock.monotonic() - self._ticks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a source is read.

    `read_at`: everything on record there at this time is known; None: not since the start.
    `answers_since`: it has answered every time since then; None: it is away.
    `pass_began_at`: when the re-reading began at the origin; None: it went on from before the
    start. `reread_at`: when the last whole re-reading began.
    """

    read: Place = ORIGIN
    reread: Place = ORIGIN
    read_at: datetime | None = None
    answers_since: datetime | None = None
    pass_began_at: datetime | None = None
    reread_at: datetime | None = None
    detail: str = ""


def after_read(progress: Progress, page: Page) -> Progress:
    """After a page of what is new."""
    return replace(
        progress,
        read=page.next,
        read_at=page.began_at if page.reaches_end else progress.read_at,
        answers_since=progress.answers_since or page.began_at,
        detail="",
    )


def after_reread(progress: Progress, page: Page) -> Progress:
    """After a page of what was read before."""
    began_at = page.began_at if page.after == ORIGIN else progress.pass_began_at
    if page.has_more:
        return replace(progress, reread=page.next, pass_began_at=began_at)
    reread_at = began_at if page.reaches_end else progress.reread_at
    return replace(
        progress, reread=ORIGIN, pass_began_at=None, reread_at=reread_at or progress.reread_at
    )


def away(progress: Progress, detail: str) -> Progress:
    """After a call without an answer."""
    return replace(progress, answers_since=None, detail=detail)


def due_before(sources: Mapping[Source, Progress], grace: timedelta) -> datetime | None:
    """Differences noticed by then are breaks; None: none is.

    A source must have been read since the difference was as old as the grace; and after it was
    away, it and those who depend on it get the grace to catch up.
    """
    oldest: datetime | None = None
    for progress in sources.values():
        if progress.read_at is None or progress.answers_since is None:
            return None
        if progress.read_at < progress.answers_since + grace:
            return None
        oldest = min(oldest or progress.read_at, progress.read_at)
    return oldest - grace if oldest is not None else None


def whole_since(sources: Mapping[Source, Progress]) -> datetime | None:
    """Since when every source was re-read whole; None: not every one was."""
    times = [progress.reread_at for progress in sources.values()]
    known = [time for time in times if time is not None]
    return min(known) if len(known) == len(times) else None
