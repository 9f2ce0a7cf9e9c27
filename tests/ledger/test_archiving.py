"""A month goes when all is as it was sealed, and once only, whoever is killed meanwhile."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from libs.archive import Archiving, Damaged
from libs.archive.archiving import Busy
from services.ledger.archive import Entries
from services.ledger.store import leaving
from tests.ledger.desk import Desk, a_bust
from tests.ledger.past import DONE, GONE, MONTHS, At, Past, assert_invariants_hold, buy, refusal_of


class Killed(Exception):
    """The process dies here."""


STEPS: list[tuple[str, str]] = [
    ("services.ledger.archive.leaving.keep_last", "before anything is kept"),
    ("libs.archive.archiving.take_out", "what is kept is made"),
    ("libs.postgres.partitions.attach", "the month is declared archived, and not committed"),
]


async def test_who_is_killed_is_followed_by_one_who_ends_it(
    past: Past, archive: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = past.desk

    async def owned() -> Any:
        seen = await desk.owned_by(), await desk.owned_by(as_of=past.ends[2])
        return [(each.cash, list(each.positions)) for each in seen]

    before = await owned()

    async def die(*args: Any, **named: Any) -> None:
        raise Killed

    for step, _ in STEPS:
        with monkeypatch.context() as patch:
            patch.setattr(step, die)
            with pytest.raises(Killed):
                await archive.run()
        assert await owned() == before
        assert (await desk.journal())[0].transfer.seq == 1
        await buy_and_bust(desk)
        await assert_invariants_hold(desk)
    assert len(await archive.run()) == 2
    assert await owned() == before
    assert await refusal_of(desk.journal()) == GONE
    await assert_invariants_hold(desk)


async def test_a_month_that_cannot_be_had_for_a_moment_alone_stays_as_if_nobody_had_asked(
    past: Past, archive: At, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.postgres.partitions._ATTEMPTS", 2)
    before = await past.desk.journal()
    async with (
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other,
        other.transaction(),
    ):
        await other.execute("LOCK TABLE entry IN ACCESS SHARE MODE")
        with pytest.raises(Busy, match=f"{past.first} stays"):
            await archive.run()
    assert await past.desk.journal() == before
    assert len(await archive.run()) == 2
    assert await refusal_of(past.desk.journal()) == GONE


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


async def test_a_month_stays_whose_entries_lie_elsewhere_or_of_which_not_all_would_be_left(
    past: Past, archive: At, superuser_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as anybody:
        await anybody.execute("SET session_replication_role = replica")
        await anybody.execute("UPDATE entry SET month = month + 1 WHERE transfer_seq = 1")
        first, _ = await archive.archiving.candidates(past.first.plus(2))
        assert first.obstacle == "entries lie in another month than they were recorded in"
        await anybody.execute("UPDATE entry SET month = month - 1 WHERE transfer_seq = 1")
    with monkeypatch.context() as patch:
        forgetful = leaving.KEEP_LAST.replace("WHERE", "WHERE account_id <> 1 AND")
        patch.setattr(leaving, "KEEP_LAST", forgetful)
        with pytest.raises(Damaged, match="not whole: account 1"):
            await archive.run()
    assert await past.desk.rows("TABLE archived_month") == []
    assert len(await archive.run()) == 2


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
