"""Old months leave the database for files, and nothing is lost on the way."""

import asyncio
import csv
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from libs.archive import Archiving, Damaged, Left, check, command
from libs.archive.archiving import Busy
from libs.archive.files import FORMAT
from libs.months import BY_UUID7, Month
from libs.postgres.leaves import make_like
from libs.postgres.partitions import Partition, ensure, partitions
from tests.libs.diary import MADE, NOW, TABLE, At, Steps, an_id, rows, write
from tests.support.archiving import archive

JUNE, JULY, AUGUST = Month(2026, 6), Month(2026, 7), Month(2026, 8)
MONTHS = [JULY, AUGUST, Month(2026, 9), Month(2026, 10), NOW]
SEPTEMBER = BY_UUID7.first(Month(2026, 9))
NOTES = [None, "", 'a "quoted", one\nof two lines', "plain", "ü"]


class Interrupted(Exception):
    """The process dies here."""


@pytest.fixture
async def connection(postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """With steps of each month from June to November 2026."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(MADE)
        await ensure(connection, TABLE, MONTHS)
        for month in [JUNE, *MONTHS]:
            ids = [an_id(month.year, month.month, day) for day in range(1, 6)]
            await write(connection, zip(ids, NOTES, strict=True))
        yield connection


@pytest.fixture
def archiving(connection: psycopg.AsyncConnection, tmp_path: Path) -> Archiving:
    """In November 2026."""
    return Archiving(connection, Steps(), tmp_path, now=NOW)


async def names(connection: psycopg.AsyncConnection) -> list[str]:
    return [each.name for each in await partitions(connection, TABLE)]


async def test_what_goes_is_in_files_that_anyone_can_read(
    archiving: Archiving, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    all_rows = await rows(connection)
    june, july = await archive(archiving, AUGUST)

    assert (june.month, june.has_all_before, july.month, july.has_all_before) == (
        "2026-06",
        True,
        "2026-07",
        False,
    )
    assert (july.rows, july.schema, july.facts) == (5, "0001_steps.sql", {"mood": "good"})
    assert july == check(tmp_path / "diary-step-2026-07.json")
    with gzip.open(tmp_path / july.file, "rt", newline="") as file:
        told = list(csv.DictReader(file))
    assert [row["note"] for row in told] == ["", "", *NOTES[2:]]
    assert [row["octets"] for row in told] == ["\\xff"] * 5
    assert {row["at"] for row in told} == {"2026-11-20 07:00:00+00"}
    assert july.first == {"who": "ann", "id": told[0]["id"]}
    assert july.last == {"who": "ann", "id": told[-1]["id"]}

    assert await rows(connection) == all_rows[10:]
    assert await rows(connection, "archived.step_2026_07") == all_rows[5:10]
    assert (await names(connection))[:2] == ["step_before", "step_2026_08"]


async def test_a_file_goes_back_into_a_table_as_it_was(
    archiving: Archiving, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    _, july = await archive(archiving, AUGUST)
    await make_like(connection, TABLE, "again")
    async with connection.cursor().copy("COPY again FROM STDIN (FORMAT csv, HEADER)") as copy:
        await copy.write(gzip.decompress((tmp_path / july.file).read_bytes()))
    cursor = await connection.execute(
        "SELECT count(*) FROM (TABLE again EXCEPT TABLE archived.step_2026_07) AS other"
    )
    assert await cursor.fetchone() == (0,)
    assert len(await rows(connection, "again")) == 5


async def test_what_comes_late_for_an_archived_month_stays(
    archiving: Archiving, connection: psycopg.AsyncConnection
) -> None:
    await archive(archiving, JULY)
    late = an_id(2026, 6, 28)
    await write(connection, [(late, "late")])
    assert await rows(connection, "step_before") == [late]
    await archive(archiving, Month(2026, 9))
    assert await rows(connection, "step_before") == [late]
    assert await names(connection) == [
        "step_before",
        "step_2026_09",
        "step_2026_10",
        "step_2026_11",
    ]


async def test_what_must_be_left_behind_takes_the_place_of_what_was_left_before(
    connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    class Leaves(Steps):
        async def prepare(self, connection: psycopg.AsyncConnection, partition: Partition) -> Left:
            await connection.execute("DROP TABLE IF EXISTS next")
            await make_like(connection, TABLE, "next")
            await connection.execute(
                f"INSERT INTO next SELECT * FROM {partition.name} ORDER BY id DESC LIMIT 1".encode()
            )
            return Left("next")

    archiving = Archiving(connection, Leaves(), tmp_path, now=NOW)
    of_august = [each for each in await rows(connection) if each < SEPTEMBER][-1]
    await archive(archiving, Month(2026, 9))
    assert await rows(connection, "step_before") == [of_august]
    assert (await rows(connection))[0] == of_august


@pytest.mark.parametrize("step", ["facts", "prepare", "taken_out"])
async def test_a_run_that_is_interrupted_loses_nothing_and_the_next_one_goes_on(
    connection: psycopg.AsyncConnection, tmp_path: Path, step: str
) -> None:
    class Dies(Steps):
        pass

    async def die(*_: object) -> None:
        raise Interrupted

    setattr(Dies, step, die)
    all_rows = await rows(connection)
    with pytest.raises(Interrupted):
        await archive(Archiving(connection, Dies(), tmp_path, now=NOW), JULY)
    is_out = step == "taken_out"
    assert await rows(connection) == (all_rows[5:] if is_out else all_rows)
    if is_out:
        assert await rows(connection, "archived.step_2026_06") == all_rows[:5]

    again = Archiving(connection, Steps(), tmp_path, now=NOW)
    for partition in await again.taken_out():
        await again.complete(partition, again.checked(partition), lambda rows: None)
    await archive(again, JULY)
    assert check(tmp_path / "diary-step-2026-06.json").rows == 5
    assert await rows(connection) == all_rows[5:]


async def test_a_row_that_comes_while_its_month_goes_is_in_the_file(
    connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    late = an_id(2026, 6, 28)

    class Late(Steps):
        async def prepare(self, connection: psycopg.AsyncConnection, partition: Partition) -> Left:
            await write(connection, [(late, "late")])
            return Left()

    (june,) = await archive(Archiving(connection, Late(), tmp_path, now=NOW), JULY)
    assert june.rows == 6
    assert june.last["id"] == late
    assert june == check(tmp_path / "diary-step-2026-06.json")
    assert late in await rows(connection, "archived.step_2026_06")


async def test_a_month_is_dropped_only_while_its_file_holds_it(
    archiving: Archiving, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    _, july = await archive(archiving, AUGUST)
    first, second = await archiving.taken_out()
    await archiving.drop(first)

    path = tmp_path / july.file
    whole = path.read_bytes()
    without_a_row = gzip.compress(b"".join(gzip.decompress(whole).splitlines(True)[:-1]))
    for other in (whole[:-9], whole[:40] + b"\0" + whole[41:], without_a_row, b"", b"text"):
        path.write_bytes(other)
        with pytest.raises(Damaged):
            await archiving.drop(second)
    path.write_bytes(whole)
    await connection.execute("DROP TRIGGER step_append_only ON archived.step_2026_07")
    await connection.execute("UPDATE archived.step_2026_07 SET note = 'other'")
    with pytest.raises(Damaged, match="does not hold"):
        await archiving.drop(second)
    assert await archiving.taken_out() == [second]


async def test_files_of_another_database_are_not_taken_for_ones_own_nor_written_over(
    archiving: Archiving, connection: psycopg.AsyncConnection
) -> None:
    await connection.execute("ALTER TABLE step RENAME TO mine")
    await connection.execute("ALTER TABLE mine RENAME TO step")
    partition = (await partitions(connection, TABLE))[0]
    theirs = await archiving.archive(partition, lambda rows: None)
    await connection.execute("UPDATE schema_migration SET applied_at = '2020-01-01'")
    for manifest in (None, theirs):  # has as many rows
        with pytest.raises(Damaged, match="another database"):
            await archiving.complete(partition, manifest, lambda rows: None)


async def test_no_month_goes_before_its_time_or_its_turn(
    archiving: Archiving, connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    stays = {each.month: each.obstacle for each in await archiving.candidates(NOW.plus(1))}
    assert list(stays) == [JUNE, *MONTHS]
    assert [month for month, why in stays.items() if not why] == [JUNE, *MONTHS[:3]]
    mistyped = await archiving.candidates(Month(9026, 8))
    assert [each.month for each in mistyped] == list(stays)

    steps = Steps()
    steps.stays = "somebody needs it"
    archiving = Archiving(connection, steps, tmp_path, now=NOW)
    whys = [each.obstacle for each in await archiving.candidates(Month(2026, 10))]
    assert whys == ["", "somebody needs it", "an older month stays", "an older month stays"]
    await archive(archiving, Month(2026, 10))
    assert (await names(connection))[:2] == ["step_before", "step_2026_07"]


async def test_a_month_that_lies_in_default_goes_in_its_turn(
    connection: psycopg.AsyncConnection, tmp_path: Path
) -> None:
    later = Archiving(connection, Steps(), tmp_path, now=Month(2027, 3))
    december = an_id(2026, 12, 24)
    await write(connection, [(december, None)])
    assert await rows(connection, "step_default") == [december]
    written = await archive(later, Month(2027, 2))
    assert [each.month for each in written][-2:] == ["2026-12", "2027-01"]
    assert [each.rows for each in written][-2:] == [1, 0]
    assert await rows(connection) == []


async def test_one_run_at_a_time(
    archiving: Archiving, connection: psycopg.AsyncConnection, postgres_url: str, tmp_path: Path
) -> None:
    await archiving.begin()
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        with pytest.raises(Busy):
            await Archiving(other, Steps(), tmp_path, now=NOW).begin()


async def test_a_month_stays_while_others_are_at_the_table_all_the_time(
    archiving: Archiving,
    connection: psycopg.AsyncConnection,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("libs.postgres.partitions._ATTEMPTS", 2)
    before = await rows(connection), await names(connection)
    async with (
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other,
        other.transaction(),
    ):
        await rows(other)
        with pytest.raises(Busy, match="2026-06 stays"):
            await archive(archiving, AUGUST)
    assert (await rows(connection), await names(connection)) == before
    assert [each.month for each in await archive(archiving, AUGUST)] == ["2026-06", "2026-07"]


async def test_an_operators_command_does_it_all(
    connection: psycopg.AsyncConnection, postgres_url: str, tmp_path: Path
) -> None:
    app = command.command_of(Steps(), At(NOW.year, NOW.month, 20))
    environment = {"STOCKBROKER_DATABASE_URL": postgres_url, "COLUMNS": "200"}

    async def said(*options: str) -> tuple[int, str]:
        words = ["--into", str(tmp_path / "a"), *options]
        done = await asyncio.to_thread(CliRunner(env=environment).invoke, app, words)
        return done.exit_code, done.output

    status, text = await said("--check")
    assert (status, text.count("has no manifest")) == (1, 1)  # another folder was meant

    status, text = await said("--before", "2020-01", "--dry-run")
    assert (status, text) == (0, "diary has no month before 2020-01 in its database\n")

    status, text = await said("--before", "2026-12", "--dry-run")
    assert (status, text.count("goes"), text.count("stays:")) == (0, 4, 2)
    assert len(await rows(connection)) == 30
    assert not (tmp_path / "a").exists()

    status, text = await said("--before", "2026-08", "--drop")
    assert (status, text.count("is written and compared: 5 rows")) == (0, 2)
    assert text.count("dropped") == 2
    assert len(await rows(connection)) == 20
    assert (await said("--check"))[1].count("holds what its manifest says") == 2

    file = tmp_path / "a" / "diary-step-2026-06.csv.gz"
    file.write_bytes(file.read_bytes()[:-1])
    status, text = await said("--check")
    assert status == 1
    assert "stopped" in text
    manifest = tmp_path / "a" / "diary-step-2026-06.json"
    manifest.write_text(manifest.read_text().replace(FORMAT, "[/x]"))
    status, text = await said("--check")
    assert (status, text.count("of another format: '[/x]'")) == (1, 1)
    assert (await said("--before", "soon"))[0] == 2
