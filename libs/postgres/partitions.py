"""A table's partitions by month: which there are, making those to come, taking old ones out.

From old to new a table has at most one partition "before" (what is left of months taken out, and
what comes late for them), the first one (the month in which the table was divided, with all before
it), one for each month since, and "default": what fits nowhere else, so that writing never fails
for want of a partition. A new partition is like the default one: its columns, checks, indexes,
triggers and storage settings.

Whatever is done here takes its locks for moments only, gives up rather than wait for them, and
tries again. Connections are in autocommit.
"""

import re
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import psycopg
import structlog
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from libs.months import Month, MonthlyTable
from libs.postgres.leaves import Connection, attach, detach, execute, make_like, move_rows, vouch

PUBLIC = "public"  # the schema in which tables lie
ARCHIVED = "archived"  # the schema in which partitions lie that were taken out
ALL_BEFORE = "with all before it"  # said there of the first one, which had no lower bound
_RANGE = re.compile(r"FOR VALUES FROM \('?([^')]*)'?\) TO \('?([^')]*)'?\)")
# Whoever comes after one that waits for a lock waits too.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '250ms'"
_ATTEMPTS = 40
_PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
    psycopg.errors.DeadlockDetected,
)
_log = structlog.get_logger()


class Partition(msgspec.Struct, frozen=True):
    """One of a table's partitions, but for the default one."""

    name: str
    begins: Month | None  # None: it has everything before `ends`
    ends: Month  # the first month that it has not

    @property
    def month(self) -> Month:
        """The month it is called by: its only one, or its last."""
        return self.ends.plus(-1)

    @property
    def is_before(self) -> bool:
        """Whether it has only what is left of months that were taken out."""
        return self.name.endswith("_before")

    def has(self, month: Month) -> bool:
        """Whether that month's rows belong here."""
        return month < self.ends and (self.begins is None or self.begins <= month)


def name_of(table: MonthlyTable, month: Month) -> str:
    """What the partition of a month is called."""
    return f"{table.name}_{month.year:04d}_{month.month:02d}"


async def nothing_said() -> None:
    """Nobody has to know."""


async def partitions(connection: Connection, table: MonthlyTable) -> list[Partition]:
    """All but the default one, oldest first."""
    cursor = await connection.execute(
        """
        SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)
        FROM pg_inherits AS i
        JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = %s::regclass
        """,
        [table.name],
    )
    found = [(name, _RANGE.fullmatch(bound)) for name, bound in await cursor.fetchall()]
    known = [_partition(table, name, bound) for name, bound in found if bound is not None]
    return sorted(known, key=lambda each: each.ends)


def _partition(table: MonthlyTable, name: str, bound: re.Match[str]) -> Partition:
    lower, upper = bound.groups()
    begins = None if lower == "MINVALUE" else table.key.month(lower)
    return Partition(name, begins, table.key.month(upper))


async def ensure(
    connection: Connection, table: MonthlyTable, months: Iterable[Month]
) -> list[Month]:
    """Make the partitions of these months that are not there yet; the months made.

    A month of which rows lie in the default partition is left there, and the log says so. Several
    processes may do it at once.
    """
    made = []
    known = await partitions(connection, table)
    for month in months:
        if any(each.has(month) for each in known):
            continue

        async def make(month: Month = month) -> bool:
            return await _make(connection, table, month)

        try:
            if await _patiently(connection, table, make):
                made.append(month)
        except psycopg.errors.CheckViolation:
            _log.warning("month_lies_in_default", table=table.name, month=str(month))
    return made


async def gather(connection: Connection, table: MonthlyTable, month: Month) -> bool:
    """Give a month a partition of its own, with what of it lies in the default one.

    For months that are over: while rows are moved the default partition can not be written to.
    """

    async def move(name: str) -> None:
        await move_rows(connection, table, month, into=name)

    async def make() -> bool:
        return await _make(connection, table, month, move)

    return await _patiently(connection, table, make)


async def take_out(
    connection: Connection,
    table: MonthlyTable,
    partition: Partition,
    *,
    before: str | None = None,
    said: Callable[[], Awaitable[None]] = nothing_said,
) -> None:
    """Take the oldest month's partition out of the table, into the schema `archived`.

    In one transaction, in which it is `said`. From then on the partition "before" has the month's
    place: what it had stays in it, unless `before` names a table, made by `make_like`, that takes
    its place.
    """
    if before is not None:
        await vouch(connection, table, before, partition.ends)

    async def swap() -> None:
        await said()
        old = f"{table.name}_before"
        names = {each.name for each in await partitions(connection, table)}
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {ARCHIVED}")
        await detach(connection, table, partition.name)
        if old in names:
            await detach(connection, table, old)
        if before is not None:
            await execute(connection, "DROP TABLE IF EXISTS {}", old)
            await execute(connection, "ALTER TABLE {} RENAME TO {}", before, old)
        elif old not in names:
            await make_like(connection, table, old)
        await attach(connection, table, old, (None, partition.ends))
        if before is not None:
            await execute(connection, "ALTER TABLE {} DROP CONSTRAINT months_before", old)
        if partition.begins is None:
            await execute(connection, f"COMMENT ON TABLE {{}} IS '{ALL_BEFORE}'", partition.name)
        await execute(connection, "ALTER TABLE {} SET SCHEMA {}", partition.name, ARCHIVED)

    await _patiently(connection, table, swap)


async def _make(
    connection: Connection,
    table: MonthlyTable,
    month: Month,
    fill: Callable[[str], Awaitable[None]] | None = None,
) -> bool:
    """Whether the month had no partition. Within a transaction."""
    if any(each.has(month) for each in await partitions(connection, table)):
        return False
    name = name_of(table, month)
    await make_like(connection, table, name)
    if fill is not None:
        await fill(name)
    await attach(connection, table, name, (month, month.plus(1)))
    _log.info("partition_made", table=table.name, month=str(month))
    return True


async def _patiently(
    connection: Connection, table: MonthlyTable, work: Callable[[], Awaitable[bool | None]]
) -> bool:
    """The answer of `work`, done in one transaction, by one process at a time."""
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(_PASSING),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    ):
        with attempt:
            async with connection.transaction():
                await connection.execute(_LOCK_TIMEOUT)
                await connection.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
                    [f"months {table.name}"],
                )
                return bool(await work())
    raise AssertionError("unreachable")
