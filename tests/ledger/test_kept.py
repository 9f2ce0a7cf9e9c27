"""A ledger signs no history but the one that goes on from the checkpoint it kept."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from structlog.testing import capture_logs

from libs.embedded import Postgres
from libs.proof.checkpoint import Checkpoint, SigningKey, checkpoint_hash
from libs.proof.export import read_checkpoint
from services.ledger.main import Settings, house
from services.ledger.service import PORTFOLIO
from tests.ledger.desk import Desk
from tests.ledger.proofs import on_record, sealed, verified
from tests.ledger.test_invariants import Watch
from tests.ledger.volumes import a_volume
from tests.support.keys import Keys
from tests.support.wait import until

Lines = list[Any]
LATEST = "seq = (SELECT max(seq) FROM checkpoint)"


class Ledgers:
    """Opens a ledger with these settings, again and again."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self.settings = settings
        self.key_file = Path(settings.signing_key_file)
        self.file = self.key_file.with_suffix(".checkpoint")
        self._keys = keys

    @asynccontextmanager
    async def opened(self, **changed: str) -> AsyncIterator[Desk]:
        told = replace(self.settings, **changed)
        async with (
            house(told) as rpc,
            Desk(rpc.address, told.database_url, self._keys, waits_for=PORTFOLIO) as desk,
        ):
            yield desk

    async def lived(self, days: int = 2) -> None:
        """Days of one checkpoint each."""
        async with self.opened() as desk:
            await until(desk.is_ready)
            for _ in range(days):
                await desk.deposit(5)
                await sealed(desk)

    def kept(self) -> Checkpoint:
        return read_checkpoint(self.file)

    def files(self) -> list[Path]:
        return list(self.file.parent.glob(f"{self.file.name}*"))


@pytest.fixture
def ledgers(settings: Settings, keys: Keys) -> Ledgers:
    return Ledgers(settings, keys)


Anybody = Callable[[LiteralString], Awaitable[None]]


@pytest.fixture
async def anybody(superuser_url: str) -> AsyncIterator[Anybody]:
    """Who may do anything, and whom no trigger stops."""
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")

        async def execute(statement: LiteralString) -> None:
            await connection.execute(statement)

        yield execute


async def refused(lines: Lines) -> str:
    """What the sealer says when it seals no more."""

    def told() -> list[str]:
        return [line["where"] for line in lines if line["event"] == "seal_refused"]

    return str((await until(told))[0])


def warnings(lines: Lines) -> list[str]:
    return [line["event"] for line in lines if line["log_level"] == "warning"]


async def test_the_last_checkpoint_is_kept_beside_the_key_for_its_owner_alone(
    ledgers: Ledgers, tmp_path: Path
) -> None:
    await ledgers.lived()
    async with ledgers.opened() as desk:
        assert checkpoint_hash(ledgers.kept()) == (await on_record(desk))[-1]
        assert (await verified(desk, tmp_path)).last_checkpoint == ledgers.kept()
    assert ledgers.file.stat().st_mode == ledgers.key_file.stat().st_mode
    assert ledgers.files() == [ledgers.file]  # and nothing half written


FORGERIES: dict[str, tuple[LiteralString, str]] = {
    "all checkpoints are taken off": (
        "DELETE FROM checkpoint",
        "checkpoint 2 is not there, nor the one before it",
    ),
    "the first checkpoints are signed anew": (
        "UPDATE checkpoint SET signature = sha512(signature)",
        "checkpoint 2 is not there, nor the one before it",
    ),
    "the end is rewritten, and its checkpoint taken off": (
        f"UPDATE batch SET hash = sha256(hash) WHERE seq = (SELECT max(seq) FROM batch);"
        f" DELETE FROM checkpoint WHERE {LATEST}",
        "batch 2 is not the one that checkpoint 2 covers",
    ),
    "the end is taken off": (
        f"DELETE FROM batch WHERE seq = 2; DELETE FROM checkpoint WHERE {LATEST}",
        "batch 2 is not the one that checkpoint 2 covers",
    ),
    "another one is put in the place of the last": (
        f"UPDATE checkpoint SET signature = sha512(signature) WHERE {LATEST}",
        "the ledger did not sign checkpoint 2",
    ),
    "one is put after the last": (
        "INSERT INTO checkpoint SELECT seq + 1, last_transfer_seq + 1, last_batch_seq + 1,"
        f" sha256('x'), sha256('x'), sha256('x'), now(), key_id, signature FROM checkpoint"
        f" WHERE {LATEST}",
        "the ledger did not sign checkpoint 3",
    ),
    "one of another key is put after the last": (
        "INSERT INTO checkpoint SELECT seq + 1, last_transfer_seq + 1, last_batch_seq + 1,"
        f" sha256('x'), sha256('x'), sha256('x'), now(), 'another', signature FROM checkpoint"
        f" WHERE {LATEST}",
        "the ledger did not sign checkpoint 3",
    ),
    "the last one is moved": (
        f"UPDATE checkpoint SET seq = seq + 1 WHERE {LATEST}",
        "checkpoint 2 is not there, and later ones are",
    ),
}


