"""Transactions in flights: statements under way together, and what goes wrong with them."""

import asyncio
from typing import Any

import psycopg
import pytest

from libs.postgres import FlightLane, Statements
from libs.postgres.arrays import Bigints, Texts
from libs.refusals import Invalid
from stockbroker.common.v1.reason_pb2 import Reason

_END_IT = (
    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'test'"
)


async def _ids(url: str) -> Any:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT array_agg(id ORDER BY id) FROM thing")
        row = await cursor.fetchone()
        return row[0] if row else None


@pytest.mark.parametrize("lost_at", ["statement", "look", "commit"])
async def test_a_flight_that_is_lost_anywhere_is_made_again(
    postgres_url: str, lost_at: str
) -> None:
    lane = FlightLane(postgres_url, name="test")
    attempts = 0

    async def work(connection: Statements) -> list[Any]:
        nonlocal attempts
        attempts += 1
        async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as other:

            async def cut(at: str) -> None:
                if attempts == 1 and at == lost_at:
                    await other.execute(_END_IT)

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
    assert await _ids(postgres_url) == [7, 8]
    await lane.close()


async def test_a_flight_with_a_fault_leaves_nothing_and_the_next_is_made(
    postgres_url: str,
) -> None:
    """Also when the fault is in the very last statement, together with the commit."""
    lane = FlightLane(postgres_url, name="test")

    async def make(connection: Statements) -> None:
        await connection.execute("CREATE TABLE thing (id int PRIMARY KEY)")

    async def fail(connection: Statements) -> None:
        await connection.execute("INSERT INTO thing VALUES (%(id)s)", {"id": 1})
        await connection.execute("INSERT INTO thing VALUES (%(id)s)", {"id": 1})

    async def add(connection: Statements) -> Any:
        await connection.execute("INSERT INTO thing VALUES (%(id)s)", {"id": 1})
        return await (await connection.execute("SELECT count(*) FROM thing")).fetchone()

    await lane.run(make)
    for _ in range(2):
        with pytest.raises(psycopg.errors.UniqueViolation):
            await lane.run(fail)
    assert await lane.run(add) == (1,)
    await lane.close()


async def test_rows_are_read_in_any_order_and_parameters_may_be_named_twice(
    postgres_url: str,
) -> None:
    lane = FlightLane(postgres_url, name="test")

    async def work(connection: Statements) -> list[Any]:
        one = await connection.execute(
            "SELECT n, %(word)s::text || %(word)s::text FROM unnest(%(ns)s::bigint[]) AS i (n)",
            {"word": "ab", "ns": Bigints([1, 2])},
            binary=True,
        )
        none = await connection.execute("SELECT 1 WHERE false")
        other = await connection.execute(
            "SELECT unnest(%(texts)s::text[])", {"texts": Texts(["a", "\u00e9"])}, binary=True
        )
        texts = [row async for row in other]
        return [await none.fetchone(), texts, await one.fetchall(), await one.fetchall()]

    found = [(1, "abab"), (2, "abab")]
    for _ in range(2):
        assert await lane.run(work) == [None, [("a",), ("\u00e9",)], found, found]
    await lane.close()


async def test_a_flight_larger_than_what_the_network_holds_goes_and_comes_whole(
    postgres_url: str,
) -> None:
    lane = FlightLane(postgres_url, name="test")
    texts = ["x" * 1000 + str(number) for number in range(5_000)]

    async def work(connection: Statements) -> list[Any]:
        asked = [
            await connection.execute("SELECT unnest(%(t)s::text[])", {"t": Texts(texts)})
            for _ in range(4)
        ]
        return [await each.fetchall() for each in asked]

    for rows in await lane.run(work):
        assert [text for (text,) in rows] == texts
    await lane.close()


async def test_what_is_refused_in_the_middle_of_a_flight_leaves_nothing(
    postgres_url: str,
) -> None:
    lane = FlightLane(postgres_url, name="test")

    async def make(connection: Statements) -> None:
        await connection.execute("CREATE TABLE thing (id int)")

    async def refuse(connection: Statements) -> None:
        await connection.execute("INSERT INTO thing VALUES (1)")
        raise Invalid(Reason.REASON_INVALID_REQUEST, "no")

    async def add(connection: Statements) -> None:
        await connection.execute("INSERT INTO thing VALUES (2)")

    await lane.run(make)
    with pytest.raises(Invalid):
        await lane.run(refuse)
    await lane.run(add)
    assert await _ids(postgres_url) == [2]
    await lane.close()


async def test_a_fault_that_is_not_minded_is_never_committed(postgres_url: str) -> None:
    lane = FlightLane(postgres_url, name="test")

    async def work(connection: Statements) -> None:
        await connection.execute("CREATE TABLE thing (id int)")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await (await connection.execute("SELECT * FROM no_such_thing")).fetchall()
        await connection.execute("INSERT INTO thing VALUES (1)")

    with pytest.raises(psycopg.Error):
        await lane.run(work)
    with pytest.raises(psycopg.errors.UndefinedTable):
        await _ids(postgres_url)
    await lane.close()


async def test_a_flight_that_is_given_up_is_not_committed(postgres_url: str) -> None:
    lane = FlightLane(postgres_url, name="test")
    is_under_way = asyncio.Event()

    async def make(connection: Statements) -> None:
        await connection.execute("CREATE TABLE thing (id int)")

    async def wait(connection: Statements) -> None:
        await connection.execute("INSERT INTO thing VALUES (1)")
        asked = await connection.execute("SELECT pg_sleep(0.2)")
        is_under_way.set()
        await asked.fetchall()

    async def add(connection: Statements) -> None:
        await connection.execute("INSERT INTO thing VALUES (2)")

    await lane.run(make)
    waiting = asyncio.create_task(lane.run(wait))
    await is_under_way.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await lane.run(add)
    assert await _ids(postgres_url) == [2]
    await lane.close()
