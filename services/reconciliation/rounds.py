"""The rounds: read what is new, read on in what was read before, open what is due, seal days."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from types import MappingProxyType

import structlog
from prometheus_client import Counter, Gauge

from libs.clock import Clock
from libs.refusals import Unavailable
from services.reconciliation.books import Books, Outcome
from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.day import due_at, next_due
from services.reconciliation.domain.progress import (
    Moments,
    Progress,
    after_read,
    after_reread,
    away,
    due_before,
    whole_since,
)
from services.reconciliation.domain.sighting import Page, Place, Source
from services.reconciliation.neighbours import Away, Reader

_SAVE_EVERY = 30  # rounds, where nothing else is written
_READS_AT_MOST = 200  # pages of a source in one round; the next goes on
_PAGES_TOGETHER = 8  # of a source, kept in one transaction
_NEVER = datetime.min.replace(tzinfo=UTC)
_ALWAYS = datetime.max.replace(tzinfo=UTC)
_LATE_ROUNDS = 5  # a lag of so many rounds is worth a warning

_read = Counter("reconciliation_executions_read", "Executions that a source told", ["source"])
_opened = Counter("reconciliation_breaks_opened", "Breaks opened", ["break_class"])
_closed = Counter("reconciliation_breaks_closed", "Breaks that are over", ["end"])
_open = Gauge("reconciliation_breaks_open", "Breaks that are not over", ["break_class"])
_away = Gauge("reconciliation_source_away", "1 while a source does not answer", ["source"])
_lag = Gauge("reconciliation_lag_seconds", "Age of what is known of a source", ["source"])
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often and how much. Rows are those that a source looks through for a page."""

    interval_seconds: float
    grace: timedelta
    page_rows: int
    reread_rows: int
    seal_after: timedelta


