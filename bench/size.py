"""How much disk a transfer takes for ever: all tables of history with their indexes."""

import asyncio

import psycopg

from bench.books import seed, writing
from bench.loads import Load, Loads
from bench.report import Row
from libs.embedded import Postgres
from services.ledger.writer import Writer

_ACCOUNTS = 10_000
_CALLS, _CALL_ITEMS, _CALLERS = 200, 250, 4

# Accounts are not counted: they are as many as there are customers, however many transfers.
_SIZE = """
    SELECT pg_total_relation_size('transfer') + pg_total_relation_size('batch')
        + pg_total_relation_size('hold')
        + (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('entry')),
        (SELECT count(*) FROM transfer)
"""


async def measured(postgres: Postgres) -> list[Row]:
    """Of transfers with two entries, and of holds with the transfers that draw on them."""
    url = await seed(postgres, "bench_size", _ACCOUNTS)
    loads = Loads(_ACCOUNTS)
    nothing, _ = await _size(url)
    async with writing(url) as writer:
        await _called(writer, loads.spread)
        transfers, count = await _size(url)
        await _called(writer, loads.holds)
    holds, both = await _size(url)
    note = "all tables and indexes but the accounts'"
    return [
        Row(
            name="a transfer with two entries",
            value=(transfers - nothing) / count,
            unit="B",
            target="<= 420",
            note=note,
        ),
        Row(
            name="a hold and the transfer out of it",
            value=2 * (holds - transfers) / (both - count),
            unit="B",
            note=note,
        ),
    ]


async def _called(writer: Writer, load: Load) -> None:
    left = iter(range(_CALLS))

    async def caller() -> None:
        for _ in left:
            for operations in load(_CALL_ITEMS):
                await writer.take(operations)

    await asyncio.gather(*(caller() for _ in range(_CALLERS)))


async def _size(url: str) -> tuple[int, int]:
    """Bytes, and transfers."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute(_SIZE)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])
