"""The rows of a trade without the services: what PostgreSQL alone does of them in a second.

How many rows a trade inserts, changes and deletes is counted in the databases of a house that
trades. pgbench then writes as many, in batches and with as many commits as a trade has steps.
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

NAME = "rows of a trade, pgbench"
_DATABASE = "bench_rows"
_CLIENTS, _BATCH, _STEPS = 2, 100, 5
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


async def row(postgres: Postgres, each: Written, seconds: float) -> Row:
    """Trades a second, as far as rows go; `each`: of one trade."""
    postgres.create_role_and_database(_DATABASE)
    url = postgres.url(_DATABASE)
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(_TABLE)
    counts = {
        name: round(count * _BATCH / _STEPS) for name, count in msgspec.structs.asdict(each).items()
    }
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(_STEP.format(**counts))
        script.flush()
        path = Path(script.name)
        steps = await pgbench_rate(url, path, clients=_CLIENTS, seconds=seconds)
    words = (
        f"{each.inserted:.0f} rows added, {each.updated:.0f} changed, {each.deleted:.0f} deleted"
    )
    how = f"batches of {_BATCH}, {_STEPS} steps of 3 commits, {_CLIENTS} connections"
    note = f"{words} for a trade; {how}"
    return Row(name=NAME, value=steps * _BATCH / _STEPS, unit="1/s", note=note)


async def _written(url: str) -> tuple[int, int, int]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT tup_inserted, tup_updated, tup_deleted FROM pg_stat_database"
            " WHERE datname = current_database()"
        )
        found = await cursor.fetchone()
    assert found is not None
    return int(found[0]), int(found[1]), int(found[2])
