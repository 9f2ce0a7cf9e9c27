"""Old months of entries leave for files; what they led to stays, and so does every promise."""

import asyncio
import csv
import gzip
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psycopg
import pytest

from libs.archive import Archiving, Damaged, check
from libs.months import Month
from libs.rpc.status import reason_of
from services.ledger.archive import Entries
from services.ledger.main import Settings, house
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import (
    booked_execution_pb2,
    invariant_pb2,
    ledger_service_pb2,
    portfolio_service_pb2,
    statement_pb2,
)
from tests.ledger.calendar import Calendar, calendar_of_ledgers
from tests.ledger.desk import USD, Desk, a_bust, a_fill, a_hold, new_id
from tests.ledger.proofs import checked_statement, sealed
from tests.support.keys import Keys, bearer
from tests.support.wait import until

DONE = Reason.REASON_UNSPECIFIED
ARCHIVED = Reason.REASON_HISTORY_ARCHIVED
MONTHS = 3  # that have a history; the first two are old enough to go in the fourth


@pytest.fixture
def calendar() -> Iterator[Calendar]:
    """The ledger's."""
    with calendar_of_ledgers() as calendar:
        yield calendar


class Past(NamedTuple):
    """Three months in which alice bought ten shares each, at the desk of the fourth."""

    desk: Desk
    first: Month
    deposit: str  # of 10,000 dollars in the first month
    bobs: str  # deposit of 70 dollars in the first month, all that he ever did
    held: str  # 500 dollars for a trade in the first month, which is still open
    fills: list[str]  # one in each month
    seqs: list[int]  # the last transfer of each month
    ends: list[datetime]  # a moment after what happened in each

    @property
    def horizon(self) -> int:
        """The last transfer of the months that may go."""
        return self.seqs[1]


@pytest.fixture
async def past(
    settings: Settings, postgres_url: str, keys: Keys, calendar: Calendar
) -> AsyncIterator[Past]:
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        past = Past(desk, calendar.month, new_id(), new_id(), new_id(), [], [], [])
        await desk.deposit(10_000 * USD, deposit=past.deposit)
        await desk.deposit(70 * USD, customer="bob", deposit=past.bobs)
        await desk.hold(a_hold(trade=past.held, amount=500 * USD))
        for month in range(MONTHS):
            calendar.turn_to(past.first.plus(month))
            past.fills.append(await buy(desk))
            ((seq,),) = await desk.rows("SELECT transfer_seq FROM journal_head")
            past.seqs.append(seq)
            past.ends.append(calendar.now())
        calendar.turn_to(past.first.plus(MONTHS))
        await desk.deposit(1 * USD)
        await sealed(desk)
        yield past


async def buy(desk: Desk) -> str:
    """Ten shares for 1,000 dollars; the execution."""
    trade, execution = new_id(), new_id()
    (held,) = await desk.hold(a_hold(trade=trade, amount=1_000 * USD))
    (filled,) = await desk.post(a_fill(trade, execution=execution, last=True))
    assert held.reason == filled.reason == DONE
    return execution


class At:
    """Who archives, in the month after the last one that has a history."""

    def __init__(self, past: Past, connection: psycopg.AsyncConnection, folder: Path) -> None:
        now = past.first.plus(MONTHS)
        self.archiving = Archiving(connection, Entries(), folder, now=now)
        self._before = past.first.plus(2)

    async def run(self) -> list[Any]:
        """What goes; the manifests."""
        await self.archiving.begin()
        manifests = []
        for candidate in await self.archiving.candidates(self._before):
            assert candidate.obstacle == ""
            partition = await self.archiving.partition_of(candidate)
            manifests.append(await self.archiving.archive(partition, lambda rows: None))
        return manifests


@pytest.fixture
async def archive(past: Past, postgres_url: str, tmp_path: Path) -> AsyncIterator[At]:
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        yield At(past, connection, tmp_path)


async def assert_invariants_hold(desk: Desk) -> None:
    stream = desk.ledger.GetInvariants(
        invariant_pb2.GetInvariantsRequest(full=True), metadata=bearer(desk.keys.operator())
    )
    async for look in stream:
        assert {i.id: list(i.breaches) for i in look.invariants if not i.holds} == {}


async def refusal_of(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), str(reason_of(caught.value))


GONE = (grpc.StatusCode.OUT_OF_RANGE, "HISTORY_ARCHIVED")


