"""The transactions: what the sources told is kept, and what follows from it, in one.

Each may be run again after a lost connection: it reads what it needs and decides anew.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import msgspec
from psycopg import AsyncConnection

from libs.ids import Ids
from libs.postgres import Lane
from services.reconciliation.domain.case import Closing, Opening, Ruling, rule
from services.reconciliation.domain.day import (
    DayReport,
    SealedDay,
    complete,
    seal,
    write,
)
from services.reconciliation.domain.progress import Progress
from services.reconciliation.domain.sighting import Key, Page, Sighting, Source, changes
from services.reconciliation.domain.verdict import BreakClass
from services.reconciliation.store.breaks import Breaks
from services.reconciliation.store.cases import Cases
from services.reconciliation.store.days import Days
from services.reconciliation.store.sightings import Sightings

_DUE_AT_ONCE = 500
_MOST_BREAKS_OF_A_DAY = 1_000


class Outcome(msgspec.Struct, frozen=True):
    """What a transaction came to. `is_changed`: something was written."""

    is_changed: bool = False
    opened: Sequence[tuple[str, Opening]] = ()
    closed: Sequence[Closing] = ()


class Books:
    """This service's own records."""

    def __init__(self, lane: Lane, ids: Ids) -> None:
        self._lane = lane
        self._ids = ids

    async def begin(self, moment: datetime) -> dict[Source, Progress]:
        """How far the sources were read before this process began at `moment`."""

        async def work(connection: AsyncConnection) -> dict[Source, Progress]:
            await Cases(connection).none_noticed_after(moment)
            return await Sightings(connection).readings()

        return await self._lane.run(work)

    async def save(self, sources: Mapping[Source, Progress]) -> None:
        """Note how far the sources are read; to read again what was not noted does no harm."""
        await self._lane.run(lambda c: Sightings(c).save_readings(sources))

    async def take(self, pages: Sequence[Page], *, is_reread: bool, now: datetime) -> Outcome:
        """Keep what the sources told, and rule about the executions that changed by it."""

        async def work(connection: AsyncConnection) -> Outcome:
            keys = await _keep(connection, pages, is_reread=is_reread)
            if not keys:
                return Outcome()
            return await self._rule(connection, keys, is_due=False, now=now)

        return await self._lane.run(work)

    async def open_due(self, noticed_by: datetime, *, now: datetime) -> Outcome:
        """Open breaks for suspects noticed by then; call again while there are any."""

        async def work(connection: AsyncConnection) -> Outcome:
            keys = await Cases(connection).due(noticed_by, limit=_DUE_AT_ONCE)
            if not keys:
                return Outcome()
            return await self._rule(connection, set(keys), is_due=True, now=now)

        return await self._lane.run(work)

    async def count_open(self) -> dict[BreakClass, int]:
        """How many breaks are not over, by class."""
        return await self._lane.run(lambda c: Breaks(c).count_open())

    async def days_so_far(self) -> tuple[date | None, date | None]:
        """The last day sealed, and the first that anything is told of."""

        async def work(connection: AsyncConnection) -> tuple[date | None, date | None]:
            days = Days(connection)
            sealed = await days.last_sealed()
            return sealed, None if sealed else await days.first_traded()

        return await self._lane.run(work)

    async def seal_day(self, trade_date: date, *, now: datetime) -> SealedDay:
        """Seal a day with what is known of it now."""

        async def work(connection: AsyncConnection) -> SealedDay:
            days, breaks = Days(connection), Breaks(connection)
            open_count, closed_count = await breaks.count_of(trade_date)
            left = await breaks.open_of(trade_date, limit=_MOST_BREAKS_OF_A_DAY)
            report = DayReport(
                trade_date=trade_date,
                sealed_at=now,
                sources=complete(await days.sums(trade_date)),
                closed_breaks=closed_count,
                open_break_count=open_count,
                open_breaks=[msgspec.to_builtins(each) for each in left],
            )
            previous, text = await days.latest_seal(), write(report)
            sealed = SealedDay(report, seal(text, previous), previous)
            await days.add(trade_date, report=text, seal=sealed.seal, previous_seal=previous)
            return sealed

        return await self._lane.run(work)

    async def _rule(
        self, connection: AsyncConnection, keys: set[Key], *, is_due: bool, now: datetime
    ) -> Outcome:
        cases = Cases(connection)
        found = await cases.load(keys)
        rulings = [rule(case, is_due=is_due, now=now) for case in found]
        await cases.suspects(rulings, now=now)
        opened = [(self._ids.new(), each) for ruling in rulings for each in ruling.openings]
        closed = [each for ruling in rulings for each in ruling.closings]
        if opened:
            await cases.open(opened, now=now)
        if closed:
            await cases.close(closed, now=now)
        sightings = {case.key: case.sightings for case in found}
        if stays := _stays(rulings, sightings):
            await cases.stay(stays, now=now)
        return Outcome(True, opened, closed)


async def _keep(connection: AsyncConnection, pages: Sequence[Page], *, is_reread: bool) -> set[Key]:
    """The executions that the pages say something new about."""
    sightings = Sightings(connection)
    keys: set[Key] = set()
    for page in pages:
        known = await sightings.behind(page, is_reread=is_reread)
        found = changes(page, known, is_reread=is_reread)
        if found.fresh:
            await sightings.keep(found.fresh)
        if found.gone:
            await sightings.forget(found.gone)
        keys |= found.keys
    return keys


def _stays(
    rulings: Sequence[Ruling], sightings: Mapping[Key, tuple[Sighting, ...]]
) -> list[tuple[str, tuple[Sighting, ...]]]:
    return [(break_id, sightings[ruling.key]) for ruling in rulings for break_id in ruling.stays]