@pytest.mark.parametrize("how", FORGERIES)
async def test_no_history_is_signed_that_does_not_go_on_from_the_checkpoint_kept(
    how: str, ledgers: Ledgers, anybody: Anybody
) -> None:
    change, expected = FORGERIES[how]
    await ledgers.lived()
    kept = ledgers.kept()
    await anybody(change)
    with capture_logs() as lines:
        async with ledgers.opened() as desk:
            before = await on_record(desk)
            assert await refused(lines) == expected
            await until(desk.is_ready)
            await desk.deposit(7)  # trading goes on
            look = await Watch(desk).look(full=True)
            assert {i.id: list(i.breaches) for i in look.invariants if i.id == "I8"} == {
                "I8": [expected]
            }
            assert await on_record(desk) == before
        assert ledgers.kept() == kept
    alarms = {line["invariant"] for line in lines if line["event"] == "invariant_broken"}
    assert "I8" in alarms
    assert sum(line["event"] == "seal_refused" for line in lines) == 1


async def test_it_refuses_while_it_runs_too(ledgers: Ledgers, anybody: Anybody) -> None:
    with capture_logs() as lines:
        async with ledgers.opened() as desk:
            await until(desk.is_ready)
            await desk.deposit(5)
            await sealed(desk)
            await anybody("DELETE FROM checkpoint; UPDATE batch SET hash = sha256(hash)")
            await desk.deposit(5)
            assert await refused(lines) == "batch 1 is not the one that checkpoint 1 covers"
            assert await on_record(desk) == []
            assert await Watch(desk).broken() >= {"I8"}


async def test_a_checkpoint_that_was_taken_off_alone_is_put_back(
    ledgers: Ledgers, anybody: Anybody
) -> None:
    await ledgers.lived()
    kept = ledgers.kept()
    await anybody(f"DELETE FROM checkpoint WHERE {LATEST}")
    async with ledgers.opened() as desk:
        await sealed(desk)
        assert (await on_record(desk))[-1] == checkpoint_hash(kept)


async def test_of_a_ledger_that_kept_none_the_last_one_on_record_is_kept(
    ledgers: Ledgers, anybody: Anybody
) -> None:
    await ledgers.lived()
    kept = ledgers.kept()
    ledgers.file.unlink()
    with capture_logs() as lines:
        async with ledgers.opened():
            await until(ledgers.file.exists)
    assert ledgers.kept() == kept
    assert "first_checkpoint_kept" in warnings(lines)
    await anybody("DELETE FROM checkpoint")
    with capture_logs() as lines:
        async with ledgers.opened():
            await refused(lines)


async def test_a_file_that_cannot_be_read_is_no_reason_to_sign(ledgers: Ledgers) -> None:
    await ledgers.lived()
    ledgers.file.write_text("{}\n")
    with capture_logs() as lines:
        async with ledgers.opened() as desk:
            assert f"{ledgers.file} is no checkpoint that can be read" in await refused(lines)
            assert not (await Watch(desk).look()).invariants[7].holds
    assert ledgers.file.read_text() == "{}\n"


async def test_nothing_is_signed_that_cannot_be_kept(ledgers: Ledgers, tmp_path: Path) -> None:
    place = tmp_path / "not there" / "checkpoint"
    with capture_logs() as lines:
        async with ledgers.opened(checkpoint_file=str(place)) as desk:
            await until(desk.is_ready)
            await desk.deposit(5)
            await until(lambda: [line for line in lines if line["event"] == "seal_failed"])
            assert await on_record(desk) == []
            place.parent.mkdir()
            await sealed(desk)
            assert checkpoint_hash(read_checkpoint(place)) == (await on_record(desk))[-1]
    assert not ledgers.file.exists()


