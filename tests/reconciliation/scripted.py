"""Reconciliation on a real database, between sources and a clock that do as they are told."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

from msgspec.structs import replace
from psycopg import AsyncConnection, sql

from libs.ids import SystemIds
from libs.postgres import Lane
from services.reconciliation.books import Books
from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.day import SealedDay
from services.reconciliation.domain.sighting import Page, Place, Sighting, Source, numbered
from services.reconciliation.neighbours import Away
from services.reconciliation.rounds import Rhythm, Rounds
from services.reconciliation.store import PLANS
from services.reconciliation.store.breaks import Breaks, BreakState, StoredBreak, Wanted
from services.reconciliation.store.days import Days

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
GRACE = timedelta(seconds=5)


class ScriptedClock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self._now = START
        self.ahead = timedelta()  # how far it is wrong

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return self._now + self.ahead

    def monotonic(self) -> float:
        return (self._now - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.pass_seconds(seconds)


class ScriptedSource:
    """Numbers what it has; `sightings` may be changed at will."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.sightings: dict[int, Sighting] = {}
        self.is_away = False
        self.archived = 0  # of what stands up to there no figures are told any more
        self.pages: list[tuple[Place, int]] = []

    def add(self, execution_id: str, **changes: Any) -> int:
        """One more execution; its position."""
        position = max(self.sightings, default=0) + 1
        self.sightings[position] = a_sighting(self.source, execution_id, position, **changes)
        return position

    async def read(self, after: Place, *, limit: int, now: datetime) -> Page:
        if self.is_away:
            raise Away("UNAVAILABLE: gone")
        self.pages.append((after, limit))
        last = max(self.sightings, default=0)
        until = min(after.position + limit, last)
        told = [
            as_archived(sighting) if position <= self.archived else sighting
            for position, sighting in sorted(self.sightings.items())
            if after.position < position <= until
        ]
        return Page(
            source=self.source,
            after=after,
            next=numbered(until),
            reaches_end=last <= after.position + limit,
            began_at=now,
            sightings=tuple(told),
        )


def a_sighting(source: Source, execution_id: str, position: int, **changes: Any) -> Sighting:
    """A BUY of 10 AAPL at 100 dollars by alice, as a source tells it."""
    fields: dict[str, Any] = {
        "source": source,
        "position": position,
        "trade_date": date(2026, 11, 20),
        "shares": 10,
        "cash_micros": -1_000_000_000,
        "venue": "XSIM",
        "execution_id": execution_id,
        "trade_id": "t-1",
        "customer_id": "" if source is Source.VENUE else "alice",
        "symbol": "AAPL",
    }
    return Sighting(**(fields | changes))


def as_archived(sighting: Sighting) -> Sighting:
    """What the ledger tells of it once what it moved is archived."""
    return replace(sighting, shares=0, cash_micros=0, customer_id="", symbol="", is_archived=True)


def but(sighting: Any, **changes: Any) -> Any:
    """The same with other terms."""
    fields = {name: getattr(sighting, name) for name in sighting.__struct_fields__}
    return type(sighting)(**(fields | changes))


class Desk:
    """Rounds one by one, and what stands in the database after them."""

    def __init__(self, database_url: str, **rhythm: Any) -> None:
        self._url = database_url
        self._lane = Lane(database_url, name="reconciliation", options=PLANS)
        self.clock = ScriptedClock()
        self.sources = {source: ScriptedSource(source) for source in Source}
        fields: dict[str, Any] = {
            "interval_seconds": 2.0,
            "grace": GRACE,
            "page_rows": 1000,
            "reread_rows": 1000,
            "seal_after": timedelta(minutes=15),
        }
        self._rhythm = Rhythm(**(fields | rhythm))
        self.start()

    def start(self) -> None:
        """A process that has just begun; what the one before had in memory is lost."""
        books = Books(self._lane, SystemIds(self.clock))
        self.rounds = Rounds(self.sources, books, self._rhythm, self.clock)

    async def close(self) -> None:
        """Let the database go."""
        await self._lane.close()

    def everywhere(self, execution_id: str, **changes: Any) -> None:
        """An honest fill."""
        for source in self.sources.values():
            source.add(execution_id, **changes)

    async def rounds_for(self, seconds: float) -> None:
        """Rounds every second."""
        for _ in range(int(seconds)):
            self.clock.pass_seconds(1)
            await self.rounds.compare()

    async def breaks(self, *states: BreakState) -> list[StoredBreak]:
        """Those in these states; of none: not over."""
        wanted = Wanted(
            states=list(map(int, states or (BreakState.OPEN, BreakState.EXPLAINED))),
            classes=list(map(int, BreakClass)),
            before=None,
            limit=1000,
        )
        async with await AsyncConnection.connect(self._url) as connection:
            return list(await Breaks(connection).list(wanted))

    async def open_classes(self) -> list[tuple[str, str]]:
        """(execution, class) of what is not over, sorted."""
        return sorted((each.execution_id, each.break_class.name) for each in await self.breaks())

    async def days(self) -> list[SealedDay]:
        """The sealed days, newest first."""
        async with await AsyncConnection.connect(self._url) as connection:
            return await Days(connection).list(before=None, limit=100)

    async def count_rows(self, table: LiteralString) -> int:
        """Rows of one of its tables."""
        async with await AsyncConnection.connect(self._url) as connection:
            query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
            cursor = await connection.execute(query)
            return int((await cursor.fetchall())[0][0])

    async def count_pending(self) -> int:
        """Executions that differ and are no breaks."""
        async with await AsyncConnection.connect(self._url) as connection:
            return await Breaks(connection).count_suspects() + self.rounds.held


MakeDesk = Callable[..., Desk]
