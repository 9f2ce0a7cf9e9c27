"""No step may grow with history: the rows that a round touches after much was compared before."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, cast

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.postgres import migrate
from services.reconciliation.books import Books
from services.reconciliation.domain.sighting import Page, Place, Sighting, Source
from services.reconciliation.main import MIGRATIONS
from services.reconciliation.store import PLANS
from services.reconciliation.store.breaks import Breaks, StoredBreak, Wanted

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXECUTIONS = 30
OLD = 20_000
FILL = f"""
WITH old AS (SELECT n, 'old-' || n AS id FROM generate_series(1, {OLD}) AS n), agreed AS (
    INSERT INTO agreed_execution
    SELECT n, n, n, n, 1, -1, '2026-11-19', 'XSIM', id, id, 'alice', 'AAPL' FROM old
), sighted AS (
    INSERT INTO sighting
    SELECT source, n, 0, '2026-11-19', 1, -1, true, 'XSIM', 'seen-' || n, id, 'alice', 'AAPL'
    FROM old, generate_series(1, 4) AS source
)
INSERT INTO break (break_id, venue, execution_id, class, trade_id, trade_date, told, noticed_at,
    opened_at, last_seen_at, closed_at, ending)
SELECT gen_random_uuid(), 'XSIM', id, 1, id, '2026-11-19', '[]', now(), now(), now(), now(), 1
FROM old
"""


class Counting:
    """Takes the place of a lane; counts the rows of tables that are read, by table."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self.rows: dict[str, int] = {}

    async def run(self, work: Callable[[psycopg.AsyncConnection], Awaitable[Any]]) -> Any:
        """In a transaction of its own."""
        async with self._connection.transaction():
            before = await self._counted()  # those of earlier transactions may still be among them
            answer = await work(self._connection)
            for table, count in (await self._counted()).items():
                self.rows[table] = self.rows.get(table, 0) + count - before.get(table, 0)
        return answer

    async def _counted(self) -> dict[str, int]:
        cursor = await self._connection.execute(
            "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
            " FROM pg_stat_xact_user_tables"
        )
        return dict(await cursor.fetchall())


def told(source: Source, name: str, first: int) -> Page:
    """A page of new executions, the first of them at `first`."""
    sightings = tuple(
        Sighting(
            source=source,
            position=first + number,
            trade_date=date(2026, 11, 20),
            shares=1,
            cash_micros=-1,
            venue="XSIM",
            execution_id=f"{name}-{number}",
            trade_id=f"{name}-{number}",
            customer_id="" if source is Source.VENUE else "alice",
            symbol="AAPL",
        )
        for number in range(EXECUTIONS)
    )
    after, until = Place(first - 1, "", ""), Place(first + EXECUTIONS, "", "")
    return Page(
        source=source,
        after=after,
        next=until,
        reaches_end=False,
        began_at=NOW,
        sightings=sightings,
    )


async def rounds(connection: psycopg.AsyncConnection, name: str, first: int) -> dict[str, int]:
    """The rows touched by executions all tell alike, some told by not all of them, and a break."""
    lane = Counting(connection)
    books = Books(cast(Any, lane), SystemIds(SystemClock()))
    pages = [told(source, name, first) for source in Source]
    for is_reread in (False, True):
        await books.take(pages, is_reread=is_reread, now=NOW)
    other = [told(source, f"{name}-other", first + EXECUTIONS) for source in Source]
    late, *early = other
    outcome = await books.take(early, is_reread=False, now=NOW, noticed_by=NOW)
    assert outcome.is_changed
    opened = await books.open_due(NOW, now=NOW)
    assert len(opened.opened) >= EXECUTIONS
    closed = await books.take([late], is_reread=False, now=NOW, noticed_by=NOW)
    assert len(closed.closed) >= EXECUTIONS
    lost = replace(early[-1], sightings=early[-1].sightings[1:])
    await books.take([lost], is_reread=True, now=NOW)
    await books.count_open()
    return lane.rows


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["unanalyzed", "analyzed"])
async def test_a_round_touches_no_more_rows_after_much_was_compared(
    postgres_url: str, is_analyzed: bool
) -> None:
    """On a connection whose plans were made when every table was empty, and on a new one."""
    await migrate(postgres_url, MIGRATIONS)
    options = " ".join(f"-c {key}={value}" for key, value in PLANS.items())
    url = make_conninfo(postgres_url, options=options)
    connect = psycopg.AsyncConnection.connect
    async with await connect(url, autocommit=True, prepare_threshold=0) as connection:
        before = await rounds(connection, "before", 1_000_000)
        await connection.execute(FILL.encode())
        if is_analyzed:
            await connection.execute("ANALYZE")
        old_plans = await rounds(connection, "after", 2_000_000)
    async with await connect(url, autocommit=True, prepare_threshold=0) as connection:
        new_plans = await rounds(connection, "later", 3_000_000)

    assert all(before[table] for table in ("agreed_execution", "sighting", "suspect", "break"))
    for after in (old_plans, new_plans):
        for table, count in after.items():
            assert count < before.get(table, 0) + OLD / 10, f"{table}: {before} -> {after}"


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["unanalyzed", "analyzed"])
async def test_to_list_what_is_open_touches_none_of_the_breaks_that_are_over(
    postgres_url: str, is_analyzed: bool
) -> None:
    await migrate(postgres_url, MIGRATIONS)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(FILL.encode())
        await connection.execute(
            "UPDATE break SET closed_at = NULL, ending = 0 WHERE execution_id = 'old-7'"
        )
        if is_analyzed:
            await connection.execute("ANALYZE")
        lane = Counting(connection)
        for states in ([1], [1, 2]):
            wanted = Wanted(states=states, classes=list(range(1, 19)), before=None, limit=50)
            found = await lane.run(partial(of, wanted=wanted))
            assert [each.execution_id for each in found] == ["old-7"]
        assert lane.rows["break"] < 10


async def of(connection: psycopg.AsyncConnection, *, wanted: Wanted) -> Sequence[StoredBreak]:
    """Those that are wanted."""
    return await Breaks(connection).list(wanted)
