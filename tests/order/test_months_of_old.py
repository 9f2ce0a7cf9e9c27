"""A database from before its events were kept in months loses nothing and copies nothing."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from libs.months import Month
from libs.postgres import migrate
from libs.postgres.partitions import Partition, name_of, partitions
from services.order.database import MIGRATIONS
from services.order.store.months import TRADE_EVENTS
from tests.order.client import events_of, seqs
from tests.order.conftest import MakeHouse
from tests.order.months import LASTING, SECOND, THIRD, THIS, place_in, value
from tests.support.wait import until

_BEFORE = 11


@pytest.fixture
def postgres_url(new_database: Callable[..., str]) -> str:
    """A fresh empty database with its own role."""
    return new_database()


@pytest.fixture
async def old(postgres_url: str, tmp_path: Path) -> str:
    """A database as the service had it then; its URL."""
    for path in sorted(MIGRATIONS.glob("*.sql"))[:_BEFORE]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    await migrate(postgres_url, tmp_path)
    return postgres_url


# A clock may have run ahead.
@pytest.mark.parametrize("last", [THIS, THIS.plus(7)], ids=["now", "ahead"])
async def test_old_events_are_the_first_month(make_house: MakeHouse, old: str, last: Month) -> None:
    async with await psycopg.AsyncConnection.connect(old, autocommit=True) as connection:
        trade_ids = [
            (await place_in(connection, month, ["alice"], LASTING))[0]
            for month in (THIS.plus(-30), last)
        ]
        file = await value(
            connection, "SELECT relfilenode FROM pg_class WHERE relname = 'trade_event'"
        )
        async with make_house() as order:
            first = Partition(name_of(TRADE_EVENTS, last), None, last.plus(1))
            wanted = [first] + [
                Partition(name_of(TRADE_EVENTS, month), month, month.plus(1))
                for month in (SECOND, THIRD)
                if month > last
            ]

            async def are_made() -> bool:
                return await partitions(connection, TRADE_EVENTS) == wanted

            await until(are_made, what="the months to come have their partitions")
            question = f"SELECT relfilenode FROM pg_class WHERE relname = '{first.name}'"
            assert await value(connection, question) == file
            await order.place("alice")
            stream = order.watch("alice")
            assert seqs(await events_of(stream, 3)) == [1, 2, 3]
            stream.cancel()
            for trade_id in trade_ids:
                assert len(await order.events("alice", trade_id)) == 1
            assert await value(connection, f"SELECT count(*) FROM {first.name}") == 3
