"""Whoever owns the database forges the books: the first row that is not what it was is named."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql
from structlog.testing import capture_logs

from libs.proof.breach import Breach, Broken
from libs.proof.checkpoint import Checkpoint, read_public_key
from libs.proof.export import BatchRow, ExportWriter, JournalRow, TransferRow
from libs.proof.verify import Report, verify
from services.cli.journal import journal_rows
from services.cli.neighbours import Door
from services.ledger.main import Settings, house
from tests.ledger.desk import Desk
from tests.ledger.proofs import on_record, sealed
from tests.ledger.test_invariants import Watch
from tests.ledger.test_proof import a_day
from tests.proof import small_ledger
from tests.support.keys import Keys
from tests.support.wait import until

Changer = psycopg.AsyncConnection


class Reader:
    """Whoever has the public key and may ask for the journal."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self._desk = desk
        self._file = folder / "journal.jsonl"
        self.kept: Checkpoint | None = None
        self.rows: list[JournalRow] = []
        self.keys = [read_public_key(str(folder / "ledger.pub"))]

    async def check(self) -> Report:
        """Export the journal and recompute it; it must go on from the check before.

        Raises Broken.
        """
        report = await asyncio.to_thread(self._check)
        self.kept = report.last_checkpoint
        return report

    async def breach(self) -> Breach:
        """What is named as broken."""
        with pytest.raises(Broken) as caught:
            await self.check()
        return caught.value.breach

    def _check(self) -> Report:
        with grpc.insecure_channel(self._desk.address) as channel, self._file.open("wb") as target:
            door = Door("the ledger", channel, self._desk.keys.operator)
            writer = ExportWriter(target)
            self.rows = list(journal_rows(door))
            for row in self.rows:
                writer.write(row)
            writer.end()
        return verify(self._file, keys=self.keys, anchor=self.kept)


@pytest.fixture
async def reader(desk: Desk, settings: Settings) -> Reader:
    """A reader of a sealed journal that has every kind of transfer in it."""
    await a_day(desk)
    await sealed(desk)
    return Reader(desk, Path(settings.signing_key_file).parent)


@pytest.fixture
async def forger(superuser_url: str) -> AsyncIterator[Changer]:
    """Whoever may do anything to the database, and switches off what it has against that."""
    async with await Changer.connect(superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        cursor = await connection.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint"
            " WHERE contype = 'c' AND conrelid <> 0 AND coninhcount = 0"
        )
        for table, name in await cursor.fetchall():
            query = sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}")
            await connection.execute(query.format(sql.Identifier(table), sql.Identifier(name)))
        yield connection


# What one value of a type becomes.
FORGED = {
    "bigint": "coalesce({column}, 0) + 1000",
    "integer": "coalesce({column}, 0) + 1000",
    "smallint": "{column} # 1",
    "text": "coalesce({column}, '') || 'x'",
    "bytea": "CASE WHEN {column} IS NULL THEN sha256('') ELSE "
    "set_byte({column}, 0, get_byte({column}, 0) # 1) END",
    "timestamp with time zone": "coalesce({column}, 'epoch') + interval '1 microsecond'",
    "uuid": "gen_random_uuid()",
    "boolean": "NOT {column}",
    "USER-DEFINED": "CASE {column} WHEN 'transfer' THEN 'deposit' ELSE 'transfer' END::{kind}",
}
# Rows that are forged, column by column.
ROWS = [
    ("transfer", "seq = 2"),
    ("transfer", "seq = (SELECT max(seq) FROM transfer WHERE kind = 'reversal')"),
    ("transfer", "seq = (SELECT min(seq) FROM transfer WHERE reason <> 0)"),
    ("transfer", "kind = 'freeze'"),
    ("entry", "transfer_seq = 2 AND amount > 0"),
    ("entry", "held_after > 0 AND cost_after > 0"),
    ("batch", "seq = 2"),
    ("checkpoint", "seq = 1"),
]


async def columns_of(forger: Changer, table: str) -> list[tuple[str, str]]:
    """Names and types. In which month an entry lies is nothing that it says."""
    cursor = await forger.execute(
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = %s AND column_name <> 'month'",
        [table],
    )
    return await cursor.fetchall()


async def keep(forger: Changer, table: str) -> None:
    """So that `mend` can undo what is forged."""
    query = sql.SQL("CREATE TABLE kept AS SELECT * FROM {}").format(sql.Identifier(table))
    await forger.execute(query)


async def mend(forger: Changer, table: str) -> None:
    """As it was kept."""
    name = sql.Identifier(table)
    await forger.execute(sql.SQL("DELETE FROM {}").format(name))
    await forger.execute(sql.SQL("INSERT INTO {} SELECT * FROM kept").format(name))


@pytest.mark.parametrize(("table", "row"), ROWS)
async def test_any_value_of_a_row_that_is_changed_is_found(
    reader: Reader, forger: Changer, table: str, row: str
) -> None:
    await reader.check()
    await keep(forger, table)
    number = "transfer_seq" if table == "entry" else "seq"
    query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY 1 LIMIT 1").format(
        sql.Identifier(number), sql.Identifier(table), sql.SQL(row)
    )
    (names,) = await (await forger.execute(query)).fetchall()
    for column, type_ in await columns_of(forger, table):
        name = sql.Identifier(column)
        value = sql.SQL(FORGED[type_]).format(column=name, kind=sql.SQL("transfer_kind"))
        changed = await forger.execute(
            sql.SQL("UPDATE {} SET {} = {} WHERE {}").format(
                sql.Identifier(table), name, value, sql.SQL(row)
            )
        )
        assert changed.rowcount >= 1, column
        breach = await reader.breach()
        if (table, column) == ("batch", "recorded_at"):
            assert breach.transfer_seq is not None  # the first that it was said of
        elif column not in ("seq", "last_seq", "last_transfer_seq"):  # else elsewhere or gone
            assert named(breach, table) == names[0], column
        await mend(forger, table)
    await reader.check()