async def test_beside_a_key_that_lies_where_nothing_is_written_none_is_kept_and_it_is_said(
    ledgers: Ledgers, tmp_path: Path
) -> None:
    with a_volume(tmp_path / "secrets", megabytes=1) as volume:
        SigningKey.new().write(volume.folder / "seal.pem", volume.folder / "seal.pub")
        volume.write_no_more()
        with capture_logs() as lines:
            async with ledgers.opened(signing_key_file=str(volume.folder / "seal.pem")) as desk:
                await until(desk.is_ready)
                await desk.deposit(5)
                await sealed(desk)
                assert (await Watch(desk).look()).invariants[7].holds
    assert "no_checkpoint_is_kept" in warnings(lines)


async def test_who_stands_by_keeps_what_it_sees(
    ledgers: Ledgers, anybody: Anybody, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    async with ledgers.opened() as writer:
        await until(writer.is_ready)
        async with ledgers.opened(checkpoint_file=str(other)) as stand_by:
            for _ in range(2):
                await writer.deposit(5)
                await sealed(writer)
                await until(lambda: other.exists() and read_checkpoint(other) == ledgers.kept())
            assert not await stand_by.is_ready()
    await anybody("DELETE FROM checkpoint")
    with capture_logs() as lines:
        async with ledgers.opened(checkpoint_file=str(other)) as taken_over:
            await refused(lines)
            assert await on_record(taken_over) == []


async def test_another_key_goes_on_where_the_one_before_ended(
    ledgers: Ledgers, tmp_path: Path
) -> None:
    """Also that of a ledger which stood by, and has not seen the end of the one before."""
    stood_by = tmp_path / "other"
    await ledgers.lived()
    shutil.copy(ledgers.file, stood_by)
    await ledgers.lived()
    ledgers.key_file.unlink()
    SigningKey.new().write(ledgers.key_file, tmp_path / "new.pub")
    for place in (stood_by, ledgers.file):
        async with ledgers.opened(checkpoint_file=str(place)) as desk:
            await until(desk.is_ready)
            await desk.deposit(5)
            await sealed(desk)
            assert checkpoint_hash(read_checkpoint(place)) == (await on_record(desk))[-1]
            assert (await Watch(desk).look(full=True)).invariants[7].holds


async def test_a_backup_that_is_older_than_the_checkpoint_kept_is_signed_once_that_is_laid_aside(
    ledgers: Ledgers, postgres: Postgres, superuser_url: str, keys: Keys
) -> None:
    await ledgers.lived()
    told = conninfo_to_dict(superuser_url)
    backup = f"{told['dbname']}_backup"
    elsewhere = postgres.url("postgres", "postgres")
    async with await psycopg.AsyncConnection.connect(elsewhere, autocommit=True) as superuser:
        owner = conninfo_to_dict(ledgers.settings.database_url)["user"]
        names = [sql.Identifier(str(name)) for name in (backup, told["dbname"], owner)]
        await superuser.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(*names))
        try:
            await ledgers.lived()
            kept = ledgers.kept()
            url = make_conninfo(ledgers.settings.database_url, dbname=backup)
            await _restored(ledgers, url, kept)
        finally:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(backup))
            await superuser.execute(drop)


async def _restored(ledgers: Ledgers, url: str, kept: Checkpoint) -> None:
    with capture_logs() as lines:
        async with ledgers.opened(database_url=url) as desk:
            await until(desk.is_ready)
            assert await refused(lines) == "batch 4 is not the one that checkpoint 4 covers"
            await desk.deposit(7)
            assert len(await on_record(desk)) == 2
            assert not (await Watch(desk).look(full=True)).invariants[7].holds

            ledgers.file.rename(ledgers.file.with_suffix(".before"))
            await sealed(desk)
            assert len(await on_record(desk)) == 3
            look = await Watch(desk).look(full=True)
            assert look.invariants[7].holds
    (said,) = (line for line in lines if line["event"] == "first_checkpoint_kept")
    assert (said["log_level"], said["seq"]) == ("warning", 2)
    assert ledgers.kept().seq == 3
    assert read_checkpoint(ledgers.file.with_suffix(".before")) == kept
