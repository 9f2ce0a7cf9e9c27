"""What makes a house an old one: trades, all compared; and what they take."""

import asyncio

import psycopg
from psycopg import sql

from bench.callers import BatchDoor
from bench.desk import Desk
from bench.premises import House
from bench.proving import all_compared, ask

_LONGEST_SECONDS = 60.0  # of trading in one go, after which all of it is judged
_STATISTICS_SECONDS = 1.5  # after which the server has noted what was read
# Of open_trade the benchmark itself reads all, again and again.
_READ = """
    SELECT sum(seq_tup_read + coalesce(idx_tup_fetch, 0)),
        sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))
    FROM pg_stat_user_tables JOIN pg_statio_user_tables USING (relid, relname)
    WHERE relname <> 'open_trade'
"""


async def trade(desk: Desk, door: BatchDoor, count: int) -> int:
    """Really trade, by and large `count` times; how many trades there were. Raises NotTrue."""
    done, rate = 0, 1_000.0
    while done < count:
        seconds = min(_LONGEST_SECONDS, max(1.0, (count - done) / rate))
        taken = await desk.take(lambda s=seconds: door.run(s, desk.gate()))  # type: ignore[misc]
        done, rate = done + len(taken.filled), taken.rate
    return done


async def settle(house: House) -> None:
    """Until every execution is compared and none differs; then what autovacuum would do.

    Raises NotTrue.
    """
    await all_compared(house)
    for url in house.databases.values():
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            for name in await _tables(connection):
                await connection.execute(
                    sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(name)), prepare=False
                )


async def sizes(house: House) -> dict[str, int]:
    """Bytes on disk of each database."""
    question = "SELECT pg_database_size(current_database())"
    return {name: (await ask(house, name, question))[0] for name in house.databases}


async def read_so_far(house: House) -> dict[str, int]:
    """Rows that were read of tables, by whatever plan, by database; and pages looked at."""
    await asyncio.sleep(_STATISTICS_SECONDS)
    found = {name: await ask(house, name, _READ) for name in house.databases}
    rows = {f"rows of {name}": rows for name, (rows, _) in found.items()}
    return {**rows, "pages": sum(pages for _, pages in found.values())}


async def _tables(connection: psycopg.AsyncConnection) -> list[str]:
    cursor = await connection.execute(
        "SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'"
    )
    return [row[0] for row in await cursor.fetchall()]
