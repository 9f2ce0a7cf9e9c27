"""What is archived is told as archived, and never by half."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
import pytest

from libs.rpc.status import metadata_of
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import (
    booked_execution_pb2,
    ledger_service_pb2,
    portfolio_service_pb2,
    statement_pb2,
)
from tests.ledger.desk import USD, Desk, a_bust, new_id
from tests.ledger.past import GONE, At, Past, refusal_of
from tests.ledger.proofs import checked_statement
from tests.support.keys import bearer

ARCHIVED = Reason.REASON_HISTORY_ARCHIVED


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
