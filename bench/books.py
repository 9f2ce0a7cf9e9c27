"""A ledger's books, seeded with customers, and a writer of them in this process."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg

from bench.loads import ASSET, Load
from libs.clock import SystemClock
from libs.embedded import Postgres
from libs.postgres import migrate
from libs.process import settle_memory
from services.ledger.main import MIGRATIONS
from services.ledger.tenure import Tenure
from services.ledger.writer import Writer

_SEED = """
    INSERT INTO account (id, name, asset, has_floor, posted, held, cost_micros, version, hash)
    SELECT n, 'customer/c' || n, %(asset)s, true, 1000000000000, 0, 0, 1, sha256(n::text::bytea)
    FROM generate_series(1, %(accounts)s::integer) AS n
    UNION ALL
    SELECT %(accounts)s + 1, 'bench/seed', %(asset)s, false, -1000000000000 * %(accounts)s::bigint,
        0, 0, 1, sha256('seed')
"""
# What these books break from the start: no entry tells where their first money is from.
SEEDED = frozenset({"I3"})


async def seed(postgres: Postgres, name: str, accounts: int) -> str:
    """A new database with `accounts` customers who own cash; its URL."""
    postgres.create_role_and_database(name)
    url = postgres.url(name)
    await migrate(url, MIGRATIONS)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_SEED, {"asset": ASSET, "accounts": accounts})
        await connection.execute("UPDATE journal_head SET account_id = %s", [accounts + 1])
        await connection.execute("VACUUM ANALYZE account")
    return url


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Writer]:
    """The writer, as the ledger's own process has it."""
    clock = SystemClock()

    async def on_change(is_writer: bool) -> None:
        pass

    tenure = Tenure(url, clock=clock, on_change=on_change)
    writer = Writer(url, tenure=tenure, clock=clock, max_items=500, max_queued=20_000)
    await tenure.begin()
    settle_memory()
    try:
        yield writer
    finally:
        await writer.close()
        await tenure.end()


async def call(writer: Writer, load: Load, size: int, *, is_over: Callable[[], bool]) -> "Calls":
    """One caller: a call after the other, until it is over."""
    calls = Calls()
    while not is_over():
        for operations in load(size):
            began = time.perf_counter()
            results = await writer.take(operations)
            calls.seconds.append(time.perf_counter() - began)
            calls.operations += len(results)
            if refused := [result for result in results if result.reason]:
                raise RuntimeError(f"refused: {refused[0]}")
    return calls


class Calls:
    """What a caller got done, and how long each call took."""

    def __init__(self) -> None:
        self.operations = 0
        self.seconds: list[float] = []
