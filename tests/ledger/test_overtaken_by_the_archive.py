"""Who reads while a month of the books goes has all of it, or is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import psycopg
import pytest

from libs.postgres import Pool
from libs.refusals import Archived
from libs.rpc.status import reason_of
from services.ledger import auditor
from services.ledger.domain.books import CASH, CUSTOMER, AccountKey
from services.ledger.store import bookings, leaving
from services.ledger.store.statements import Statements
from stockbroker.ledger.v1 import booked_execution_pb2
from tests.ledger.past import GONE, At, Past, assert_invariants_hold
from tests.support.keys import bearer
from tests.support.wait import until


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    """The readers' way to the books."""
    pool = Pool(postgres_url)
    await pool.open()
    yield pool
    await pool.close()


async def test_who_reads_meanwhile_has_all_of_it_or_is_refused(
    past: Past, archive: At, postgres_url: str
) -> None:
    desk = past.desk
    whole = len(await desk.journal())
    told: list[int | tuple[grpc.StatusCode, str]] = []

    async def read() -> None:
        await assert_invariants_hold(desk)
        try:
            told.append(len(await desk.journal()))
        except grpc.aio.AioRpcError as error:
            told.append((error.code(), str(reason_of(error))))

    async def is_next_before_made() -> bool:
        return await desk.rows("SELECT to_regclass('entry_before_next')") != [(None,)]

    async with await psycopg.AsyncConnection.connect(postgres_url) as old:
        await old.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        await old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await old.execute("SELECT 1")  # from here on it sees what there is now, and all of it
        going = asyncio.create_task(archive.run())
        await until(is_next_before_made, seconds=60)
        for _ in range(3):
            await read()
        assert await desk.rows("TABLE archived_month") == []
        cursor = await old.execute("SELECT count(*) FROM entry WHERE transfer_seq = 1")
        assert await cursor.fetchall() == [(2,)]
    while not going.done():
        await read()
    assert len(await going) == 2
    await read()
    assert set(told) == {whole, GONE}
    assert told[-1] == GONE


async def test_who_reads_another_database_is_not_waited_for(
    archive: At, new_database: Callable[..., str]
) -> None:
    async with await psycopg.AsyncConnection.connect(new_database()) as elsewhere:
        await elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        await elsewhere.execute("SELECT 1")  # a dump, for instance
        assert len(await asyncio.wait_for(archive.run(), 60)) == 2


@pytest.mark.parametrize(("month", "told"), [(0, 0), (2, 0), (2, 1)])
async def test_a_statement_that_is_overtaken_by_the_archive_ends_and_says_so(
    past: Past, archive: At, pool: Pool, month: int, told: int
) -> None:
    """It knew where it begins and ends, or had told the first part, when its entries went."""
    statements, alice = Statements(pool), AccountKey(f"{CUSTOMER}alice", CASH)
    opening = await statements.opening(alice, None, past.ends[month])
    parts = statements.sealed(opening)
    for _ in range(told):
        await anext(parts)
    await archive.run()
    with pytest.raises(Archived):
        await anext(parts)


def _overtake(archive: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archive once bookings are found, before what they moved is read; once only."""
    read = bookings._movements
    runs = iter([archive.run])

    async def overtaken(*asked: Any) -> Any:
        for run in runs:
            await run()
        return await read(*asked)

    monkeypatch.setattr(bookings, "_movements", overtaken)


async def test_bookings_that_are_overtaken_by_the_archive_are_told_without_those_that_went(
    past: Past, archive: At, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had been found, and what they moved was to be read yet."""
    _overtake(archive, monkeypatch)
    booked = await bookings.Bookings(pool).between(0, 1_000)
    assert booked.archived_seq == past.horizon
    assert [each.execution_id for each in booked.bookings] == past.fills[2:]
    assert all(each.movements for each in booked.bookings)


async def test_bookings_that_are_archived_while_they_are_read_are_told_as_archived(
    past: Past, archive: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who compares books would take those that are left out for missing."""
    _overtake(archive, monkeypatch)
    request = booked_execution_pb2.ListBookedExecutionsRequest(limit=1_000, with_archived=True)
    metadata = bearer(past.desk.keys.service("reconciliation"))
    told = await past.desk.ledger.ListBookedExecutions(request, metadata=metadata)
    assert [each.execution_id for each in told.executions] == past.fills[:2]
    assert all(each.is_archived for each in told.executions)
    assert (told.next_after_seq, told.reaches_end) == (past.horizon, False)


async def test_a_look_at_the_books_that_is_overtaken_by_the_archive_sees_them_whole(
    past: Past, archive: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its moment was before the month was declared archived; that is committed after its end."""
    desk, ask, declare = past.desk, auditor._ask_executions, leaving.declare
    is_built, is_looking = asyncio.Event(), asyncio.Event()

    async def has_gone_or_waits() -> bool:
        ((is_so,),) = await desk.rows(
            "SELECT to_regnamespace('archived') IS NOT NULL OR EXISTS ("
            "SELECT FROM pg_locks WHERE relation = 'entry'::regclass AND NOT granted)"
        )
        return bool(is_so)

    async def ask_and_wait(connection: Any, bounds: Any, breaches: Any) -> None:
        await ask(connection, bounds, breaches)
        if is_built.is_set() and not is_looking.is_set() and bounds["after"] == 0:
            is_looking.set()
            await until(has_gone_or_waits, seconds=60)

    async def wait_and_declare(*asked: Any) -> None:
        is_built.set()
        await is_looking.wait()
        await declare(*asked)

    monkeypatch.setattr(auditor, "_ask_executions", ask_and_wait)
    monkeypatch.setattr(leaving, "declare", wait_and_declare)
    going = asyncio.create_task(archive.run())
    await asyncio.wait_for(is_built.wait(), 60)
    await assert_invariants_hold(desk)
    assert len(await asyncio.wait_for(going, 60)) == 2
