"""Transactions whose statements go to the server without an answer to the one before.

As the pipeline mode of libpq has it, by the thin wrapper of psycopg: the way through its cursors
takes several times as long for each statement, and a system call for each message.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Protocol

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

Row = tuple[Any, ...]
_PARAMETER = re.compile(r"%\((\w+)\)s")
_STATEMENTS = 1_000  # of different texts; a program has some dozens


class Rows(Protocol):
    """What a statement found, as a cursor of psycopg tells it."""

    async def fetchall(self) -> list[Row]:
        """All rows, in order."""

    async def fetchone(self) -> Row | None:
        """The next row."""

    def __aiter__(self) -> AsyncIterator[Row]:
        """The rows, one by one."""


class Statements(Protocol):
    """Takes statements: a connection of psycopg, or a flight."""

    async def execute(
        self, query: str, params: Mapping[str, Any] | None = None, *, binary: bool = False
    ) -> Rows:
        """Do it. `params`: for each %(name)s. `binary`: rows come in their binary form."""


class Flight:
    """The statements of one connection, a transaction at a time.

    What goes wrong with a statement is raised where somebody looks at rows, or at the commit. Each
    text is prepared once.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._transformer = Transformer(connection)
        self._names: dict[tuple[str, tuple[int, ...]], bytes] = {}
        self._prepared = 0
        self._underway: deque[_Found] = deque()
        self._is_asked = True  # the server is to answer all that is under way
        self._syncs = 0  # not answered yet

    def is_of(self, connection: psycopg.AsyncConnection) -> bool:
        """Whether it is this connection's."""
        return connection is self._connection

    @asynccontextmanager
    async def transaction(self) -> "AsyncIterator[Flight]":
        """Committed at the end, and undone where something is raised."""
        self._pgconn.enter_pipeline_mode()
        try:
            await self.execute("BEGIN")
            yield self
            await self.execute("COMMIT")
            await self._land()
        except Exception:
            await self._give_up()
            raise

    async def execute(
        self, query: str, params: Mapping[str, Any] | None = None, *, binary: bool = False
    ) -> "_Found":
        """Under way; nothing is waited for."""
        values = [params[name] for name in _parsed(query)[1]] if params else []
        packed = self._transformer.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types = tuple(self._transformer.types or ())
        name = self._names.get((query, types)) or self._prepare(query, types)
        formats = self._transformer.formats
        self._pgconn.send_query_prepared(name, packed, formats, result_format=int(binary))
        return self._follow()

    async def found(self, statement: "_Found") -> list[Row]:
        """The rows of a statement that is under way or answered. Raises what went wrong."""
        if statement.result is None:
            if not self._is_asked:
                self._pgconn.send_flush_request()
                self._is_asked = True
            await self._send()
            while statement.result is None:
                await self._answer()
        self._transformer.set_pgresult(statement.result)
        return self._transformer.load_rows(0, statement.result.ntuples, tuple)

    def _prepare(self, query: str, types: tuple[int, ...]) -> bytes:
        self._prepared += 1
        name = self._names[query, types] = b"flight_%d" % self._prepared
        self._pgconn.send_prepare(name, _parsed(query)[0], types)
        self._follow()
        return name

    def _follow(self) -> "_Found":
        """What was just handed to libpq is under way."""
        self._is_asked = False
        statement = _Found(self)
        self._underway.append(statement)
        return statement

    async def _land(self) -> None:
        """Every answer, that to the commit the last. Raises the first fault."""
        self._pgconn.pipeline_sync()
        self._syncs += 1
        await self._send()
        while self._underway:
            await self._answer()
        await self._sync()
        self._pgconn.exit_pipeline_mode()

    async def _give_up(self) -> None:
        """Undo the transaction; if that cannot be, the connection is closed."""
        try:
            self._pgconn.pipeline_sync()
            self._syncs += 1
            await self._send()
            await self._sync()
            self._pgconn.exit_pipeline_mode()
            # What was to be prepared behind the fault was not: all begin anew.
            for statement in ("ROLLBACK", "DEALLOCATE ALL"):
                await self._connection.execute(statement, prepare=False)
        except psycopg.Error:
            await self._connection.close()
        self._names.clear()
        self._underway.clear()

    async def _answer(self) -> None:
        """Note the next answer with its statement. Raises what went wrong with that."""
        result, statement = await self._result(), self._underway.popleft()
        if result.status == ExecStatus.FATAL_ERROR:
            raise error_from_result(result)
        if result.status == ExecStatus.PIPELINE_ABORTED:
            raise psycopg.errors.InFailedSqlTransaction("a statement before it went wrong")
        statement.result = result

    async def _sync(self) -> None:
        """Everything that comes before the answers to all syncs, and these."""
        while self._syncs:
            result = await self._result()
            if result.status == ExecStatus.PIPELINE_SYNC:
                self._syncs -= 1

    async def _result(self) -> PGresult:
        """The next answer. Raises OperationalError when there is none to come."""
        while True:
            while self._pgconn.is_busy():
                await _ready(self._pgconn.socket)
                self._pgconn.consume_input()
            result = self._pgconn.get_result()
            if result is not None:  # which stands between two statements
                return result
            if self._pgconn.status == ConnStatus.BAD:
                raise psycopg.OperationalError("the connection is lost")

    async def _send(self) -> None:
        """What libpq still holds back; answers are taken in meanwhile, so that both can go on."""
        while self._pgconn.flush():
            await _ready(self._pgconn.socket, or_for_writing=True)
            self._pgconn.consume_input()


class _Found:
    """A statement under way, and what it found."""

    __slots__ = ("_flight", "_rows", "result")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self._rows: Iterator[Row] | None = None
        self.result: PGresult | None = None

    async def fetchall(self) -> list[Row]:
        return await self._flight.found(self)

    async def fetchone(self) -> Row | None:
        if self._rows is None:
            self._rows = iter(await self.fetchall())
        return next(self._rows, None)

    async def __aiter__(self) -> AsyncIterator[Row]:
        for row in await self.fetchall():
            yield row


@lru_cache(_STATEMENTS)
def _parsed(query: str) -> tuple[bytes, tuple[str, ...]]:
    """As the server wants it, and the names of its parameters in order.

    >>> _parsed("SELECT %(a)s, %(b)s, %(a)s")
    (b'SELECT $1, $2, $1', ('a', 'b'))
    """
    names = tuple(dict.fromkeys(_PARAMETER.findall(query)))
    numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", query)
    return numbered.encode(), names


async def _ready(socket: int, *, or_for_writing: bool = False) -> None:
    """Until something can be read, or written if that is asked for."""
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(socket, wake)
    if or_for_writing:
        loop.add_writer(socket, wake)
    try:
        await ready
    finally:
        loop.remove_reader(socket)
        if or_for_writing:
            loop.remove_writer(socket)
