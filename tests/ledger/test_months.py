"""Entries lie in the month in which they were recorded, and the books are one all the same."""

from pathlib import Path

import psycopg
import pytest

from libs.months import Month
from libs.postgres.partitions import partitions
from services.ledger.main import Settings, house
from services.ledger.store.months import ENTRIES
from stockbroker.ledger.v1 import statement_pb2
from tests.ledger.calendar import Calendar
from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id
from tests.ledger.past import assert_invariants_hold
from tests.ledger.proofs import checked_statement, sealed, verified
from tests.support.keys import Keys
from tests.support.wait import until


async def ready_months(database_url: str) -> list[Month]:
    """Those that have partitions, each by its last month."""
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        return [each.month for each in await partitions(connection, ENTRIES)]


async def trade(desk: Desk) -> None:
    """Buy ten shares for 1,000 dollars."""
    bought = new_id()
    (held,) = await desk.hold(a_hold(trade=bought, amount=1_000 * USD))
    (filled,) = await desk.post(a_fill(bought, last=True))
    assert held.reason == filled.reason == 0


async def lying(desk: Desk) -> list[tuple[str, int]]:
    """The partitions that have rows, and for how many months."""
    return await desk.rows(
        "SELECT tableoid::regclass::text, count(DISTINCT month) FROM entry GROUP BY 1 ORDER BY 1"
    )


async def assert_proven(desk: Desk, folder: Path) -> None:
    """All that the books promise, in whatever months they lie."""
    await desk.assert_books_balance()
    await assert_invariants_hold(desk)
    await sealed(desk)
    report = await verified(desk, folder)
    assert report.sealed_transfers == report.transfers
    for asset in ("USD", "AAPL"):
        request = statement_pb2.GetStatementRequest(asset=asset)
        assert (await checked_statement(desk, folder, request)).opening_version == 0


async def test_the_books_of_several_months_are_one(
    settings: Settings, postgres_url: str, keys: Keys, calendar: Calendar, tmp_path: Path
) -> None:
    begun = calendar.month
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        ahead = [begun, begun.plus(1), begun.plus(2)]

        async def is_ahead() -> bool:
            return await ready_months(postgres_url) == ahead

        await until(is_ahead, seconds=30)
        await desk.deposit(10_000 * USD)
        for month in ahead:
            calendar.turn_to(month)
            await trade(desk)
        names = [(f"entry_{m.year}_{m.month:02}", 1) for m in ahead]
        assert await lying(desk) == names
        calendar.turn_to(begun.plus(3))  # nobody saw to it: the clock has leapt
        await trade(desk)
        assert await lying(desk) == sorted([*names, ("entry_default", 1)])
        await assert_proven(desk, tmp_path)
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:

        async def goes_on() -> bool:
            return begun.plus(5) in await ready_months(postgres_url)

        await until(goes_on, seconds=30)
        await trade(desk)
        calendar.turn_to(begun.plus(4))
        await trade(desk)
        assert len(await lying(desk)) == 5
        await assert_proven(desk, tmp_path)
        assert await desk.cash_of() == (4_000 * USD, 0)
        assert await desk.shares_of() == (60, 0, 6_000 * USD)


async def test_a_month_is_sealed_to_its_end_wherever_the_database_is(
    settings: Settings, postgres_url: str, superuser_url: str, keys: Keys, calendar: Calendar
) -> None:
    """Months are those of UTC: in New York March begins on the last of February."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as anybody:
        name = anybody.info.dbname
        await anybody.execute(f"ALTER DATABASE {name} SET timezone = 'America/New_York'".encode())
    march = Month(calendar.month.year + 1, 3)
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        for month, day in ((march, 15), (march, 31), (march.plus(1), 1)):
            calendar.turn_to(month, day=day)
            await desk.deposit(1 * USD)
        calendar.turn_to(march.plus(1))
        await desk.deposit(1 * USD)
        await sealed(desk)
        assert (2,) in await desk.rows("SELECT last_transfer_seq FROM checkpoint")


UNDONE = """
    ALTER TABLE entry DETACH PARTITION {name};
    DROP TABLE entry;
    DROP TABLE moved_month, archived_month CASCADE;
    DROP FUNCTION month_of;
    ALTER TABLE {name} RENAME TO entry;
    ALTER TABLE entry DROP COLUMN month;
    ALTER INDEX entry_first_version RENAME TO entry_version;
    ALTER INDEX entry_first_journal RENAME TO entry_journal;
    DELETE FROM schema_migration WHERE name >= '0006';
"""


async def test_the_history_of_an_older_ledger_stays_where_it_is(
    settings: Settings, postgres_url: str, keys: Keys, tmp_path: Path
) -> None:
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(10_000 * USD)
        await trade(desk)
        name = (await lying(desk))[0][0]
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute(UNDONE.format(name=name).encode())
        cursor = await connection.execute(
            "SELECT pg_relation_filenode('entry'), count(*) FROM entry"
        )
        filenode, count = (await cursor.fetchall())[0]
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await trade(desk)
        assert await desk.rows(f"SELECT pg_relation_filenode('{name}')") == [(filenode,)]
        months = await desk.rows("SELECT month = 0, count(*) FROM entry GROUP BY 1 ORDER BY 1")
        assert months == [(False, 5), (True, count)]
        assert len(await lying(desk)) == 1
        await assert_proven(desk, tmp_path)
        assert await desk.shares_of() == (20, 0, 2_000 * USD)


async def test_the_history_of_a_month_cannot_be_changed_past_the_others(
    desk: Desk, postgres_url: str
) -> None:
    await desk.deposit(1)
    month = Month.of(Calendar().now()).plus(1)

    async def is_there() -> bool:
        return month in await ready_months(postgres_url)

    await until(is_there, seconds=30)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        for name in (f"entry_{month.year}_{month.month:02}", "entry_default"):
            for change in (f"DELETE FROM {name}", f"UPDATE {name} SET amount = 0"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    await connection.execute(change.encode())
                await connection.rollback()
                await connection.execute(f"GRANT ALL ON {name} TO CURRENT_USER".encode())
                with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
                    await connection.execute(change.encode())
                await connection.rollback()
