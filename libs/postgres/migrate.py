"""Brings a database to the newest schema: numbered SQL files, forward only, each applied once.

Several processes may do it at once: they take turns by a try-lock that is polled, because a waiting
lock would hold a snapshot and deadlock with CREATE INDEX CONCURRENTLY.
"""

import hashlib
import operator
import re
from pathlib import Path

import psycopg
import structlog
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_result,
    wait_random_exponential,
)

from libs.postgres.lost import AWAY, TIMEOUTS

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = 0x5B0C_4E12
_NO_TRANSACTION = "-- no-transaction"
_log = structlog.get_logger()


class BrokenMigrations(RuntimeError):
    """The files and the database disagree; a person must look."""


async def migrate(dsn: str, folder: Path) -> int:
    """Apply what is new in `folder` and say how much that was. Waits for the database for ever.

    Raises BrokenMigrations when an applied file was changed, is missing, or a number is skipped.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(AWAY),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        before_sleep=_Waiting(),
    ):
        with attempt:
            return await _migrate(dsn, _read(folder))
    raise AssertionError("unreachable")


class _Waiting:
    """Tells what is waited for, once until it is something else."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, state: RetryCallState) -> None:
        error = str(state.outcome.exception() if state.outcome else "").strip()
        if error != self._told:
            _log.warning("migrations_wait_for_the_database", error=error)
        self._told = error


def _read(folder: Path) -> list[tuple[str, str]]:
    """(name, text) of every migration, in order."""
    paths = sorted(folder.glob("*.sql"))
    for number, path in enumerate(paths, start=1):
        found = _NAME.fullmatch(path.name)
        if found is None or int(found[1]) != number:
            raise BrokenMigrations(f"{path.name} is not named {number:04d}_words.sql")
    return [(path.name, path.read_text()) for path in paths]


async def _migrate(dsn: str, files: list[tuple[str, str]]) -> int:
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True, **TIMEOUTS)
    async with connection:
        await connection.execute("SET lock_timeout = '10s'")
        await _lock(connection)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migration ("
            " name text PRIMARY KEY, sha256 text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        cursor = await connection.execute("SELECT name, sha256 FROM schema_migration")
        applied: dict[str, str] = dict(await cursor.fetchall())
        _check(applied, files)
        fresh = [(name, text) for name, text in files if name not in applied]
        for name, text in fresh:
            await _apply(connection, name, text)
        return len(fresh)


async def _lock(connection: psycopg.AsyncConnection) -> None:
    """Wait for the other migrators; the lock goes with the connection."""

    async def try_lock() -> bool:
        cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    wait = wait_random_exponential(multiplier=0.05, max=0.5)
    await AsyncRetrying(retry=retry_if_result(operator.not_), wait=wait)(try_lock)


def _check(applied: dict[str, str], files: list[tuple[str, str]]) -> None:
    """Every applied migration must still be there, unchanged."""
    known = {name: _digest(text) for name, text in files}
    for name, digest in applied.items():
        if name not in known:
            raise BrokenMigrations(f"{name} is applied but its file is gone: older software?")
        if known[name] != digest:
            raise BrokenMigrations(f"{name} was changed after it was applied")


async def _apply(connection: psycopg.AsyncConnection, name: str, text: str) -> None:
    if text.startswith(_NO_TRANSACTION):
        await connection.execute(text.encode())
        await _record(connection, name, text)
    else:
        async with connection.transaction():
            await connection.execute(text.encode())
            await _record(connection, name, text)
    _log.info("migrated", name=name)


async def _record(connection: psycopg.AsyncConnection, name: str, text: str) -> None:
    await connection.execute(
        "INSERT INTO schema_migration (name, sha256) VALUES (%s, %s)", [name, _digest(text)]
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
