import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from structlog.testing import capture_logs

from libs.postgres import Lane, Pool, migrate
from libs.postgres.flight import Connection
from libs.postgres.migrate import BrokenMigrations
from libs.refusals import Unavailable
from libs.tasks import end
from tests.support.wait import until


async def _value(connection: psycopg.AsyncConnection[Any], question: bytes) -> Any:
    row = await (await connection.execute(question)).fetchone()
    return row and row[0]


@asynccontextmanager
async def _a_server_that_hangs_up() -> AsyncIterator[tuple[str, list[float]]]:
    """Its URL, and when it was called."""
    attempts: list[float] = []

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        attempts.append(asyncio.get_running_loop().time())
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"postgresql://x@127.0.0.1:{port}/x", attempts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir()
    (folder / "0001_first.sql").write_text(
        "CREATE TABLE thing (id int); INSERT INTO thing VALUES (1);"
    )
    (folder / "0002_second.sql").write_text(
        "-- no-transaction\nCREATE INDEX CONCURRENTLY thing_id ON thing (id)"
    )
    return folder


async def test_migrations_are_applied_once_even_by_several_processes_at_once(
    postgres_url: str, folder: Path
) -> None:
    applied = await asyncio.gather(*(migrate(postgres_url, folder) for _ in range(5)))
    assert sorted(applied) == [0, 0, 0, 0, 2]
    assert await migrate(postgres_url, folder) == 0


async def test_migrations_wait_for_a_server_that_takes_changes(
    postgres_url: str, folder: Path
) -> None:
    name = sql.Identifier(str(conninfo_to_dict(postgres_url)["dbname"]))
    setting = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await connection.execute(setting.format(name, "on"))
        migrating = asyncio.create_task(migrate(postgres_url, folder))
        told, _ = await asyncio.wait([migrating], timeout=0.5)
        assert not told
        await connection.execute("SET default_transaction_read_only = off")
        await connection.execute(setting.format(name, "off"))
    assert await migrating == 2


async def test_migrations_that_wait_for_a_database_say_once_what_for(folder: Path) -> None:
    with capture_logs() as lines:
        async with _a_server_that_hangs_up() as (url, attempts):
            waiting = asyncio.create_task(migrate(url, folder))
            await until(lambda: len(attempts) > 2)
            await end(waiting)
    assert [line["event"] for line in lines] == ["migrations_wait_for_the_database"]
    assert "server closed the connection" in lines[0]["error"]


async def test_a_changed_or_missing_migration_is_noticed(postgres_url: str, folder: Path) -> None:
    await migrate(postgres_url, folder)
    first = folder / "0001_first.sql"
    first.write_text(first.read_text() + " ")
    with pytest.raises(BrokenMigrations, match="0001_first"):
        await migrate(postgres_url, folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(BrokenMigrations):
        await migrate(postgres_url, folder)


async def test_a_failed_migration_leaves_nothing_behind(postgres_url: str, folder: Path) -> None:
    (folder / "0003_third.sql").write_text("CREATE TABLE more (id int); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(postgres_url, folder)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        assert await _value(connection, b"SELECT to_regclass('more')") is None
        assert await _value(connection, b"SELECT count(*) FROM schema_migration") == 2


async def test_a_migration_must_be_numbered_in_sequence(postgres_url: str, folder: Path) -> None:
    (folder / "0004_fourth.sql").write_text("SELECT 1")
    with pytest.raises(BrokenMigrations, match="0003"):
        await migrate(postgres_url, folder)


async def test_a_lane_commits_what_its_work_did(postgres_url: str) -> None:
    lane = Lane(postgres_url, name="test")

    async def work(connection: psycopg.AsyncConnection[Any]) -> int:
        await connection.execute("CREATE TABLE thing (id int)")
        return 7

    assert await lane.run(work) == 7
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        assert await _value(connection, b"SELECT to_regclass('thing')::text") == "thing"
    await lane.close()


async def test_a_lane_runs_its_work_again_when_the_connection_is_lost(postgres_url: str) -> None:
    lane = Lane(postgres_url, name="test")
    attempts = 0

    async def work(connection: psycopg.AsyncConnection[Any]) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return attempts

    assert await lane.run(work) == 2
    await lane.close()


@pytest.mark.parametrize("lost_at", ["statement", "look", "commit"])
async def test_a_flight_that_is_lost_anywhere_is_made_again(
    postgres_url: str, lost_at: str
) -> None:
    lane = Lane(postgres_url, name="test", in_flights=True)
    attempts = 0

    async def work(connection: psycopg.AsyncConnection[Any]) -> list[Any]:
        nonlocal attempts
        attempts += 1
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:

            async def cut(at: str) -> None:
                if attempts == 1 and at == lost_at:
                    pid = connection.info.backend_pid
                    await other.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])

            await connection.execute("CREATE TABLE thing (id int)")
            await cut("statement")
            cursor = await connection.execute("INSERT INTO thing VALUES (7) RETURNING id")
            await cut("look")
            found = await cursor.fetchall()
            await connection.execute("INSERT INTO thing VALUES (8)")
            await cut("commit")
        return found

    assert await lane.run(work) == [(7,)]
    assert attempts == 2
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        assert await _value(connection, b"SELECT array_agg(id ORDER BY id) FROM thing") == [7, 8]
    await lane.close()


