"""The simulated database does as PostgreSQL does where many use it at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from simulation.database import Connection, Database
from simulation.run import Tools
from simulation.world import World

Step = Callable[[Connection], Coroutine[Any, Any, None]]


class _Unseen:
    """Watches nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


@pytest.fixture
def ledger(simulated: Tools) -> Database:
    """A database with one table of its own; both are gone with the next run."""
    database = simulated.databases["ledger"]
    database.begin()
    database.ask("CREATE TABLE word (word text)")
    return database


def _words(database: Database) -> list[str]:
    return [str(word) for (word,) in database.rows("SELECT word FROM word ORDER BY word")]


def _at_once(database: Database, *steps: Step) -> list[BaseException | None]:
    """What each step ended with; each has a connection of its own."""
    world = World("at once", rates={})
    world.seen = _Unseen()
    connections = [Connection(world, database, f"c{n}") for n, _ in enumerate(steps)]

    async def together() -> list[BaseException | None]:
        works = (step(connection) for step, connection in zip(steps, connections, strict=True))
        return await asyncio.gather(*works, return_exceptions=True)

    return world.loop.run_until_complete(together())


async def _say(connection: Connection, word: str) -> None:
    await connection.execute("INSERT INTO word VALUES (%s)", [word])


async def _neighbour(connection: Connection) -> None:
    for _ in range(20):
        async with connection.transaction():
            await _say(connection, "neighbour")


@pytest.mark.parametrize("attempt", range(10))
def test_who_is_undone_takes_no_neighbour_along(ledger: Database, attempt: int) -> None:
    async def undone(connection: Connection) -> None:
        await asyncio.sleep(attempt / 1000)
        async with connection.transaction():
            await _say(connection, "outer")
            async with connection.transaction():
                await _say(connection, "inner")
            raise ValueError("undone")

    ended = _at_once(ledger, undone, _neighbour)

    assert [type(end) for end in ended] == [ValueError, type(None)]
    assert _words(ledger) == ["neighbour"] * 20


@pytest.mark.parametrize("attempt", range(10))
def test_a_part_may_be_undone_alone(ledger: Database, attempt: int) -> None:
    async def partly(connection: Connection) -> None:
        await asyncio.sleep(attempt / 1000)
        async with connection.transaction():
            await _say(connection, "a")
            with pytest.raises(ValueError, match="undone"):
                await _inner(connection)
            await _say(connection, "b")

    async def _inner(connection: Connection) -> None:
        async with connection.transaction():
            await _say(connection, "inner")
            raise ValueError("undone")

    ended = _at_once(ledger, partly, _neighbour)

    assert ended == [None, None]
    assert _words(ledger) == ["a", "b"] + ["neighbour"] * 20
