"""Whoever changes history is found out; to move a month to its own partition is no change."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from unittest.mock import AsyncMock

import psycopg
import pytest

from libs.archive import Archiving
from libs.archive.archiving import Candidate
from libs.clock import SystemClock
from libs.postgres import Pool
from services.ledger.archive import Entries
from services.ledger.auditor import Auditor
from services.ledger.domain.changes import Changes
from services.ledger.main import Settings, house
from services.ledger.tenure import Tenure
from tests.ledger.calendar import Calendar
from tests.ledger.desk import USD, Desk
from tests.ledger.past import buy
from tests.support.keys import Keys
from tests.support.wait import until

FORTH_AND_BACK = (
    "UPDATE entry SET amount = amount + 1 WHERE transfer_seq = 1",
    "UPDATE entry SET amount = amount - 1 WHERE transfer_seq = 1",
)


def test_as_many_are_removed_as_were_moved_and_not_one_more() -> None:
    changes, default = Changes(), ("entry", 1)
    assert not changes.note({default: (9, 0, 0)}, moved=0)
    assert not changes.note({default: (9, 0, 0)}, moved=6)  # counted later
    assert not changes.note({default: (9, 0, 4), ("entry", 2): (6, 0, 0)}, moved=6)
    assert changes.breaches == {}
    assert changes.note({default: (9, 0, 7), ("entry", 2): (6, 0, 0)}, moved=6)
    assert changes.breaches == {"I3": ["1 rows of entry were changed or removed"]}
    assert not changes.note({default: (9, 0, 7)}, moved=6)  # a partition that left
    assert changes.note({default: (9, 0, 8), ("batch", 3): (1, 1, 0)}, moved=6)
    assert list(changes.breaches) == ["I3", "I6"]


def test_what_was_moved_before_the_first_look_excuses_nothing() -> None:
    changes = Changes()
    changes.note({("entry", 1): (9, 0, 6)}, moved=6)
    assert changes.note({("entry", 1): (9, 0, 7)}, moved=6)


class Watched(NamedTuple):
    """Books that nobody but the test looks at."""

    desk: Desk
    auditor: Auditor
    calendar: Calendar

    async def counted(self, column: str) -> int:
        """How many entries were ever changed or removed, as far as that is counted."""
        ((count,),) = await self.desk.rows(
            f"SELECT coalesce(sum({column}), 0)::bigint FROM pg_stat_user_tables"
            " WHERE relname LIKE 'entry%%'"
        )
        return int(count)

    async def breaches(self, *, full: bool = False) -> list[str]:
        """What a look shows to be broken."""
        found = (await self.auditor.look(full=full)).findings
        return [words for finding in found.values() for words in finding.breaches]


@pytest.fixture
async def watched(
    settings: Settings, postgres_url: str, keys: Keys, calendar: Calendar
) -> AsyncIterator[Watched]:
    clock, pool = SystemClock(), Pool(postgres_url)
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(10_000 * USD)
        await pool.open()
        tenure = Tenure(postgres_url, clock=clock, on_change=AsyncMock())
        yield Watched(desk, Auditor(pool, tenure=tenure, clock=clock), calendar)
        await pool.close()


async def change(superuser_url: str, *statements: str) -> None:
    """By who may do anything, and whom no trigger stops."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as anybody:
        await anybody.execute("SET session_replication_role = replica")
        for statement in statements:
            await anybody.execute(statement.encode())


async def moved_out(watched: Watched, connection: psycopg.AsyncConnection, folder: Path) -> int:
    """How many entries of a month nobody had made a partition for were moved to its own."""
    desk, begun = watched.desk, watched.calendar.month
    watched.calendar.turn_to(begun.plus(5))
    await buy(desk)
    watched.calendar.turn_to(begun.plus(6))
    await buy(desk)
    ((there,),) = await desk.rows("SELECT count(*) FROM entry_default")
    archiving = Archiving(connection, Entries(), folder, now=begun.plus(8))
    partition = await archiving.partition_of(Candidate(begun.plus(5), None, ""))
    ((moved,),) = await desk.rows(f"SELECT count(*) FROM {partition.name}")
    assert await desk.rows("SELECT count(*) FROM entry_default") == [(there - moved,)]
    return int(moved)


@pytest.mark.parametrize("is_first_look", [True, False])
async def test_a_month_moved_out_of_the_default_partition_is_no_alarm(
    watched: Watched, postgres_url: str, superuser_url: str, tmp_path: Path, is_first_look: bool
) -> None:
    """Also where who looks begins in the very moment after it."""
    if not is_first_look:
        assert await watched.breaches() == []
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        moved = await moved_out(watched, connection, tmp_path)
        assert await watched.breaches() == []

    async def is_counted() -> bool:
        return await watched.counted("n_tup_del") == moved

    await until(is_counted, seconds=60)
    assert await watched.breaches() == await watched.breaches(full=True) == []
    await buy(watched.desk)
    assert await watched.breaches() == []

    await change(superuser_url, *FORTH_AND_BACK)
    await until(lambda: is_told(watched), seconds=60)


async def is_told(watched: Watched) -> bool:
    """Whether the auditor found out."""
    return any("rows of entry were changed" in words for words in await watched.breaches())


async def test_a_change_is_told_whatever_look_comes_first(
    watched: Watched, superuser_url: str
) -> None:
    """Also one that goes over everything anyway, and that cannot see it: it was undone."""
    assert await watched.breaches() == []
    await change(superuser_url, *FORTH_AND_BACK)

    async def is_counted() -> bool:
        return await watched.counted("n_tup_upd") == 4

    await until(is_counted, seconds=60)
    told = ["4 rows of entry were changed or removed"]
    assert await watched.breaches(full=True) == told
    assert await watched.breaches() == await watched.breaches(full=True) == told
