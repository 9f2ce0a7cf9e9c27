"""What is archived is told as archived, and never by half."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from libs.postgres import Pool
from libs.refusals import Archived
from libs.rpc.status import metadata_of, reason_of
from services.ledger import auditor
from services.ledger.domain.books import CASH, CUSTOMER, AccountKey
from services.ledger.store import bookings, leaving
from services.ledger.store.statements import Statements
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import (
    booked_execution_pb2,
    ledger_service_pb2,
    portfolio_service_pb2,
    statement_pb2,
)
from tests.ledger.desk import USD, Desk, a_bust, new_id
from tests.ledger.past import GONE, At, Past, assert_invariants_hold, refusal_of
from tests.ledger.proofs import checked_statement
from tests.support.keys import bearer
from tests.support.wait import until

ARCHIVED = Reason.REASON_HISTORY_ARCHIVED


@pytest.fixture
async def pool(postgres_url: str) -> AsyncIterator[Pool]:
    """The readers' way to the books."""
    pool = Pool(postgres_url)
    await pool.open()
    yield pool
    await pool.close()


async def statement(
    desk: Desk, start: datetime | None, folder: Path, *, end: datetime | None = None
) -> Any:
    request = statement_pb2.GetStatementRequest(asset="USD")
    if start is not None:
        getattr(request, "from").FromDatetime(start)
    if end is not None:
        request.until.FromDatetime(end)
    return await checked_statement(desk, folder, request)


async def test_what_is_archived_is_told_as_archived(
    past: Past, archive: At, tmp_path: Path
) -> None:
    desk = past.desk
    customer, operator = bearer(desk.keys.customer("alice")), bearer(desk.keys.operator())
    before = await desk.owned_by()
    await archive.run()

    assert await refusal_of(desk.journal()) == GONE
    assert await refusal_of(desk.journal(last=1_000)) == GONE
    records = await desk.journal(after=past.horizon)
    assert next(r.transfer.seq for r in records if r.HasField("transfer")) == past.horizon + 1

    assert await refusal_of(statement(desk, None, tmp_path)) == GONE
    assert await refusal_of(statement(desk, past.ends[0], tmp_path)) == GONE
    quiet = past.ends[0] + timedelta(seconds=1)  # nothing happened until then
    assert await refusal_of(statement(desk, past.ends[0], tmp_path, end=quiet)) == GONE
    report = await statement(desk, past.ends[1], tmp_path)
    assert (report.opening_balance, report.closing_balance) == (8_070 * USD - 70 * USD, 7_001 * USD)

    for field in ("as_of", "known_at"):
        asked = portfolio_service_pb2.GetPortfolioRequest()
        getattr(asked, field).FromDatetime(past.ends[0])
        assert await refusal_of(desk.portfolio.GetPortfolio(asked, metadata=customer)) == GONE
        getattr(asked, field).FromDatetime(past.ends[1])
        then = await desk.portfolio.GetPortfolio(asked, metadata=customer)
        assert (then.cash.total_micros, then.positions[0].quantity) == (8_000 * USD, 20)
        assert then.positions[0].cost_micros == 2_000 * USD
        getattr(asked, field).FromDatetime(past.ends[2] + timedelta(days=62))
        assert (await desk.portfolio.GetPortfolio(asked, metadata=customer)).cash == before.cash

    listed = await desk.portfolio.ListEntries(
        portfolio_service_pb2.ListEntriesRequest(page_size=1_000), metadata=customer
    )
    assert len(listed.entries) == 4  # of the trade of the third month, and the deposit
    assert past.ends[0] < listed.archived_until.ToDatetime(past.ends[0].tzinfo) <= past.ends[1]

    (deposit,) = await desk.transfers(past.deposit)
    assert (deposit.is_archived, deposit.transfer.kind) == (True, "deposit")
    assert (deposit.transfer.entry_count, list(deposit.balances)) == (0, [])
    reversal = ledger_service_pb2.RequestReversalRequest(
        request_id=new_id(), transfer_id=past.deposit, reference="oops"
    )
    assert await refusal_of(desk.ledger.RequestReversal(reversal, metadata=operator)) == GONE

    (busted,) = await desk.correct(a_bust(past.fills[0]))
    assert busted.reason == ARCHIVED
    assert await desk.owned_by() == before

    booked = await desk.ledger.ListBookedExecutions(
        booked_execution_pb2.ListBookedExecutionsRequest(limit=1), metadata=operator
    )
    assert (list(booked.executions), booked.archived_seq) == ([], past.horizon)
    assert (booked.next_after_seq, booked.reaches_end) == (past.horizon, False)
    asked_on = booked_execution_pb2.ListBookedExecutionsRequest(after_seq=past.horizon)
    booked = await desk.ledger.ListBookedExecutions(asked_on, metadata=operator)
    assert [e.execution_id for e in booked.executions] == past.fills[2:]
    assert booked.reaches_end


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


async def test_bookings_that_are_overtaken_by_the_archive_are_told_without_those_that_went(
    past: Past, archive: At, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They had been found, and what they moved was to be read yet."""
    read = bookings._movements
    runs = iter([archive.run])

    async def overtaken(*asked: Any) -> Any:
        for run in runs:
            await run()
        return await read(*asked)

    monkeypatch.setattr(bookings, "_movements", overtaken)
    booked = await bookings.Bookings(pool).between(0, 1_000)
    assert booked.archived_seq == past.horizon
    assert [each.execution_id for each in booked.bookings] == past.fills[2:]
    assert all(each.movements for each in booked.bookings)


async def test_a_look_at_the_books_that_is_overtaken_by_the_archive_sees_them_whole(
    past: Past, archive: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its moment was before the month was declared archived; the month goes after its end."""
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


async def test_a_figure_that_is_refused_is_refused_with_the_time_from_which_on_there_is_one(
    desk: Desk,
) -> None:
    """Something archived was effective long after it was recorded."""
    await desk.deposit(100 * USD)
    ((recorded_at,),) = await desk.rows("SELECT recorded_at FROM journal_head")
    effective_at = recorded_at + timedelta(days=9)
    async with await psycopg.AsyncConnection.connect(desk.database_url) as connection:
        await connection.execute(
            "INSERT INTO archived_month VALUES (1, 1, %s, %s)", [recorded_at, effective_at]
        )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await desk.owned_by(as_of=recorded_at + timedelta(days=1))
    told = datetime.fromisoformat(metadata_of(refused.value)["archived_until"])
    assert told == effective_at
    assert (await desk.owned_by(as_of=told)).cash.total_micros == 100 * USD


async def test_what_was_effective_after_its_month_puts_figures_off(
    past: Past, archive: At, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await psycopg.AsyncConnection.connect(superuser_url) as anybody:
        await anybody.execute("SET session_replication_role = replica")
        for seq, effective_at in ((1, past.ends[2]), (2, past.ends[0])):
            change = "UPDATE transfer SET effective_at = %s WHERE seq = %s"
            await anybody.execute(change, [effective_at, seq])

    async def believe(*asked: Any) -> None:
        """Its hash is of other terms now."""

    monkeypatch.setattr("services.ledger.archive.prove", believe)
    await archive.run()
    assert await refusal_of(past.desk.owned_by(as_of=past.ends[1])) == GONE
    assert await refusal_of(past.desk.owned_by(as_of=past.ends[2] - timedelta(seconds=1))) == GONE
    then = await past.desk.owned_by(as_of=past.ends[2])
    assert then.cash.total_micros == 7_000 * USD