async def statement(desk: Desk, start: datetime | None, folder: Path) -> Any:
    request = statement_pb2.GetStatementRequest(asset="USD")
    if start is not None:
        getattr(request, "from").FromDatetime(start)
    return await checked_statement(desk, folder, request)


async def test_old_months_are_in_files_and_their_last_balances_stay(
    past: Past, archive: At, tmp_path: Path
) -> None:
    desk = past.desk
    entries = await desk.rows(
        "SELECT transfer_seq, account_id, version, amount, balance_after, encode(hash, 'hex')"
        " FROM entry ORDER BY 1, 2, 3"
    )
    manifests = await archive.run()
    assert [m.month for m in manifests] == [str(past.first), str(past.first.plus(1))]
    assert [m.facts["last_transfer_seq"] for m in manifests] == past.seqs[:2]
    told = []
    for manifest in manifests:
        assert check(tmp_path / manifest.file.replace(".csv.gz", ".json")) == manifest
        with gzip.open(tmp_path / manifest.file, "rt", newline="") as file:
            for row in csv.DictReader(file):
                figures = ("transfer_seq", "account_id", "version", "amount", "balance_after")
                told.append((*(int(row[name]) for name in figures), row["hash"][2:]))
    assert told == [entry for entry in entries if entry[0] <= past.horizon]
    left = await desk.rows(
        "SELECT transfer_seq, account_id, version, amount, balance_after, encode(hash, 'hex')"
        " FROM entry ORDER BY 1, 2, 3"
    )
    latest = {entry[1]: entry for entry in told}
    assert left == sorted([*latest.values(), *entries[len(told) :]])
    await assert_invariants_hold(desk)


async def test_trades_go_on_as_if_nothing_had_gone(past: Past, archive: At) -> None:
    desk = past.desk
    owned = await desk.cash_of(), await desk.shares_of()
    await archive.run()
    assert (await desk.cash_of(), await desk.shares_of()) == owned
    await buy(desk)
    (filled,) = await desk.post(a_fill(past.held, quantity=5, last=True))  # held in a month gone by
    assert filled.reason == DONE
    (busted,) = await desk.correct(a_bust(past.fills[2]))
    assert busted.reason == DONE
    assert await desk.shares_of() == (35, 0, 3_500 * USD)
    assert await desk.cash_of() == (6_501 * USD, 0)
    await assert_invariants_hold(desk)


async def test_an_id_of_an_archived_month_does_nothing_again(past: Past, archive: At) -> None:
    desk = past.desk
    await archive.run()
    cash = await desk.cash_of()
    again = ledger_service_pb2.DepositRequest(
        deposit_id=past.deposit,
        customer_id="alice",
        amount_micros=10_000 * USD,
        reference="gift",
    )
    operator = bearer(desk.keys.operator())
    assert not (await desk.ledger.Deposit(again, metadata=operator)).HasField("balance")
    bobs = ledger_service_pb2.DepositRequest(
        deposit_id=past.bobs, customer_id="bob", amount_micros=70 * USD, reference="gift"
    )  # his entry is there, the other side of it is not
    assert not (await desk.ledger.Deposit(bobs, metadata=operator)).HasField("balance")
    (held,) = await desk.hold(a_hold(trade=past.held, amount=500 * USD))
    assert (held.reason, held.amount, list(held.balances)) == (DONE, 500 * USD, [])
    assert await desk.cash_of() == cash
    again.amount_micros += 1
    assert (await refusal_of(desk.ledger.Deposit(again, metadata=operator)))[
        1
    ] == "EXISTS_DIFFERENT"


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


class Killed(Exception):
    """The process dies here."""


STEPS: list[tuple[str, str]] = [
    ("services.ledger.archive.leaving.keep_last", "before anything is kept"),
    ("services.ledger.archive.leaving.declare", "what is kept is made"),
    ("libs.archive.archiving.take_out", "the month is declared archived"),
]


