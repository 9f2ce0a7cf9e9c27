"""A way to PostgreSQL that can be cut at the worst moment."""

import asyncio
import contextlib
from urllib.parse import urlsplit


class WireCutter:
    """Passes bytes between a service and its database until it is told otherwise.

    `cut_after_commit()` lets the next COMMIT through and its answer not: the database has
    committed, and nobody was told; the next one of the connection of that name, if it is given one.
    `is_closed` refuses everybody, as a database that is away.
    """

    def __init__(self, database_url: str, *, is_closed: bool = False) -> None:
        self._target = urlsplit(database_url)
        self._is_armed = False
        self._aims_at = b""
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_closed = is_closed
        self.cuts = 0

    async def __aenter__(self) -> "WireCutter":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()

    @property
    def url(self) -> str:
        """The database, by this way."""
        port = self._server.sockets[0].getsockname()[1]
        there = f"{self._target.hostname}:{self._target.port}"
        return self._target.geturl().replace(there, f"127.0.0.1:{port}")

    def cut_after_commit(self, *, of: str = "") -> None:
        """Lose the answer to the next commit."""
        self._is_armed, self._aims_at = True, of.encode()

    def close(self) -> None:
        """Cut every connection, and refuse new ones until `is_closed` is taken back."""
        self.is_closed = True
        for task in self._tasks:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_closed:
            writer.close()
            return
        theirs = await asyncio.open_connection(self._target.hostname, self._target.port)
        wire = _Wire(self, (reader, writer), theirs)
        for work in (wire.ask(), wire.answer()):
            task = asyncio.create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def takes_aim(self, asked: bytes, greeting: bytes) -> bool:
        """Whether this is the commit to cut after; `greeting`: what the connection began with."""
        if not self._is_armed or b"COMMIT" not in asked or self._aims_at not in greeting:
            return False
        self._is_armed = False
        self.cuts += 1
        return True


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Wire:
    """One connection."""

    def __init__(self, cutter: WireCutter, ledger: Ends, database: Ends) -> None:
        self._cutter = cutter
        self._ledger = ledger
        self._database = database
        self._is_cut = False
        self._greeting = b""

    async def ask(self) -> None:
        """From the ledger to the database."""
        with contextlib.suppress(ConnectionError), contextlib.closing(self._database[1]):
            while asked := await self._ledger[0].read(1 << 16):
                if b"application_name" in asked:
                    self._greeting = asked
                if self._cutter.takes_aim(asked, self._greeting):
                    self._is_cut = True
                self._database[1].write(asked)
                await self._database[1].drain()

    async def answer(self) -> None:
        """From the database to the ledger."""
        with contextlib.suppress(ConnectionError), contextlib.closing(self._ledger[1]):
            while answered := await self._database[0].read(1 << 16):
                if self._is_cut:
                    break  # committed, and lost on the way
                self._ledger[1].write(answered)
                await self._ledger[1].drain()
