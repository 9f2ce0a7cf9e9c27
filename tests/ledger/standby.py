"""A second server that has every commit before it is answered, and takes over."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from libs.embedded import Postgres, Tuning
from libs.embedded.postgres import SUPERUSER, program

_TUNING = Tuning(shared_buffers_mb=32, max_wal_size_mb=256)
_WAITS_FOR_THE_SECOND = "ALTER SYSTEM SET synchronous_standby_names = '*'"


class Pair:
    """Where commits of the first wait for the second until that is promoted."""

    def __init__(self, folder: Path) -> None:
        self.first = Postgres(folder / "first", tuning=_TUNING)
        self.second = Postgres(folder / "second", tuning=_TUNING)
        self._folder = folder

    def start(self, database: str) -> None:
        """Both, with a database."""
        self.first.start()
        self.first.create_role_and_database(database)
        self._copy()
        self.second.start()
        with psycopg.connect(self._url(self.first), autocommit=True) as connection:
            connection.execute(_WAITS_FOR_THE_SECOND)
            connection.execute("SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        """Of whichever takes changes."""
        first, second = self.first.url(database), f"127.0.0.1:{self.second.port}"
        address, _, name = first.rpartition("/")
        return f"{address},{second}/{name}?target_session_attrs=read-write"

    @contextmanager
    def killed_by_a_fault(self) -> Iterator[None]:
        """So that whoever fails does not wait for ever, as commits do."""
        try:
            yield
        except BaseException:
            self.first.kill()
            self.second.kill()
            raise

    async def start_first(self) -> None:
        """Bring the first back after it was killed."""
        await asyncio.to_thread(self.first.prepare)
        self.first.spawn()
        await asyncio.to_thread(self.first.wait_ready)

    async def fail_over(self) -> None:
        """Lose the first for good; the second takes its place."""
        self.first.kill()
        await asyncio.to_thread(self.second.prepare)
        self.second.spawn()
        await asyncio.to_thread(self.second.wait_ready)
        await self.ask(self.second, "SELECT pg_promote()")

    async def waits(self, application: str) -> bool:
        """Whether a commit of theirs on the first waits until the second has it."""
        rows = await self.ask(
            self.first,
            "SELECT application_name FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
        )
        return (application,) in rows

    async def ask(self, server: Postgres, question: str) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(
            self._url(server), autocommit=True
        ) as connection:
            return await (await connection.execute(question.encode())).fetchall()

    def stop(self) -> None:
        for server in (self.second, self.first):
            server.stop()

    def _url(self, server: Postgres) -> str:
        return server.url("postgres", SUPERUSER)

    def _copy(self) -> None:
        first, second = self._folder / "first", self._folder / "second"
        second.mkdir()
        shutil.copy2(first / "secret", second / "secret")
        command = [program("pg_basebackup"), f"--dbname={self._url(self.first)}"]
        command += [f"--pgdata={second / 'data'}", "--write-recovery-conf", "--checkpoint=fast"]
        subprocess.run(command, check=True, capture_output=True)
        owner = (first / "data").stat()
        for path in (second / "data", *(second / "data").rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)


@asynccontextmanager
async def a_pair(folder: Path, database: str) -> AsyncIterator[Pair]:
    """Both servers, running."""
    pair = Pair(folder)
    try:
        pair.start(database)
        yield pair
    finally:
        pair.stop()