async def test_who_is_killed_is_followed_by_one_who_ends_it(
    past: Past, archive: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = past.desk

    async def owned() -> Any:
        seen = await desk.owned_by()
        return seen.cash, list(seen.positions)

    before = await owned()

    async def die(*args: Any, **named: Any) -> None:
        raise Killed

    for step, _ in STEPS:
        with monkeypatch.context() as patch:
            patch.setattr(step, die)
            with pytest.raises(Killed):
                await archive.run()
        assert await owned() == before
        await buy_and_bust(desk)
        await assert_invariants_hold(desk)
    assert await refusal_of(desk.journal()) == GONE  # of what is about to go half is no answer
    assert len(await archive.run()) == 2
    assert await owned() == before
    await assert_invariants_hold(desk)


async def buy_and_bust(desk: Desk) -> None:
    (busted,) = await desk.correct(a_bust(await buy(desk)))
    assert busted.reason == DONE


TAMPERED: dict[str, str] = {
    "an amount": "UPDATE entry SET amount = amount + 1 WHERE transfer_seq = 1 AND amount > 0",
    "an entry that is gone": "DELETE FROM entry WHERE transfer_seq = 2 AND amount > 0",
    "a reference": "UPDATE transfer SET reference = 'theft' WHERE seq = 1",
    "a batch": "UPDATE batch SET hash = sha256(hash) WHERE seq = 1",
    "a checkpoint": "UPDATE checkpoint SET merkle_root = sha256(merkle_root) WHERE seq = 1",
}


async def test_a_month_that_was_changed_by_hand_stays(
    past: Past, archive: At, superuser_url: str
) -> None:
    async with await psycopg.AsyncConnection.connect(superuser_url) as anybody:
        for what, change in TAMPERED.items():
            await anybody.execute("SET session_replication_role = replica")
            for table in ("entry", "transfer", "batch", "checkpoint"):
                await anybody.execute(f"CREATE TEMP TABLE old AS TABLE {table}".encode())
                if change.startswith((f"UPDATE {table}", f"DELETE FROM {table}")):
                    await anybody.execute(change.encode())
                    await anybody.commit()
                    with pytest.raises(Damaged, match="not what was sealed"):
                        await archive.run()
                    assert await past.desk.rows("TABLE archived_month") == [], what
                    await anybody.execute(f"DELETE FROM {table}".encode())
                    await anybody.execute(f"INSERT INTO {table} TABLE old".encode())
                await anybody.execute("DROP TABLE old")
            await anybody.commit()
    assert len(await archive.run()) == 2  # all is as it was


async def test_a_month_goes_only_when_the_books_are_beyond_it(
    past: Past, archive: At, superuser_url: str
) -> None:
    """Whatever the clock of who archives says."""
    archiving = archive.archiving
    later = Archiving(
        archiving._connection, Entries(), archiving._folder, now=past.first.plus(MONTHS + 9)
    )
    *others, present = await later.candidates(past.first.plus(MONTHS + 1))
    assert [each.obstacle for each in others] == [""] * MONTHS
    with pytest.raises(Damaged, match="nothing was recorded after it yet"):
        await later.archive(await later.partition_of(present), lambda rows: None)
    await buy(past.desk)
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as anybody:
        await anybody.execute("SET session_replication_role = replica")
        await anybody.execute(
            "UPDATE checkpoint SET last_transfer_seq = last_transfer_seq - 1"
            " WHERE last_transfer_seq = %s",
            [past.seqs[0]],
        )
    found = await later.candidates(past.first.plus(2))
    assert [each.obstacle for each in found] == [
        "a checkpoint reaches over its end",
        "an older month stays",
    ]


async def test_the_command_says_what_goes_and_what_stays(
    past: Past, postgres_url: str, tmp_path: Path
) -> None:
    """By the clock of who runs it, whatever the ledger's says: here it is still the first month."""
    options = ("--before", str(past.first.plus(1)), "--into", str(tmp_path))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.ledger.archive", *options),
        env=os.environ | {"STOCKBROKER_DATABASE_URL": postgres_url},
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert str(past.first) in told.decode()
    assert "stays" in told.decode()
    assert await past.desk.rows("TABLE archived_month") == []


async def test_no_checkpoint_reaches_over_the_end_of_a_month(past: Past) -> None:
    ends = await past.desk.rows("SELECT last_transfer_seq FROM checkpoint")
    assert {(seq,) for seq in past.seqs} <= set(ends)


async def test_the_ledger_begins_and_ends_with_months_archived(
    past: Past, archive: At, settings: Settings, postgres_url: str, keys: Keys, tmp_path: Path
) -> None:
    await archive.run()
    async with (
        house(settings) as rpc,
        Desk(
            rpc.address, postgres_url, keys, waits_for="stockbroker.ledger.v1.PortfolioService"
        ) as other,
    ):
        await assert_invariants_hold(other)
        assert await other.owned_by() == await past.desk.owned_by()
