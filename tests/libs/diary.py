"""A plain table in months, for the tests of what is done with such tables."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg

from libs.archive import Left
from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.months import BY_UUID7, Month, MonthlyTable
from libs.postgres.partitions import Partition

TABLE = MonthlyTable("step", "id", BY_UUID7)
NOW = Month(2026, 11)
MADE = """
CREATE TABLE schema_migration (name text PRIMARY KEY, applied_at timestamptz DEFAULT now());
INSERT INTO schema_migration VALUES ('0001_steps.sql');
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'append-only'; END $$;
CREATE TABLE step_default (
    id uuid NOT NULL,
    who text NOT NULL CHECK (who <> ''),
    note text,
    octets bytea,
    at timestamptz NOT NULL DEFAULT '2026-11-20 08:00+01',
    PRIMARY KEY (who, id)
) WITH (fillfactor = 70, autovacuum_analyze_threshold = 20000);
CREATE TRIGGER step_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON step_default
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TABLE step (LIKE step_default INCLUDING DEFAULTS INCLUDING CONSTRAINTS)
    PARTITION BY RANGE (id);
CREATE TABLE step_2026_06 (LIKE step_default INCLUDING ALL);
ALTER TABLE step ATTACH PARTITION step_2026_06
    FOR VALUES FROM (MINVALUE) TO ('019f1af9-b400-0000-0000-000000000000');
ALTER TABLE step ATTACH PARTITION step_default DEFAULT;
"""


class At(SystemClock):
    """A clock that stands."""

    def __init__(self, year: int, month: int, day: int = 1) -> None:
        self._now = datetime(year, month, day, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now


def an_id(year: int, month: int, day: int = 1) -> str:
    """Of a row made then."""
    return SystemIds(At(year, month, day)).new()


class Steps:
    """What is said of the table to the archive; a test may want more of it."""

    service = "diary"
    table = TABLE
    order: tuple[str, ...] = ("who", "id")
    stays = ""

    async def obstacle(self, connection: psycopg.AsyncConnection, partition: Partition) -> str:
        return self.stays if partition.month == Month(2026, 7) else ""

    async def moving(self, connection: psycopg.AsyncConnection, month: Month, rows: int) -> None:
        """Nobody has to know."""

    async def facts(
        self, connection: psycopg.AsyncConnection, partition: Partition, schema: str
    ) -> dict[str, Any]:
        return {"mood": "good"}

    async def prepare(self, connection: psycopg.AsyncConnection, partition: Partition) -> Left:
        return Left()

    async def taken_out(self, connection: psycopg.AsyncConnection, partition: Partition) -> None:
        pass


async def write(connection: psycopg.AsyncConnection, rows: Iterable[tuple[str, Any]]) -> None:
    """One row for each id and note, all of one person."""
    for row_id, note in rows:
        await connection.execute(
            "INSERT INTO step (id, who, note, octets) VALUES (%s, 'ann', %s, '\\xff')",
            [row_id, note],
        )


async def rows(connection: psycopg.AsyncConnection, table: str = "step") -> list[str]:
    """The ids in a table, oldest first."""
    cursor = await connection.execute(f"SELECT id::text FROM {table} ORDER BY id".encode())
    return [row_id for (row_id,) in await cursor.fetchall()]
