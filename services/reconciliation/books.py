"""The transactions: what the sources told is kept, and what follows from it, in one.

Each may be run again after a lost connection: it reads what it needs and decides anew.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeVar

import msgspec
from psycopg import AsyncConnection

from libs.ids import Ids
from libs.postgres import Lane
from services.reconciliation.domain.agreement import agreed
from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.case import Case, Closing, Opening, Ruling, rule
from services.reconciliation.domain.day import (
    DayReport,
    SealedDay,
    complete,
    seal,
    write,
)
from services.reconciliation.domain.held import Held, Told, add, read_so_far
from services.reconciliation.domain.progress import Progress
from services.reconciliation.domain.sighting import (
    Changes,
    Key,
    Page,
    Sighting,
    Source,
    changes,
)
from services.reconciliation.store.agreements import Agreements
from services.reconciliation.store.breaks import Breaks
from services.reconciliation.store.cases import Cases
from services.reconciliation.store.days import Days
from services.reconciliation.store.sightings import Sightings

_DUE_AT_ONCE = 500
_MOST_HELD = 20_000  # executions that wait in memory: some 40 MB
_MOST_BREAKS_OF_A_DAY = 1_000
_NEVER = datetime.min.replace(tzinfo=UTC)

Answer = TypeVar("Answer")


class Outcome(msgspec.Struct, frozen=True):
    """What a transaction came to. `is_changed`: something was written."""

    is_changed: bool = False
    opened: Sequence[tuple[str, Opening]] = ()
    closed: Sequence[Closing] = ()

    def and_then(self, after: "Outcome") -> "Outcome":
        """Both."""
        return Outcome(
            self.is_changed or after.is_changed,
            [*self.opened, *after.opened],
            [*self.closed, *after.closed],
        )


class Books:
    """This service's own records, and what waits in memory for the sources that have not told it.

    `held` is how many executions wait.
    """

    def __init__(self, lane: Lane, ids: Ids) -> None:
        self._lane = lane
        self._ids = ids
        self._held: Held = {}
        self._untold = Outcome()  # of a commit that was not answered

    @property
    def held(self) -> int:
        """Executions that not all sources have told, and of which nothing is kept yet."""
        return len(self._held)

    async def begin(self, moment: datetime) -> dict[Source, Progress]:
        """How far the sources were read before this process began at `moment`."""

        async def work(connection: AsyncConnection) -> dict[Source, Progress]:
            await Cases(connection).none_noticed_after(moment)
            return await Sightings(connection).readings()

        return await self._lane.run(work)

    async def save(self, sources: Mapping[Source, Progress]) -> None:
        """Note how far all that the sources told is kept; to read more again does no harm."""
        read = [read_so_far(self._held, source, each.read) for source, each in sources.items()]
        await self._lane.run(lambda c: Sightings(c).save_readings(sources, read))

    async def take(
        self,
        pages: Sequence[Page],
        *,
        is_reread: bool,
        now: datetime,
        noticed_by: datetime = _NEVER,
    ) -> Outcome:
        """Keep what the sources told, and rule about the executions in which they may differ.

        What is new and not told by all of them waits for the others, unless it was `noticed_by`
        then, or too much waits: it is kept as it is, and a suspect.
        """

        async def work(connection: AsyncConnection) -> tuple[Held, Outcome]:
            found = await _news(connection, pages, is_reread=is_reread)
            held = add(self._held, found.fresh, now=now)
            done, in_doubt = await _settle(connection, held, found)
            until = noticed_by if len(held) - len(done) <= _MOST_HELD else now
            in_doubt |= {k for k, each in held.items() if each.noticed_at <= until} - done
            outcome = Outcome(is_changed=bool(done))
            if in_doubt:
                told = {key: each for key, each in held.items() if key in in_doubt}
                await _keep(connection, in_doubt, told, gone=found.gone)
                noticed = {k: each.noticed_at for k, each in told.items() if not each.is_amended}
                outcome = await self._rule(connection, in_doubt, noticed, now=now)
            over = done | in_doubt
            return {key: each for key, each in held.items() if key not in over}, outcome

        self._held, outcome = await self._run(work)
        return outcome

    async def open_due(self, noticed_by: datetime, *, now: datetime) -> Outcome:
        """Open breaks for suspects noticed by then; call again while there are any."""

        async def work(connection: AsyncConnection) -> tuple[None, Outcome]:
            keys = await Cases(connection).due(noticed_by, limit=_DUE_AT_ONCE)
            if not keys:
                return None, Outcome()
            return None, await self._rule(connection, set(keys), {}, now=now, due_by=noticed_by)

        _, outcome = await self._run(work)
        return outcome

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

    async def seal_day(self, trade_date: date, *, now: datetime) -> SealedDay | None:
        """Seal a day with what is known of it now; None: something in it is to become a break."""

        async def work(connection: AsyncConnection) -> SealedDay | None:
            days, breaks = Days(connection), Breaks(connection)
            if await days.is_unsettled(trade_date):
                return None
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

    async def _run(
        self, work: Callable[[AsyncConnection], Awaitable[tuple[Answer, Outcome]]]
    ) -> tuple[Answer, Outcome]:
        """What `work` came to, and those before it that were committed without an answer."""

        async def run(connection: AsyncConnection) -> Answer:
            before = await self._committed(connection)
            answer, outcome = await work(connection)
            self._untold = before.and_then(outcome)
            return answer

        answer = await self._lane.run(run)
        outcome, self._untold = self._untold, Outcome()
        return answer, outcome

    async def _committed(self, connection: AsyncConnection) -> Outcome:
        """What is on record of what was not answered."""
        opened, closed = self._untold.opened, self._untold.closed
        if not (opened or closed):
            return Outcome()
        ids = [*(break_id for break_id, _ in opened), *(each.break_id for each in closed)]
        is_over = await Breaks(connection).are_over(ids)
        opened = [each for each in opened if each[0] in is_over]
        closed = [each for each in closed if is_over.get(each.break_id)]
        return Outcome(bool(opened or closed), opened, closed)

    async def _rule(
        self,
        connection: AsyncConnection,
        keys: set[Key],
        noticed: Mapping[Key, datetime],
        *,
        now: datetime,
        due_by: datetime | None = None,
    ) -> Outcome:
        """Rule about these; `noticed`: since when, where that was before now."""
        cases = Cases(connection)
        found = await cases.load(keys)
        rulings = [
            rule(case, due_by=due_by, noticed_at=noticed.get(case.key, now)) for case in found
        ]
        await cases.suspects(rulings)
        opened = [(self._ids.new(), each) for ruling in rulings for each in ruling.openings]
        closed = [each for ruling in rulings for each in ruling.closings]
        if opened:
            await cases.open(opened, now=now)
        if closed:
            await cases.close(closed, now=now)
        sightings = {case.key: case.sightings for case in found}
        if stays := _stays(rulings, sightings):
            await cases.stay(stays, now=now)
        await _fold(connection, [c for c, r in zip(found, rulings, strict=True) if r.is_content])
        return Outcome(True, opened, closed)


async def _news(connection: AsyncConnection, pages: Sequence[Page], *, is_reread: bool) -> Changes:
    """By what the pages differ from what is on record."""
    agreements, sightings = Agreements(connection), Sightings(connection)
    fresh: list[Sighting] = []
    gone: list[Sighting] = []
    for page in pages:
        known = await agreements.behind(page, is_reread=is_reread)
        known += await sightings.behind(page, is_reread=is_reread)
        found = changes(page, known, is_reread=is_reread)
        fresh += found.fresh
        gone += found.gone
    return Changes(fresh, gone)


async def _settle(
    connection: AsyncConnection, held: Held, found: Changes
) -> tuple[set[Key], set[Key]]:
    """Keep what all sources tell alike; the keys of that, and those that are more than new."""
    agreements = Agreements(connection)
    lost = {each.key for each in found.gone}
    whole = {
        key: whole
        for key, each in held.items()
        if key not in lost and (whole := agreed(each.sightings)) is not None
    }
    known = await agreements.keep(list(whole.values())) if whole else set()
    partial = {(each.venue, each.execution_id) for each in found.fresh} - whole.keys()
    if partial:
        known |= await agreements.on_record(partial)
    return whole.keys() - known, known | lost


async def _keep(
    connection: AsyncConnection,
    keys: Collection[Key],
    told: Mapping[Key, Told],
    *,
    gone: Sequence[Sighting],
) -> None:
    """Have on record, sighting by sighting, what is known and told now of these executions."""
    await Agreements(connection).dissolve(keys)
    sightings = Sightings(connection)
    fresh = [sighting for each in told.values() for sighting in each.sightings]
    if fresh:
        await sightings.keep(fresh)
    if gone:
        await sightings.forget(gone)


async def _fold(connection: AsyncConnection, cases: Sequence[Case]) -> None:
    """Have a row for each of those that all sources tell alike by now, in place of sightings."""
    alike = [(case, whole) for case in cases if (whole := agreed(case.sightings)) is not None]
    if alike:
        told = [sighting for case, _ in alike for sighting in case.sightings]
        await Sightings(connection).forget(told)
        await Agreements(connection).keep([whole for _, whole in alike])


def _stays(
    rulings: Sequence[Ruling], sightings: Mapping[Key, tuple[Sighting, ...]]
) -> list[tuple[str, tuple[Sighting, ...]]]:
    return [(break_id, sightings[ruling.key]) for ruling in rulings for break_id in ruling.stays]