async def test_a_flight_with_a_fault_leaves_nothing_and_the_next_is_made(
    postgres_url: str,
) -> None:
    """Also when the fault is in the very last statement, together with the commit."""
    lane = Lane(postgres_url, name="test", in_flights=True)

    async def make(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("CREATE TABLE thing (id int PRIMARY KEY)")

    async def fail(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("INSERT INTO thing VALUES (%s)", [1])
        await connection.execute("INSERT INTO thing VALUES (%s)", [1])

    async def add(connection: psycopg.AsyncConnection[Any]) -> Any:
        await connection.execute("INSERT INTO thing VALUES (%s)", [1])
        return await _value(connection, b"SELECT count(*) FROM thing")

    await lane.run(make)
    for _ in range(2):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await lane.run(fail)
    assert await lane.run(add) == 1
    await lane.close()


async def test_an_attempt_is_made_once_and_its_fault_costs_the_connection(
    postgres_url: str,
) -> None:
    lane = Lane(postgres_url, name="test")
    attempts = 0

    async def work(connection: psycopg.AsyncConnection[Any]) -> Any:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        if attempts == 4:
            async with connection.pipeline(), connection.transaction():
                await connection.execute("SELECT 1 / 0")
        return await _value(connection, b"SELECT pg_backend_pid()")

    first = await lane.attempt(work)
    with pytest.raises(psycopg.OperationalError):
        await lane.attempt(work)
    second = await lane.attempt(work)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await lane.attempt(work)
    assert len({first, second, await lane.attempt(work)}) == 3
    await lane.close()


async def test_statements_of_a_flight_leave_together_when_an_answer_is_waited_for(
    postgres_url: str,
) -> None:
    async with (
        await Connection.connect(postgres_url, autocommit=True, prepare_threshold=0) as connection,
        connection.pipeline() as flight,
    ):
        first = await connection.execute("SELECT 1")
        second = await connection.execute("SELECT 2")
        assert len(flight.command_queue) >= 2
        assert (await second.fetchall(), await first.fetchall()) == ([(2,)], [(1,)])
        await connection.execute("SELECT 3")
        assert flight.command_queue


@pytest.mark.parametrize("is_looked_at", [False, True])
async def test_the_first_fault_of_a_flight_is_told_and_its_lane_goes_on(
    postgres_url: str, is_looked_at: bool
) -> None:
    lane = Lane(postgres_url, name="test", in_flights=True)

    async def make(connection: psycopg.AsyncConnection[Any]) -> int:
        await connection.execute("CREATE TABLE thing (id int PRIMARY KEY)")
        return connection.info.backend_pid

    async def fail(connection: psycopg.AsyncConnection[Any]) -> None:
        for value in (1, 2, 1, 3):
            await connection.execute("INSERT INTO thing VALUES (%s)", [value])
        looked = await connection.execute("SELECT 1 / 0")
        if is_looked_at:
            await looked.fetchall()

    async def look(connection: psycopg.AsyncConnection[Any]) -> Any:
        return await _value(connection, b"SELECT count(*) FROM thing"), connection.info.backend_pid

    backend = await lane.run(make)
    for _ in range(3):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await lane.run(fail)
    assert await lane.run(look) == (0, backend)
    await lane.close()


async def test_a_lane_takes_nothing_back_of_a_work_that_raised(postgres_url: str) -> None:
    lane = Lane(postgres_url, name="test")

    async def fail(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("CREATE TABLE thing (id int)")
        raise ZeroDivisionError

    async def look(connection: psycopg.AsyncConnection[Any]) -> Any:
        return await _value(connection, b"SELECT to_regclass('thing')")

    with pytest.raises(ZeroDivisionError):
        await lane.run(fail)
    assert await lane.run(look) is None
    await lane.close()


@pytest.mark.parametrize("in_flights", [False, True])
async def test_what_is_cancelled_in_the_middle_leaves_nothing_and_the_next_is_made(
    postgres_url: str, in_flights: bool
) -> None:
    lane = Lane(postgres_url, name="test", in_flights=in_flights)
    begun = asyncio.Event()

    async def work(connection: psycopg.AsyncConnection) -> None:
        await connection.execute("CREATE TABLE half (id int)")
        await _value(connection, b"SELECT 1")
        begun.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(lane.run(work))
    await begun.wait()
    working.cancel()
    await asyncio.wait([working])

    assert await lane.run(lambda c: _value(c, b"SELECT to_regclass('half')")) is None
    assert await lane.run(lambda c: _value(c, b"SELECT 1")) == 1
    await lane.close()


async def test_a_lane_has_its_own_settings_and_does_one_thing_at_a_time(postgres_url: str) -> None:
    lane = Lane(postgres_url, name="test", options={"enable_nestloop": "off"})
    running = most = 0

    async def work(connection: psycopg.AsyncConnection[Any]) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        found = await _value(connection, b"SHOW enable_nestloop")
        running -= 1
        return found

    assert await asyncio.gather(*(lane.run(work) for _ in range(5))) == ["off"] * 5
    assert most == 1
    await lane.close()


async def test_a_database_that_stays_away_is_said_to_be_unavailable() -> None:
    lane = Lane("postgresql://x@127.0.0.1:1/x", name="test", give_up_seconds=0.05)

    async def work(connection: psycopg.AsyncConnection[Any]) -> None:
        raise AssertionError("there is no database")

    with pytest.raises(Unavailable):
        await lane.run(work)
    pool = Pool("postgresql://x@127.0.0.1:1/x", wait_seconds=0.05)
    await pool.open()
    with pytest.raises(Unavailable):
        async with pool.connection():
            raise AssertionError("there is no database")
    await pool.close()


async def test_a_pool_notices_that_its_connections_are_gone(postgres_url: str) -> None:
    pool = Pool(postgres_url, size=1)
    await pool.open()
    async with pool.connection() as connection:
        pid = await _value(connection, b"SELECT pg_backend_pid()")
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:
        await other.execute("SELECT pg_terminate_backend(%s)", [pid])
    async with pool.connection() as connection:
        assert await _value(connection, b"SELECT pg_backend_pid()") != pid
    await pool.close()


async def test_however_long_a_server_was_away_a_pool_looks_for_it_as_often_as_it_is_asked() -> None:
    async with _a_server_that_hangs_up() as (url, attempts):
        pool = Pool(url, wait_seconds=0.1)
        await pool.open()
        async with asyncio.timeout(20):  # by pauses that double it is half a minute until the last
            while len(attempts) < 12:
                with pytest.raises(Unavailable):
                    async with pool.connection():
                        raise AssertionError("there is no database")
        await pool.close()


async def test_a_server_that_goes_without_a_word_is_given_up_within_seconds(
    postgres_url: str,
) -> None:
    lane, pool = Lane(postgres_url, name="test"), Pool(postgres_url)
    await pool.open()
    await lane.run(_is_given_up)
    async with pool.connection() as connection:
        await _is_given_up(connection)
    await pool.close()
    await lane.close()


async def _is_given_up(connection: psycopg.AsyncConnection[Any]) -> None:
    """By the kernel: 15 seconds after what was sent last, and 11 where an answer is waited for."""
    with socket.socket(fileno=os.dup(connection.fileno())) as way:
        assert way.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
        assert way.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert way.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert way.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 2
        assert way.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3


async def test_a_pool_whose_server_takes_no_changes_says_that_it_is_unavailable(
    postgres_url: str,
) -> None:
    pool = Pool(make_conninfo(postgres_url, options="-c default_transaction_read_only=on"))
    await pool.open()
    with pytest.raises(Unavailable):
        async with pool.connection() as connection:
            await connection.execute("CREATE TABLE thing (id int)")
    await pool.close()