def named(breach: Breach, table: str) -> int | None:
    """The number of the row that is named."""
    if table == "batch":
        return breach.batch_seq
    return breach.checkpoint_seq if table == "checkpoint" else breach.transfer_seq


@pytest.mark.parametrize(
    ("table", "row"), [("transfer", "seq = 6"), ("entry", "transfer_seq = 6"), *ROWS[-2:]]
)
async def test_a_row_that_is_taken_out_is_found(
    reader: Reader, forger: Changer, table: str, row: str
) -> None:
    await reader.check()
    query = sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table), sql.SQL(row))
    assert (await forger.execute(query)).rowcount >= 1
    await reader.breach()


async def test_two_transfers_that_changed_places_are_found(reader: Reader, forger: Changer) -> None:
    await reader.check()
    for old, new in ((2, 1_000), (3, 2), (1_000, 3)):
        await forger.execute("UPDATE transfer SET seq = %s WHERE seq = %s", [new, old])
        await forger.execute(
            "UPDATE entry SET transfer_seq = %s WHERE transfer_seq = %s", [new, old]
        )
    assert (await reader.breach()).transfer_seq == 2


async def test_a_forgery_with_all_hashes_right_is_found_by_the_seal(
    reader: Reader, forger: Changer
) -> None:
    await reader.check()
    for row in rehashed(reader.rows):
        await write(forger, row)
    breach = await reader.breach()
    seals = [row for row in reader.rows if isinstance(row, Checkpoint)]
    first = next(seal.seq for seal in seals if seal.last_transfer_seq >= 2)
    assert (breach.checkpoint_seq, breach.rule) == (first, "signature")


@pytest.fixture
async def rewritten(
    settings: Settings, postgres_url: str, superuser_url: str, keys: Keys
) -> list[JournalRow]:
    """What was on record of a day before it was rewritten with all hashes right, and not signed."""
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await a_day(desk)
        await sealed(desk)
        before = Reader(desk, Path(settings.signing_key_file).parent)
        await before.check()
    async with await Changer.connect(superuser_url, autocommit=True) as forger:
        await forger.execute("SET session_replication_role = replica")
        for row in rehashed(before.rows):
            await write(forger, row)
        await forger.execute(
            "UPDATE account a SET hash = e.hash FROM entry e"
            " WHERE e.account_id = a.id AND e.version = a.version"
        )
        await forger.execute(
            "UPDATE journal_head SET batch_hash = batch.hash FROM batch WHERE batch.seq = batch_seq"
        )
        await forger.execute("DELETE FROM checkpoint")
    return before.rows


async def test_history_that_was_rewritten_is_not_signed_anew(
    rewritten: list[JournalRow], settings: Settings, postgres_url: str, keys: Keys
) -> None:
    with capture_logs() as lines:
        async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
            await desk.deposit(5)  # trading goes on

            def is_refused() -> bool:
                return any(line["event"] == "seal_refused" for line in lines)

            await until(is_refused)
            assert await Watch(desk).broken() == {"I8"}
            assert await on_record(desk) == []


async def test_history_that_the_ledger_signed_anew_is_found_by_a_checkpoint_from_before(
    rewritten: list[JournalRow], settings: Settings, postgres_url: str, keys: Keys
) -> None:
    folder = Path(settings.signing_key_file).parent
    (folder / "ledger.checkpoint").unlink()  # who may do that, has the key as well
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await sealed(desk)
        report = await Reader(desk, folder).check()  # by who kept nothing
        assert report.sealed_transfers == report.transfers
        after = Reader(desk, folder)
        after.kept = next(row for row in rewritten if isinstance(row, Checkpoint))
        assert (await after.breach()).rule == "the checkpoint kept from before"


def rehashed(rows: list[JournalRow]) -> list[JournalRow]:
    """With another reference in transfer 2, and all hashes right."""
    forged = [
        replace(row, reference="forged") if isinstance(row, TransferRow) and row.seq == 2 else row
        for row in rows
    ]
    return small_ledger.hashed(forged, None, without_floor={"world"})


async def write(forger: Changer, row: JournalRow) -> None:
    """What a forger has to change."""
    if isinstance(row, TransferRow):
        await forger.execute(
            "UPDATE transfer SET reference = %s WHERE seq = %s", [row.reference, row.seq]
        )
        for entry in row.entries:
            await forger.execute(
                "UPDATE entry e SET hash = decode(%s, 'hex') FROM account a WHERE a.id = account_id"
                " AND name = %s AND asset = %s AND e.version = %s",
                [entry.hash, entry.account, entry.asset, entry.version],
            )
    elif isinstance(row, BatchRow):
        await forger.execute(
            "UPDATE batch SET hash = decode(%s, 'hex') WHERE seq = %s", [row.hash, row.seq]
        )
    else:
        await forger.execute(
            "UPDATE checkpoint SET last_batch_hash = decode(%s, 'hex'),"
            " merkle_root = decode(%s, 'hex'), previous_hash = decode(%s, 'hex') WHERE seq = %s",
            [row.last_batch_hash, row.merkle_root, row.previous_hash, row.seq],
        )
