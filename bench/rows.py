"""The rows of a trade without the services: what PostgreSQL alone does of them in a second.

How many rows a trade, or a part of its way, inserts, changes and deletes is counted in the
databases of a house. pgbench then writes as many, in batches, with the commits of so many steps.
"""

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import psycopg

from bench.floors import pgbench_rate
from bench.report import Row
from libs.embedded import Postgres

_DATABASE = "bench_rows"
_CLIENTS, _BATCH = 2, 100
_TRADE, _TRADE_STEPS = "a trade", 5
_STATISTICS_SECONDS = 1.5  # after which the server has noted what was written
_TABLE = """
    CREATE TABLE row (id bigint PRIMARY KEY, is_done boolean NOT NULL, body bytea NOT NULL)
        WITH (fillfactor = 70);
    CREATE SEQUENCE row_id CACHE 1;
"""
# A block of ids for each batch: of what it adds it changes and deletes as many as trades do.
_STEP = """
\\set size {inserted}
SELECT nextval('row_id') * 1000000 AS block \\gset
INSERT INTO row SELECT :block::bigint + n, false, decode(repeat('0123456789abcdef', 10), 'hex')
    FROM generate_series(1, :size) AS n;
UPDATE row SET is_done = true WHERE id > :block::bigint AND id <= :block::bigint + {updated};
DELETE FROM row WHERE id > :block::bigint AND id <= :block::bigint + {deleted};
"""


class Written(msgspec.Struct, frozen=True):
    """Rows; also parts of them, as a mean."""

    inserted: float
    updated: float
    deleted: float

    def each(self, before: "Written", trades: int) -> "Written":
        """For one of so many trades that were done since."""
        then = msgspec.structs.astuple(before)
        now = msgspec.structs.astuple(self)
        return Written(*((one - other) / trades for one, other in zip(now, then, strict=True)))


async def written(databases: Mapping[str, str]) -> Written:
    """By all that happened in them so far."""
    await asyncio.sleep(_STATISTICS_SECONDS)
    found = [await _written(url) for url in databases.values()]
    return Written(*(sum(each) for each in zip(*found, strict=True)))


def name_of(what: str = _TRADE) -> str:
    """Of the row that tells it."""
    return f"rows of {what}, pgbench"


async def row(
    postgres: Postgres,
    each: Written,
    seconds: float,
    *,
    of: str = _TRADE,
    steps: int = _TRADE_STEPS,
) -> Row:
    """Trades a second, as far as rows go; `each`: of one, for all the steps `of` it."""
    postgres.create_role_and_database(_DATABASE)
    url = postgres.url(_DATABASE)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_TABLE)
    counts = {
        name: round(count * _BATCH / steps) for name, count in msgspec.structs.asdict(each).items()
    }
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_STEP.format(**counts))
        script.flush()
        path = Path(script.name)
        rate = await pgbench_rate(url, path, clients=_CLIENTS, seconds=seconds)
    words = (
        f"{each.inserted:.0f} rows added, {each.updated:.0f} changed, {each.deleted:.0f} deleted"
    )
    how = f"batches of {_BATCH}, {steps} x 3 commits, {_CLIENTS} connections"
    note = f"{words} for {of}; {how}"
    return Row(name=name_of(of), value=rate * _BATCH / steps, unit="1/s", note=note)


async def _written(url: str) -> tuple[int, int, int]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT tup_inserted, tup_updated, tup_deleted FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        found = await cursor.fetchone()
    assert found is not None
    return int(found[0]), int(found[1]), int(found[2])
