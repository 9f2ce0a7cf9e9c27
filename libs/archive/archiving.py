"""Takes old months of a table out of the database, each once its file is whole.

A month's way: its rows are written to a file, the file is read back and compared with the table,
the manifest is written; then the partition is taken out into the schema `archived`, where nobody
writes to it any more; and if something came between, the file is written once more. It is dropped
there when it is asked for, and only while the file holds the same rows. Interrupted anywhere, the
next run goes on: what lies in `archived` without a whole file is written first.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import psycopg
from psycopg import sql

from libs.archive.files import (
    Contents,
    Damaged,
    Manifest,
    RowsFile,
    check,
    manifest_path,
    read_back,
    read_manifest,
    rows_path,
    write_manifest,
)
from libs.months import Month, MonthlyTable, months_between
from libs.postgres.leaves import count_of
from libs.postgres.partitions import (
    ALL_BEFORE,
    ARCHIVED,
    PUBLIC,
    Partition,
    gather,
    name_of,
    nothing_said,
    partitions,
    take_out,
)

_KEPT_MONTHS = 1  # besides the one that is not over
_AT_A_TIME = 5_000
_SETTINGS = ("SET timezone = 'UTC'", "SET datestyle = 'ISO'", "SET bytea_output = 'hex'")
Connection = psycopg.AsyncConnection
Progress = Callable[[int], None]  # rows so far


class Left(NamedTuple):
    """What a month leaves."""

    # A table made by `make_like` that is to be the partition "before"; None: the one there is.
    before: str | None = None
    said: Callable[[], Awaitable[None]] = nothing_said  # in the transaction that takes it out


class Archivable(Protocol):
    """What a service says of a table whose old months may go."""

    service: str
    table: MonthlyTable
    order: tuple[str, ...]  # the columns that rows are sorted by in the files: their key

    async def obstacle(self, connection: Connection, partition: Partition) -> str:
        """Why the month has to stay, for a person; empty: it may go.

        The partition need not be there: rows may lie in the default one.
        """

    async def moving(self, connection: Connection, month: Month, rows: int) -> None:
        """So many rows of the month are about to be moved into its own partition."""

    async def facts(
        self, connection: Connection, partition: Partition, schema: str
    ) -> dict[str, Any]:
        """What else its manifest says of the month: anything that JSON can hold.

        `schema`: where the partition lies by now.
        """

    async def prepare(self, connection: Connection, partition: Partition) -> Left:
        """See to what readers need once it is gone; its file is written. Safe to do again."""

    async def taken_out(self, connection: Connection, partition: Partition) -> None:
        """See to what there is to be seen to once it lies in `archived`. Safe to do again."""


class Candidate(msgspec.Struct, frozen=True):
    """A month that might go."""

    month: Month
    partition: Partition | None  # None: it has none yet, and gets one first
    obstacle: str  # why it stays; empty: it goes


class Busy(Exception):
    """Somebody else archives this table just now, or is at it all the time."""


class Archiving:
    """The months of one table, and the folder their files go to."""

    def __init__(
        self, connection: Connection, what: Archivable, folder: Path, *, now: Month
    ) -> None:
        """`connection`: in autocommit, for this alone. `now`: the present month."""
        self._connection = connection
        self._what = what
        self._folder = folder
        self._now = now

    async def begin(self) -> None:
        """Keep others from archiving this table while the connection lasts. Raises Busy."""
        cursor = await self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))",
            [f"archive {self._what.table.name}"],
        )
        if (await cursor.fetchone()) != (True,):
            raise Busy(f"another run archives {self._what.table.name} just now")
        # Files must not depend on settings of whoever runs this.
        for setting in (*_SETTINGS, f"SET application_name = '{self._what.service}-archive'"):
            await self._connection.execute(setting)

    async def candidates(self, before: Month) -> list[Candidate]:
        """The months before that, oldest first. After the first that stays all stay."""
        found: list[Candidate] = []
        known = await partitions(self._connection, self._what.table)
        months = [each for each in known if not each.is_before]
        gone_until = next((each.ends for each in known if each.is_before), None)
        start = gone_until or (months[0].month if months else before)
        # What is to come stays, and may be typed by mistake: it need not be told month by month.
        for month in months_between(start, min(before, self._now.plus(1))):
            partition = next((each for each in months if each.has(month)), None)
            obstacle = await self._obstacle(month, partition)
            if not obstacle and found and found[-1].obstacle:
                obstacle = "an older month stays"
            found.append(Candidate(month, partition, obstacle))
        return found

    async def _obstacle(self, month: Month, partition: Partition | None) -> str:
        if month >= self._now.plus(-_KEPT_MONTHS):
            return "this month and the one before stay"
        if partition is None:  # what of it lies in the default one has its obstacles, too
            partition = Partition(name_of(self._what.table, month), month, month.plus(1))
        return await self._what.obstacle(self._connection, partition)

    async def partition_of(self, candidate: Candidate) -> Partition:
        """The candidate's partition, made of what lies in the default one if there is none."""
        if candidate.partition is not None:
            return candidate.partition

        rows = await count_of(self._connection, self._what.table, candidate.month)
        await self._what.moving(self._connection, candidate.month, rows)
        with self._locking(candidate.month):
            await gather(self._connection, self._what.table, candidate.month)
        known = await partitions(self._connection, self._what.table)
        return next(each for each in known if each.has(candidate.month))

    async def archive(self, partition: Partition, progress: Progress) -> Manifest:
        """Write the month to its file and take it out of the table.

        Raises Damaged when the file does not hold what the table does, and Busy when the table
        could not be had for a moment alone: then the month stays.
        """
        manifest = await self._export(partition, progress)
        before, said = await self._what.prepare(self._connection, partition)
        with self._locking(partition.month):
            await take_out(self._connection, self._what.table, partition, before=before, said=said)
        return await self.complete(partition, manifest, progress)

    @contextmanager
    def _locking(self, month: Month) -> Iterator[None]:
        """What it takes to have the table for a moment alone. Raises Busy."""
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            name = self._what.table.name
            text = f"{month} stays: others are at {name} all the time. Nothing is lost; try again"
            raise Busy(text) from error

    async def complete(
        self, partition: Partition, manifest: Manifest | None, progress: Progress
    ) -> Manifest:
        """Of a month that lies in `archived`: its file, which holds all that is there."""
        await self._what.taken_out(self._connection, partition)
        if manifest is not None and await self._is_of(manifest, partition):
            return manifest
        return await self._export(partition, progress, schema=ARCHIVED)

    async def _is_of(self, manifest: Manifest, partition: Partition) -> bool:
        """Whether it is of this database, and of all that lies in `archived`."""
        database = await self._database()
        if manifest.database_since != database["database_since"]:
            return False
        return manifest.rows == await self._count(partition, ARCHIVED)

    async def taken_out(self) -> list[Partition]:
        """The months that lie in `archived`, oldest first. They may be of more than one run."""
        cursor = await self._connection.execute(
            """
            SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
            WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' AND relname ~ %s
            ORDER BY relname
            """,
            [ARCHIVED, f"^{self._what.table.name}_[0-9]{{4}}_[0-9]{{2}}$"],
        )
        found = []
        for name, comment in await cursor.fetchall():
            month = Month.parse(name[-7:].replace("_", "-"))
            begins = None if comment == ALL_BEFORE else month
            found.append(Partition(name, begins, month.plus(1)))
        return found

    def checked(self, partition: Partition) -> Manifest | None:
        """The month's manifest, its file compared with it; None: there is none. Raises Damaged."""
        try:
            return check(self._path(partition))
        except FileNotFoundError:
            return None

    async def drop(self, partition: Partition) -> None:
        """Drop a month that lies in `archived`. Raises Damaged when its file has other rows."""
        manifest = check(self._path(partition))
        digest = sha256()
        async for piece in self._rows(partition, ARCHIVED):
            digest.update(piece)
        if digest.hexdigest() != manifest.sha256:
            raise Damaged(f"{manifest.file} does not hold what {ARCHIVED}.{partition.name} does")
        await self._connection.execute(
            sql.SQL("DROP TABLE {}").format(sql.Identifier(ARCHIVED, partition.name))
        )

    async def _export(
        self, partition: Partition, progress: Progress, *, schema: str = PUBLIC
    ) -> Manifest:
        """The month's file and manifest, compared with the table."""
        path = rows_path(self._folder, *self._names(partition))
        database = await self._database()
        self._spare_others(partition, database["database_since"])
        rows = 0
        with RowsFile(path) as file:
            async for piece in self._rows(partition, schema):
                file.write(piece)
                rows += 1  # a piece is a row, but for the first, the header
                if rows % _AT_A_TIME == 0:
                    progress(rows)
        progress(max(rows - 1, 0))
        found = read_back(path, self._what.order)
        if found.sha256 != file.sha256 or found.rows > await self._count(partition, schema):
            raise Damaged(f"{path} does not hold what was written to it")
        facts = await self._what.facts(self._connection, partition, schema)
        manifest = self._manifest(partition, found, {**database, "facts": facts})
        write_manifest(self._folder, manifest)
        return manifest

    def _manifest(self, partition: Partition, found: Contents, more: Mapping[str, Any]) -> Manifest:
        service, table, month = self._names(partition)
        return Manifest(
            service=service,
            table=table,
            month=month,
            has_all_before=partition.begins is None,
            file=rows_path(self._folder, service, table, month).name,
            **msgspec.structs.asdict(found),
            **more,
        )

    def _spare_others(self, partition: Partition, database_since: str) -> None:
        """Files of another database are not written over. Raises Damaged."""
        try:
            there = read_manifest(self._path(partition))
        except (FileNotFoundError, Damaged):
            return
        if there.database_since != database_since:
            raise Damaged(f"{self._path(partition)} is of another database: take another folder")

    async def _rows(self, partition: Partition, schema: str) -> AsyncIterator[bytes]:
        """The CSV, row by row."""
        statement = sql.SQL(
            "COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT (FORMAT csv, HEADER)"
        ).format(
            sql.Identifier(schema, partition.name),
            sql.SQL(", ").join(map(sql.Identifier, self._what.order)),
        )
        async with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            async for piece in copy:
                yield bytes(piece)

    async def _count(self, partition: Partition, schema: str) -> int:
        cursor = await self._connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(schema, partition.name))
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def _database(self) -> dict[str, str]:
        """Which database this is, and which tables it has."""
        cursor = await self._connection.execute(
            "SELECT max(name), min(applied_at)::text FROM schema_migration"
        )
        row = await cursor.fetchone()
        return {"schema": row[0], "database_since": row[1]} if row else {}

    def _names(self, partition: Partition) -> tuple[str, str, str]:
        return self._what.service, self._what.table.name, str(partition.month)

    def _path(self, partition: Partition) -> Path:
        return manifest_path(self._folder, *self._names(partition))