class Rounds:
    """Compares for as long as the process runs."""

    def __init__(
        self, readers: Mapping[Source, Reader], books: Books, rhythm: Rhythm, clock: Clock
    ) -> None:
        self._readers = readers
        self._books = books
        self._rhythm = rhythm
        self._clock = clock
        self._moments = Moments(clock)
        self._sources = {source: Progress() for source in readers}
        self._last_sealed: date | None = None
        self._first_traded: date | None = None
        self._rounds = 0
        self._is_counted = False  # whether the gauge of open breaks is right
        self.last_round_at: datetime | None = None
        for source in readers:  # it grows where no round is done, too
            _lag.labels(source.name).set_function(partial(self._lag_seconds, source))

    @property
    def sources(self) -> Mapping[Source, Progress]:
        """How far each is read."""
        return MappingProxyType(self._sources)

    @property
    def held(self) -> int:
        """Executions that wait in memory for the sources that have not told them."""
        return self._books.held

    @property
    def last_sealed(self) -> date | None:
        """The last day sealed."""
        return self._last_sealed

    def whole_since(self) -> datetime | None:
        """Since when every source was read anew, whole; None: not since the start."""
        return whole_since(self._sources)

    def now(self) -> datetime:
        """The time that all of this goes by."""
        return self._moments.now()

    async def run(self) -> None:
        """For ever; without the database nothing is read."""
        while True:
            began = self._clock.monotonic()
            try:
                await self.compare()
            except Unavailable as error:
                _log.warning("round_put_off", error=error.text)
            except Exception:
                _log.exception("round_failed")
            took = self._clock.monotonic() - began
            await self._clock.sleep(max(0.05, self._rhythm.interval_seconds - took))

    async def compare(self) -> None:
        """One round. Raises Unavailable: the database does not answer; nothing is lost by it."""
        if not self._rounds:
            self._sources = await self._books.begin(self._moments.began_at)
            self._last_sealed, self._first_traded = await self._books.days_so_far()
        self._rounds += 1
        is_changed = await self._read_new()
        is_changed |= await self._reread()
        if self._due_day() is not None:
            is_changed |= await self._take([], is_reread=False, noticed_by=_ALWAYS)
        await self._open_due()
        await self._seal()
        await self._count()
        if is_changed or self._rounds % _SAVE_EVERY == 0:
            await self._books.save(self._sources)
        self.last_round_at = self.now()
        self._measure()

    async def _read_new(self) -> bool:
        """Every source to its end. Whether anything changed.

        What one told the others have the grace to tell, before there is a suspect.
        """
        asked, is_changed = list(self._sources), False
        for _ in range(_READS_AT_MOST // _PAGES_TOGETHER):
            pages = await self._read_ahead(asked)
            last = {page.source: page for page in pages}
            asked = [source for source, page in last.items() if page.has_more]
            noticed_by = _NEVER if asked else self.now() - self._rhythm.grace
            is_changed |= await self._take(pages, is_reread=False, noticed_by=noticed_by)
            for page in pages:
                if page.forgot:
                    _log.error(
                        "source_forgot", source=page.source.name, position=page.next.position
                    )
                self._sources[page.source] = after_read(self._sources[page.source], page)
                _read.labels(page.source.name).inc(len(page.sightings))
            if not asked:
                break
        return is_changed

    async def _read_ahead(self, asked: Iterable[Source]) -> list[Page]:
        """A few pages of each of these, in order: what all tell of is then judged only once."""
        found: list[Page] = []
        places = {source: self._sources[source].read for source in asked}
        for number in range(_PAGES_TOGETHER):
            pages = await self._pages(places, rows=self._rhythm.page_rows, is_ahead=number > 0)
            found += pages
            places = {page.source: page.next for page in pages if page.has_more}
            if not places:
                break
        return found

    async def _reread(self) -> bool:
        """A page of each source that answers; after a day has ended, all of it once."""
        day = None if self._day_to_seal() else self._due_day()
        is_everybody_there = all(p.answers_since is not None for p in self._sources.values())
        if day is not None and is_everybody_there:
            return await self._reread_all(since=due_at(day, self._rhythm.seal_after))
        asked = [source for source, p in self._sources.items() if p.answers_since is not None]
        return await self._reread_page(asked, rows=self._rhythm.reread_rows)

    async def _reread_all(self, *, since: datetime) -> bool:
        """Each source to its end, unless it was read anew since then."""
        is_changed = False
        for _ in range(_READS_AT_MOST):
            asked = [
                source
                for source, p in self._sources.items()
                if p.reread_at is None or p.reread_at < since
            ]
            if not asked:
                break
            is_changed |= await self._reread_page(asked, rows=self._rhythm.page_rows)
            if any(p.answers_since is None for p in self._sources.values()):
                break
        return is_changed

    async def _reread_page(self, asked: Iterable[Source], *, rows: int) -> bool:
        places = {source: self._sources[source].reread for source in asked}
        pages = await self._pages(places, rows=rows)
        is_changed = await self._take(pages, is_reread=True)
        for page in pages:
            self._sources[page.source] = after_reread(self._sources[page.source], page)
        return is_changed

    async def _pages(
        self, places: Mapping[Source, Place], *, rows: int, is_ahead: bool = False
    ) -> list[Page]:
        """A page of each of these that answers.

        `is_ahead`: what was told before is not kept yet; who falls silent is asked again after it.
        """

        async def read(source: Source) -> Page | None:
            progress = self._sources[source]
            try:
                return await self._readers[source].read(places[source], limit=rows, now=self.now())
            except Away as error:
                if is_ahead:
                    return None
                if progress.answers_since is not None or not progress.detail:
                    _log.warning("source_away", source=source.name, error=str(error))
                self._sources[source] = away(progress, str(error))
                return None

        found = await asyncio.gather(*map(read, places))
        return [page for page in found if page is not None]

    async def _take(
        self, pages: list[Page], *, is_reread: bool, noticed_by: datetime = _NEVER
    ) -> bool:
        outcome = await self._books.take(
            pages, is_reread=is_reread, now=self.now(), noticed_by=noticed_by
        )
        self._tell(outcome)
        return outcome.is_changed

    async def _open_due(self) -> None:
        noticed_by = due_before(self._sources, self._rhythm.grace)
        while noticed_by is not None:
            outcome = await self._books.open_due(noticed_by, now=self.now())
            self._tell(outcome)
            if not outcome.is_changed:
                return

    def _due_day(self) -> date | None:
        return next_due(
            last_sealed=self._last_sealed,
            first_traded=self._first_traded,
            now=min(self.now(), self._clock.now()),  # the clock may have been ahead at the start
            wait=self._rhythm.seal_after,
        )

    def _day_to_seal(self) -> date | None:
        """The next day that is over, once everything was read anew since."""
        day, since = self._due_day(), whole_since(self._sources)
        if day is None or since is None or since < due_at(day, self._rhythm.seal_after):
            return None
        return day

    async def _seal(self) -> None:
        """Seal the next day, unless something in it differs that is too young to be a break."""
        if self._last_sealed is None and (self._first_traded is None or self._day_to_seal()):
            # What waited in memory before is kept by now: it may be of an earlier day.
            self._last_sealed, self._first_traded = await self._books.days_so_far()
        day = self._day_to_seal()
        sealed = await self._books.seal_day(day, now=self.now()) if day is not None else None
        if day is None or sealed is None:
            return
        self._last_sealed = day
        told = {each.source.name.lower(): each.executions for each in sealed.report.sources}
        _log.info(
            "day_sealed",
            trade_date=day.isoformat(),
            open_breaks=sealed.report.open_break_count,
            **told,
        )

    def _measure(self) -> None:
        late = _LATE_ROUNDS * self._rhythm.interval_seconds
        for source, progress in self._sources.items():
            lag = self._lag_seconds(source)
            if lag > late and self._rounds % _SAVE_EVERY == 0:
                _log.warning("source_lags", source=source.name, lag_seconds=round(lag, 1))
            _away.labels(source.name).set(progress.answers_since is None)

    def _lag_seconds(self, source: Source) -> float:
        """How old is what is known of it."""
        read_at = self._sources[source].read_at or self._moments.began_at
        return (self.now() - read_at).total_seconds()

    def _tell(self, outcome: Outcome) -> None:
        """What an alarm goes by."""
        for break_id, opening in outcome.opened:
            _opened.labels(opening.break_class.name).inc()
            _log.error(
                "break_opened",
                break_id=break_id,
                break_class=opening.break_class.name,
                venue=opening.key[0],
                execution_id=opening.key[1],
                trade_id=opening.trade_id,
            )
        for closing in outcome.closed:
            _closed.labels(closing.end.name).inc()
            _log.info("break_closed", break_id=closing.break_id, end=closing.end.name)
        if outcome.opened or outcome.closed:
            self._is_counted = False

    async def _count(self) -> None:
        """Set the gauge of open breaks, where it may have changed."""
        if not self._is_counted:
            counts = await self._books.count_open()
            for break_class in BreakClass:
                _open.labels(break_class.name).set(counts.get(break_class, 0))
            self._is_counted = True
