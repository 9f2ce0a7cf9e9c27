"""What is written can be proven, and what was changed by hand is found and named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import LiteralString
from unittest.mock import AsyncMock

import psycopg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from libs.postgres import Pool
from libs.proof.breach import Broken
from services.ledger.main import Settings, house
from services.ledger.service.reading import Reading
from services.ledger.store.history import History
from services.ledger.store.stored import End
from stockbroker.ledger.v1 import journal_pb2, statement_pb2
from tests.ledger.desk import SELL, USD, Desk, a_fill, a_hold, an_adjustment, new_id
from tests.ledger.proofs import checked_statement, sealed, verified
from tests.ledger.test_operators import Operator
from tests.ledger.test_transfers import a_leg, a_transfer
from tests.ledger.wire_cutter import WireCutter
from tests.support.keys import Keys
from tests.support.wait import until


async def a_day(desk: Desk) -> None:
    """Every kind of transfer, refused ones among them, for alice and bob."""
    olivia, oscar = Operator(desk, "olivia"), Operator(desk, "oscar")
    deposit, trade, sale, request = new_id(), new_id(), new_id(), new_id()
    await desk.deposit(1_000 * USD, deposit=deposit)
    await desk.deposit(500 * USD, customer="bob")
    await desk.deposit_shares(50, cost=7)
    await desk.hold(a_hold(trade=trade, amount=90 * USD), a_hold(amount=5_000 * USD))
    await sealed(desk)
    await desk.post(a_fill(trade, quantity=3, price=7 * USD, saved=3 * USD), a_fill(new_id()))
    last = a_fill(trade, quantity=1, price=9 * USD, last=True)
    last.executed_at.FromSeconds(1_700_000_000)
    await desk.post(last)
    await desk.hold(a_hold(trade=sale, asset="AAPL", amount=20))
    await desk.post(a_fill(sale, side=SELL, quantity=5))
    await desk.adjust(an_adjustment(sale, 6), an_adjustment(sale, -21), an_adjustment(sale, -22))
    await desk.adjust(an_adjustment(sale, 3))
    await desk.release(sale, sale)
    await desk.transfer(
        a_transfer(a_leg("world", "shop", 3, "EUR"), below_zero=["world"]),
        a_transfer(a_leg("customer/alice", "customer/bob", 2), a_leg("house/fees", "shop", 1)),
        a_transfer(a_leg("customer/carol", "customer/bob", 2)),
    )
    await olivia.withdraw(5 * USD)
    await olivia.withdraw_shares(2)
    await olivia.freeze("customer/bob")
    await oscar.unfreeze("customer/bob")
    await olivia.close("customer/carol")
    await olivia.request(deposit, called=request)
    await desk.deposit(200 * USD)
    await oscar.approve(request)
    await sealed(desk)


async def test_a_whole_journal_is_verified_from_its_export_alone(
    desk: Desk, tmp_path: Path
) -> None:
    await a_day(desk)
    report = await verified(desk, tmp_path)
    ((transfers, entries, batches, accounts),) = await desk.rows(
        "SELECT (SELECT count(*) FROM transfer), (SELECT count(*) FROM entry),"
        " (SELECT count(*) FROM batch), (SELECT count(*) FROM account)"
    )
    assert (report.transfers, report.entries) == (transfers, entries)
    assert (report.batches, report.accounts) == (batches, accounts)
    assert report.sealed_transfers == transfers
    assert report.signatures_checked
    await desk.assert_books_balance()


TAMPERING: list[LiteralString] = [
    "UPDATE transfer SET reference = 'other' WHERE seq = 1",
    "UPDATE transfer SET actor = 'oscar' WHERE seq = 2",
    "UPDATE batch SET recorded_at = recorded_at + interval '1 microsecond' WHERE seq = 2",
    "UPDATE transfer SET effective_at = now() - interval '1 day' WHERE seq = 6",
    "UPDATE transfer SET kind = 'withdraw' WHERE seq = 2",
    "UPDATE transfer SET fingerprint = decode(repeat('11', 16), 'hex') WHERE seq = 4",
    "UPDATE transfer SET reason = 2 WHERE seq = 5",
    "UPDATE transfer SET terms = terms || ' ' WHERE seq = 5",
    "UPDATE transfer SET amount = amount + 1 WHERE kind = 'hold' AND seq = 4",
    "UPDATE transfer SET id = gen_random_uuid() WHERE seq = 3",
    "UPDATE transfer SET hash = sha256('x') WHERE hash IS NOT NULL",
    "UPDATE transfer SET seq = CASE seq WHEN 1 THEN 1000 ELSE 1 END WHERE seq IN (1, 2);"
    " UPDATE transfer SET seq = 2 WHERE seq = 1000",
    "DELETE FROM transfer WHERE seq = 5",
    "DELETE FROM transfer WHERE seq = (SELECT max(seq) FROM transfer)",
    "UPDATE entry SET amount = amount + 1 WHERE transfer_seq = 1",
    "UPDATE entry SET balance_after = balance_after + 1 WHERE transfer_seq = 2 AND amount > 0",
    "UPDATE entry SET held_after = held_after + 1 WHERE transfer_seq = 4",
    "UPDATE entry SET cost_after = 8 WHERE transfer_seq = 3 AND cost_after = 7",
    "UPDATE entry SET hash = sha256(hash) WHERE transfer_seq = 2 AND amount > 0",
    "UPDATE entry SET transfer_seq = 1 WHERE transfer_seq = 2",
    "DELETE FROM entry WHERE transfer_seq = 2",
    "UPDATE account SET name = 'customer/mallory' WHERE name = 'customer/bob'",
    "UPDATE account SET asset = 'EUR' WHERE name = 'customer/bob'",
    "UPDATE account SET has_floor = false WHERE name = 'customer/bob'",
    "UPDATE batch SET hash = sha256(hash) WHERE seq = 2",
    "UPDATE batch SET first_seq = 1 WHERE seq = 2",
    "DELETE FROM batch WHERE seq = 2",
    "UPDATE checkpoint SET merkle_root = sha256(merkle_root) WHERE seq = 1",
    "UPDATE checkpoint SET sealed_at = sealed_at - interval '1 day' WHERE seq = 1",
    "UPDATE checkpoint SET last_transfer_seq = last_transfer_seq + 1"
    " WHERE seq = (SELECT max(seq) FROM checkpoint)",
    "DELETE FROM checkpoint WHERE seq = 1",
]


async def test_whatever_is_changed_by_hand_is_found_in_the_export(
    desk: Desk, superuser_url: str, tmp_path: Path
) -> None:
    """Each change is made by who may do anything, found, and undone."""
    await a_day(desk)
    await verified(desk, tmp_path)
    tables = ("transfer", "entry", "account", "batch", "checkpoint")
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")  # no trigger fires
        for table in tables:
            await connection.execute(f"CREATE TABLE kept_{table} AS TABLE {table}".encode())
        for change in TAMPERING:
            await connection.execute(change)
            with pytest.raises(Broken):
                await verified(desk, tmp_path)
                pytest.fail(f"not found: {change}")
            for table in tables:
                restore = f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM kept_{table}"
                await connection.execute(restore.encode())
        await verified(desk, tmp_path)


async def test_a_customer_checks_a_statement_with_the_public_key_alone(
    desk: Desk, tmp_path: Path
) -> None:
    await a_day(desk)
    ((versions, balance),) = await desk.rows(
        "SELECT version, posted FROM account WHERE name = 'customer/alice' AND asset = 'USD'"
    )
    request = statement_pb2.GetStatementRequest(asset="USD")
    report = await checked_statement(desk, tmp_path, request)
    assert (report.account, report.asset) == ("customer/alice", "USD")
    assert (report.opening_version, report.opening_balance) == (0, 0)
    assert (report.closing_version, report.closing_balance) == (versions, balance)
    assert report.entries == versions
    shares = await checked_statement(
        desk, tmp_path, statement_pb2.GetStatementRequest(asset="AAPL")
    )
    assert shares.closing_balance == 50 + 4 - 5 - 2
    nothing = await checked_statement(
        desk, tmp_path, statement_pb2.GetStatementRequest(asset="MSFT")
    )
    assert (nothing.entries, nothing.closing_balance) == (0, 0)


async def test_a_statement_of_a_period_goes_on_where_the_one_before_ended(
    desk: Desk, tmp_path: Path
) -> None:
    await a_day(desk)
    rows = await desk.rows(
        "SELECT b.recorded_at FROM transfer t JOIN entry e ON e.transfer_seq = t.seq"
        " JOIN batch b ON t.seq BETWEEN b.first_seq AND b.last_seq"
        " JOIN account a ON a.id = e.account_id"
        " WHERE a.name = 'customer/alice' AND a.asset = 'USD' ORDER BY t.seq"
    )
    middle: datetime = rows[len(rows) // 2][0]
    early = statement_pb2.GetStatementRequest(asset="USD")
    early.until.FromDatetime(middle)
    late = statement_pb2.GetStatementRequest(asset="USD")
    getattr(late, "from").FromDatetime(middle)
    first = await checked_statement(desk, tmp_path, early)
    second = await checked_statement(desk, tmp_path, late)
    assert 0 < first.closing_version == second.opening_version
    assert first.closing_balance == second.opening_balance
    assert first.entries + second.entries == len(rows)
    future = statement_pb2.GetStatementRequest(asset="USD")
    getattr(future, "from").FromDatetime(datetime.now(UTC) + timedelta(days=1))
    none = await checked_statement(desk, tmp_path, future)
    assert (none.opening_version, none.entries) == (second.closing_version, 0)


async def test_a_statement_ends_where_checkpoints_do(
    settings: Settings, postgres_url: str, keys: Keys, tmp_path: Path
) -> None:
    everything = statement_pb2.GetStatementRequest(asset="USD")
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(1)
        await sealed(desk)
    unsigned = replace(settings, checkpoint_file=str(tmp_path / "not there" / "checkpoint"))
    async with house(unsigned) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(2)
        report = await checked_statement(desk, tmp_path, everything)
    assert (report.entries, report.closing_balance) == (1, 1)


async def test_a_long_statement_over_many_checkpoints_is_whole(desk: Desk, tmp_path: Path) -> None:
    for _ in range(3):
        await desk.transfer(
            *(a_transfer(a_leg("house/fees", "customer/alice", 1)) for _ in range(600))
        )
        await sealed(desk)
    report = await checked_statement(desk, tmp_path, statement_pb2.GetStatementRequest(asset="USD"))
    assert (report.entries, report.closing_balance) == (1_800, 1_800)


class Begun(History):
    """Has looked where the journal ends, and reads on later."""

    seen: End

    async def end(self) -> End:
        return self.seen


async def test_who_began_to_read_is_told_no_checkpoint_of_what_came_later(
    desk: Desk, postgres_url: str
) -> None:
    pool = Pool(postgres_url)
    await pool.open()
    await desk.deposit(1)
    await sealed(desk)
    reading = Reading()
    reading._history = history = Begun(pool)
    history.seen = await History(pool).end()
    await desk.deposit(2)
    await sealed(desk)
    responses = reading.ListJournal(journal_pb2.ListJournalRequest(), AsyncMock())
    records = [record async for response in responses for record in response.records]
    await pool.close()
    assert [r.transfer.seq for r in records if r.HasField("transfer")] == [1]
    assert [r.checkpoint.seq for r in records if r.HasField("checkpoint")] == [1]


async def test_checkpoints_are_sealed_only_when_there_is_something_new(desk: Desk) -> None:
    await desk.deposit(1)
    await sealed(desk)
    before = await desk.rows("SELECT * FROM checkpoint")
    assert len(before) == 1
    await desk.deposit(2)
    await sealed(desk)
    times = await desk.rows("SELECT sealed_at FROM checkpoint ORDER BY seq")
    assert len(times) == 2
    assert times[1][0] - times[0][0] >= timedelta(seconds=0.9)


async def test_what_a_killed_process_left_unsealed_is_sealed_by_the_next(
    settings: Settings, postgres_url: str, superuser_url: str, keys: Keys, tmp_path: Path
) -> None:
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await a_day(desk)
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("DELETE FROM checkpoint WHERE seq > 1")
    Path(settings.signing_key_file).with_suffix(".checkpoint").unlink()  # nor were they kept
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await sealed(desk)
        report = await verified(desk, tmp_path)
        assert report.sealed_transfers == report.transfers


async def test_what_one_process_left_is_sealed_with_what_the_next_wrote(
    settings: Settings, postgres_url: str, keys: Keys, tmp_path: Path
) -> None:
    place = tmp_path / "not there" / "checkpoint"
    unsigned = replace(settings, checkpoint_file=str(place))
    async with house(unsigned) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(1)
    async with house(unsigned) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(2)
        with capture_logs() as lines:
            await until(lambda: [line for line in lines if line["event"] == "seal_failed"])
        place.parent.mkdir()
        await sealed(desk)
        report = await verified(desk, tmp_path)
    assert report.sealed_transfers == report.transfers == 2


async def test_what_was_committed_without_an_answer_is_sealed_without_waiting_for_more(
    settings: Settings, postgres_url: str, keys: Keys
) -> None:
    async with WireCutter(postgres_url) as cutter:
        here = replace(settings, database_url=cutter.url)
        async with house(here) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
            await desk.deposit(1)
            await sealed(desk)
            cutter.cut_after_commit(of="ledger-writer")
            await desk.deposit(2)
            assert cutter.cuts == 1
            await sealed(desk)


async def test_what_another_writer_left_unsealed_is_sealed_by_who_is_the_writer_again(
    desk: Desk, superuser_url: str
) -> None:
    await desk.deposit(1)
    await sealed(desk)
    async with await psycopg.AsyncConnection.connect(superuser_url) as connection:
        await connection.execute("SET session_replication_role = replica")
        await connection.execute("DELETE FROM checkpoint")
        await connection.execute("UPDATE writer SET epoch = epoch + 1, seen_at = '-infinity'")
        await connection.execute("UPDATE journal_head SET writer_epoch = writer_epoch + 1")
    await sealed(desk)
