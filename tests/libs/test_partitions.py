"""A table in months: each has its partition in time, and writing never fails for want of one."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from libs.months import BY_NUMBER, BY_UUID7, Month, MonthlyTable, months_between
from libs.postgres.partitions import ensure, gather, partitions
from libs.postgres.upkeep import keep_ahead, look_ahead
from libs.tasks import end
from tests.libs.diary import MADE, NOW, TABLE, At, an_id, rows, write
from tests.support.wait import until


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """With the table of steps, divided in June 2026."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(MADE)
        yield connection


def test_a_month_has_the_ids_made_in_it_and_no_others() -> None:
    first = BY_UUID7.first(Month(2026, 7))
    assert an_id(2026, 6, 30) < first <= an_id(2026, 7)
    assert BY_UUID7.month(first) == Month(2026, 7)
    assert BY_UUID7.month("ffffffff-ffff-7000-8000-000000000000") == Month(9999, 12)
    assert BY_NUMBER.month(BY_NUMBER.first(Month(2026, 7))) == Month(2026, 7)


def test_months_are_read_and_counted_as_in_a_calendar() -> None:
    assert Month.parse("2026-12").plus(1) == Month(2027, 1)
    assert list(map(str, months_between(Month(2026, 12), Month(2027, 2)))) == ["2026-12", "2027-01"]
    for text in ("2026-13", "2026-00", "2026-7", "26-07", "2026-07-01", ""):
        with pytest.raises(ValueError, match="written like"):
            Month.parse(text)


async def test_months_to_come_are_made_once_however_many_make_them(
    connection: psycopg.AsyncConnection, postgres_url: str
) -> None:
    await asyncio.gather(*(look_ahead(postgres_url, [TABLE], At(2026, 11)) for _ in range(4)))
    names = [each.name for each in await partitions(connection, TABLE)]
    assert names == ["step_2026_06", "step_2026_11", "step_2026_12", "step_2027_01"]
    await write(connection, [(an_id(2026, 12, 31), None), (an_id(2020, 1), None)])
    assert await rows(connection, "step_2026_12") == [
        an for an in await rows(connection) if an > "019"
    ]
    assert await rows(connection, "step_default") == []


async def test_a_new_partition_is_what_the_others_are(connection: psycopg.AsyncConnection) -> None:
    assert await ensure(connection, TABLE, [NOW]) == [NOW]
    cursor = await connection.execute(
        "SELECT reloptions FROM pg_class WHERE oid = 'step_2026_11'::regclass"
    )
    assert await cursor.fetchall() == [(["fillfactor=70", "autovacuum_analyze_threshold=20000"],)]
    cursor = await connection.execute(
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'step_2026_11'"
    )
    ((index,),) = await cursor.fetchall()
    assert index.endswith("(who, id)")
    await write(connection, [(an_id(2026, 11), None)])
    cursor = await connection.execute("SELECT has_table_privilege('step_2026_11', 'DELETE')")
    assert await cursor.fetchall() == [(True,)]
    for change in (b"DELETE FROM step_2026_11", b"TRUNCATE step_2026_11"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            await connection.execute(change)
    with pytest.raises(psycopg.errors.CheckViolation):
        await connection.execute("INSERT INTO step (id, who) VALUES (%s, '')", [an_id(2026, 11)])


async def test_what_its_owner_may_not_do_to_one_partition_holds_of_a_new_one(
    connection: psycopg.AsyncConnection,
) -> None:
    await connection.execute("REVOKE DELETE, TRUNCATE ON step_default FROM CURRENT_USER")
    await write(connection, [(an_id(2026, 11), None)])
    assert await gather(connection, TABLE, NOW)
    for name in ("step_2026_11", "step_default"):
        cursor = await connection.execute(
            "SELECT has_table_privilege(name, 'INSERT'), has_table_privilege(name, 'DELETE'),"
            " has_table_privilege(name, 'TRUNCATE') FROM (SELECT %s) AS t (name)",
            [name],
        )
        assert await cursor.fetchall() == [(True, False, False)]


async def test_a_month_that_lies_in_default_stays_there_until_it_is_gathered(
    connection: psycopg.AsyncConnection,
) -> None:
    early, late = an_id(2026, 11, 2), an_id(2026, 12, 2)
    await write(connection, [(early, None), (late, None)])
    assert await ensure(connection, TABLE, [NOW, NOW.plus(2)]) == [NOW.plus(2)]
    assert await rows(connection, "step_default") == [early, late]

    assert await gather(connection, TABLE, NOW)
    assert not await gather(connection, TABLE, NOW)
    assert await rows(connection, "step_default") == [late]
    assert await rows(connection, "step_2026_11") == [early]
    assert await rows(connection) == [early, late]
    with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
        await connection.execute("DELETE FROM step_default")


async def test_a_partition_is_made_although_the_table_is_in_use(
    connection: psycopg.AsyncConnection, postgres_url: str
) -> None:
    """Who waits for a lock gives up, lets others pass, and comes again."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        async with connection.transaction():
            await connection.execute("LOCK TABLE step_default IN ACCESS SHARE MODE")
            making = asyncio.create_task(ensure(other, TABLE, [NOW]))

            async def is_refused_once() -> bool:
                cursor = await connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                return await cursor.fetchone() != (0,)

            await until(is_refused_once, what="it waits for the lock")
            await write(connection, [(an_id(2026, 6), None)])
        assert await asyncio.wait_for(making, 60) == [NOW]


async def test_who_keeps_ahead_survives_a_table_that_is_not_there(
    connection: psycopg.AsyncConnection, postgres_url: str
) -> None:
    class Slept(At):
        slept: list[float]

        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            if len(self.slept) > 1:
                await asyncio.Event().wait()
            await connection.execute("ALTER TABLE elsewhere RENAME TO step")

    clock = Slept(2026, 11)
    clock.slept = []
    await connection.execute("ALTER TABLE step RENAME TO elsewhere")
    table = MonthlyTable("step", "id", BY_UUID7)
    keeping = asyncio.create_task(keep_ahead(postgres_url, [table], clock))
    await until(lambda: len(clock.slept) == 2)
    await end(keeping)
    assert clock.slept == [60, 86_400]
    assert [each.name for each in await partitions(connection, TABLE)][-1] == "step_2027_01"
