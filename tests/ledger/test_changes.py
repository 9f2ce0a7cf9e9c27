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
from libs.months import Month
from libs.postgres import Pool
from services.ledger.archive import Entries
from services.ledger.auditor import Auditor
from services.ledger.domain.changes import Changes, Moving
from services.ledger.main import Settings, house
from services.ledger.tenure import Tenure
from tests.ledger.calendar import Calendar
from tests.ledger.desk import USD, Desk
from tests.ledger.past import buy
from tests.ledger.test_invariants import NOTHING_KEPT
from tests.support.keys import Keys
from tests.support.wait import until

NOTHING = Moving(0, 0)
FORTH_AND_BACK = (
    "UPDATE entry SET amount = amount + 1 WHERE transfer_seq = 1",
    "UPDATE entry SET amount = amount - 1 WHERE transfer_seq = 1",
)


def test_as_many_are_removed_as_were_moved_and_not_one_more() -> None:
    changes, default = Changes(), ("entry", 1)
    assert not changes.note({default: (9, 0, 0)}, NOTHING)
    assert not changes.note({default: (9, 0, 0)}, Moving(6, 6))  # counted later
    assert not changes.note({default: (9, 0, 4), ("entry", 2): (6, 0, 0)}, Moving(6, 6))
    assert changes.breaches == {}
    assert changes.note({default: (9, 0, 7), ("entry", 2): (6, 0, 0)}, Moving(6, 0))
    assert changes.breaches == {"I3": ["1 rows of entry were changed or removed"]}
    assert not changes.note({default: (9, 0, 7)}, Moving(6, 0))  # a partition that left
    assert changes.note({default: (9, 0, 8), ("batch", 3): (1, 1, 0)}, Moving(6, 0))
    assert list(changes.breaches) == ["I3", "I6"]


def test_what_was_moved_before_the_first_look_excuses_nothing() -> None:
    changes = Changes()
    changes.note({("entry", 1): (9, 0, 6)}, Moving(6, 0))
    assert changes.note({("entry", 1): (9, 0, 7)}, Moving(6, 0))


def test_a_move_that_is_over_excuses_nothing_more_and_no_move_excuses_a_change() -> None:
    changes, default = Changes(), ("entry", 1)
    assert not changes.note({default: (9, 0, 0)}, Moving(6, 6))  # the first look, in its midst
    assert not changes.note({default: (9, 0, 2)}, Moving(6, 6))
    assert changes.note({default: (9, 1, 2)}, Moving(6, 6))
    assert not changes.note({default: (9, 1, 4)}, Moving(6, 0))  # what was counted at its end
    assert changes.is_moving
    assert not changes.note({default: (9, 1, 4)}, Moving(6, 0))
    assert not changes.is_moving
    assert changes.note({default: (9, 1, 5)}, Moving(6, 0))


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
        yield Watched(desk, Auditor(pool, kept=NOTHING_KEPT, tenure=tenure, clock=clock), calendar)
        await pool.close()


async def change(superuser_url: str, *statements: str) -> None:
    """By who may do anything, and whom no trigger stops."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as anybody:
        await anybody.execute("SET session_replication_role = replica")
        for statement in statements:
            await anybody.execute(statement.encode())


async def bought_unprepared(watched: Watched) -> Month:
    """A month nobody had made a partition for: in it something was bought, and in the next."""
    month = watched.calendar.month.plus(5)
    for each in (month, month.plus(1)):
        watched.calendar.turn_to(each)
        await buy(watched.desk)
    return month


async def moved_out(
    desk: Desk, month: Month, connection: psycopg.AsyncConnection, folder: Path
) -> int:
    """How many entries of the month were moved to a partition of its own."""
    ((there,),) = await desk.rows("SELECT count(*) FROM entry_default")
    archiving = Archiving(connection, Entries(), folder, now=month.plus(3))
    await archiving.begin()
    partition = await archiving.partition_of(Candidate(month, None, ""))
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
    month = await bought_unprepared(watched)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        moved = await moved_out(watched.desk, month, connection, tmp_path)
        assert await watched.breaches() == []

    async def is_counted() -> bool:
        return await watched.counted("n_tup_del") == moved

    await until(is_counted, seconds=60)
    assert await watched.breaches() == await watched.breaches(full=True) == []
    await buy(watched.desk)
    assert await watched.breaches() == []

    await change(superuser_url, *FORTH_AND_BACK)
    await until(lambda: is_told(watched), seconds=60)


class Died(Exception):
    """Who archives is no more."""


async def test_a_move_that_was_given_up_is_no_alarm_and_what_is_removed_later_is(
    watched: Watched,
    postgres_url: str,
    superuser_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server counts what was removed also where it was not committed."""
    month = await bought_unprepared(watched)
    assert await watched.breaches() == []

    async def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr("libs.postgres.partitions.attach", die)  # once the rows are removed
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as first:
            await moved_out(watched.desk, month, first, tmp_path)

    async def is_counted() -> bool:
        return await watched.counted("n_tup_del") > 0

    await until(is_counted, seconds=60)
    assert await watched.breaches() == []
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as second:
        await moved_out(watched.desk, month, second, tmp_path)
        assert await watched.breaches() == []
    assert await watched.breaches(full=True) == await watched.breaches() == []

    await change(superuser_url, "DELETE FROM entry_default")
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
