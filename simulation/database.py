"""Real PostgreSQL, driven statement by statement within the virtual time of one process.

Each service has a real database and real statements. A run happens inside one transaction of the
server that is rolled back at the end; a transaction of a service begins with a savepoint in it.
Within a transaction nobody else runs, so transactions are serial. What fails is the way to the
database: a commit that is refused, one whose answer is lost, a connection or the whole server gone
for a while.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from simulation.process import current_process
from simulation.world import World

_CLOCK = "clock_timestamp"
_MOMENT_SECONDS = 0.02
_LOCK = "pg_try_advisory_lock"


class Database:
    """One service's database: one connection to the server, on which all of a run happens."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._server = psycopg.connect(
            url,
            autocommit=True,
            prepare_threshold=0,
            options="-c search_path=sim,pg_catalog -c idle_in_transaction_session_timeout=0",
        )
        self._server.prepared_max = None
        self.locks: dict[tuple[str, str], Connection] = {}
        self.connections: list[Connection] = []
        self.is_away = False
        self._told_at = -1.0

    def begin(self) -> None:
        """Begin a run on the empty tables."""
        self.locks, self.connections, self.is_away = {}, [], False
        self._told_at = -1.0
        self._say(b"ROLLBACK; BEGIN; SAVEPOINT s")

    def close(self) -> None:
        """Disconnect from the server."""
        self._server.close()

    def ask(self, query: Any, parameters: Any = None, *, binary: bool = False) -> Any:
        """Execute a statement now."""
        return self._server.execute(query, parameters, prepare=True, binary=binary)

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a look from outside finds; nobody of the house notices."""
        return list(self.ask(query, parameters).fetchall())

    def tell_time(self, seconds: float, text: str) -> None:
        """What clock_timestamp() says from now on; a moment later it still does."""
        if abs(seconds - self._told_at) > _MOMENT_SECONDS:
            self._told_at = seconds
            self._say(f"SET LOCAL simulation.now = '{text}'".encode())

    def start(self, seconds: float, text: str) -> None:
        """A transaction begins."""
        self._told_at = seconds
        words = f"RELEASE SAVEPOINT s; SAVEPOINT s; SET LOCAL simulation.now = '{text}'"
        self._say(words.encode())

    def roll_back(self) -> None:
        """What was done since the transaction began never was."""
        self._told_at = -1.0
        self._say(b"ROLLBACK TO SAVEPOINT s")

    def nest(self) -> None:
        """A transaction within the transaction begins."""
        self._say(b"SAVEPOINT nested")

    def unnest(self, *, is_undone: bool) -> None:
        """It ends."""
        if is_undone:
            self._told_at = -1.0
            self._say(b"ROLLBACK TO SAVEPOINT nested")
        self._say(b"RELEASE SAVEPOINT nested")

    def leave(self) -> None:
        """The server goes away and takes every connection with it."""
        self.is_away = True
        for connection in list(self.connections):
            connection.lose()

    def _say(self, words: bytes) -> None:
        result = self._server.pgconn.exec_(words)
        if result.error_message:
            raise RuntimeError(result.error_message.decode())


class Cursor:
    """A result, read whole."""

    def __init__(self, cursor: Any) -> None:
        self.rowcount = cursor.rowcount
        self._rows = iter(cursor.fetchall() if cursor.description is not None else ())

    async def fetchone(self) -> Any:
        """The next row."""
        return next(self._rows, None)

    async def fetchall(self) -> list[Any]:
        """The rows that are left."""
        return list(self._rows)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for row in self._rows:
            yield row


class Connection:
    """What a service takes for its psycopg.AsyncConnection."""

    def __init__(self, world: World, database: Database, name: str) -> None:
        self.closed = False
        self._world = world
        self._database = database
        self._name = name
        self._is_in_transaction = False
        self._is_begun = False  # by a statement: it is undone when the connection goes
        self._lost = world.loop.create_future()
        database.connections.append(self)
        owner = current_process.get()
        if owner is not None:
            owner.at_death.append(self._end)

    @property
    def info(self) -> SimpleNamespace:
        """As far as anybody asks."""
        status = TransactionStatus.INTRANS if self._is_in_transaction else TransactionStatus.IDLE
        return SimpleNamespace(transaction_status=status)

    async def execute(self, query: Any, parameters: Any = None, *, binary: bool = False) -> Any:
        """One statement; outside of a transaction it is one."""
        text = query.decode() if isinstance(query, bytes) else str(query)
        if text in ("BEGIN", "COMMIT", "ROLLBACK"):
            return await self._turn(text)
        if text.startswith("SET "):
            return Cursor(self._database.ask("SELECT 1"))
        if _LOCK in text:
            return self._try_lock(text, parameters)
        if self._is_in_transaction:
            return self._run(query, parameters, binary)
        await self._begin()
        if text.lstrip().startswith("SELECT"):
            return self._run(query, parameters, binary)
        self._database.start(*self._time())
        cursor = self._run(query, parameters, binary)
        await self._commit()
        return cursor

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All or nothing. Within another it is a part of that, and still nobody else runs."""
        if self._is_in_transaction:
            self._database.nest()
            try:
                yield
            except BaseException:
                self._database.unnest(is_undone=True)
                raise
            self._database.unnest(is_undone=False)
            return
        await self._begin()
        self._database.start(*self._time())
        self._is_in_transaction = True
        try:
            yield
        except BaseException:
            self._database.roll_back()
            raise
        finally:
            self._is_in_transaction = False
        await self._commit()

    async def _turn(self, word: str) -> None:
        """A transaction that begins or ends by a statement."""
        if word == "BEGIN":
            await self._begin()
            self._database.start(*self._time())
        self._is_in_transaction = self._is_begun = word == "BEGIN"
        if word == "ROLLBACK":
            self._database.roll_back()
        if word == "COMMIT":
            await self._commit()

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[None]:
        """Statements sent together; here each is answered at once."""
        yield

    async def notifies(self) -> AsyncIterator[Any]:
        """Nothing, until the connection is lost."""
        await self._lost
        raise psycopg.OperationalError("the connection is lost")
        yield

    async def close(self) -> None:
        """Disconnect."""
        self._end()

    async def __aenter__(self) -> "Connection":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end()

    def lose(self) -> None:
        """The connection breaks."""
        self._end()
        if not self._lost.done():
            self._lost.set_result(None)

    def _end(self) -> None:
        self.closed = True
        if self._is_begun:
            self._is_in_transaction = self._is_begun = False
            self._database.roll_back()
        if self in self._database.connections:
            self._database.connections.remove(self)
        for key in [key for key, owner in self._database.locks.items() if owner is self]:
            del self._database.locks[key]

    async def _begin(self) -> None:
        await self._world.at(f"db.begin:{self._name}")
        await self._world.pause(0.0002, 0.002)
        if self._world.strikes("database_away", f"db.begin:{self._name}"):
            self._world.take_away(self._database)
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")

    def _time(self) -> tuple[float, str]:
        return self._world.loop.time(), self._world.now().isoformat()

    def _run(self, query: Any, parameters: Any, binary: bool) -> Cursor:
        text = query.decode() if isinstance(query, bytes) else str(query)
        if _CLOCK in text:
            self._database.tell_time(*self._time())
        return Cursor(self._database.ask(query, parameters, binary=binary))

    async def _commit(self) -> None:
        """Nobody else runs until it is committed or rolled back."""
        place = f"db.commit:{self._name}"
        if self._world.falls(place) or self._world.strikes("commit_refused", place):
            self._database.roll_back()
            await self._break()
        place = f"db.committed:{self._name}"
        self._world.committed(self._name)
        if self._world.strikes("commit_unheard", place):
            await self._break()
        await self._world.at(place)
        await self._world.pause(0.0, 0.001)

    async def _break(self) -> None:
        self.lose()
        await self._world.until_dead()
        raise psycopg.OperationalError("the connection was lost at the commit")

    def _try_lock(self, text: str, parameters: Sequence[object]) -> "Answer":
        if self.closed:
            raise psycopg.OperationalError("the connection is closed")
        key = (text, repr(parameters))
        return Answer((self._database.locks.setdefault(key, self) is self,))


class Answer:
    """One row."""

    rowcount = 1

    def __init__(self, row: tuple[object, ...]) -> None:
        self._row = row

    async def fetchone(self) -> tuple[object, ...]:
        """The row."""
        return self._row


class Server:
    """All databases, found by the name in a connection string."""

    def __init__(self, world: World, databases: dict[str, Database]) -> None:
        self._world = world
        self.databases = databases

    async def connect(self, conninfo: str, **options: Any) -> Connection:
        """As psycopg.AsyncConnection.connect."""
        await self._world.pause(0.001, 0.005)
        database = self.databases[str(conninfo_to_dict(conninfo)["dbname"])]
        if database.is_away:
            raise psycopg.OperationalError("the server does not answer")
        return Connection(self._world, database, str(options.get("application_name", "migrate")))


class Pool:
    """What a service takes for its psycopg_pool.AsyncConnectionPool; never too small."""

    check_connection = None

    def __init__(self, server: Server, conninfo: str, options: dict[str, Any]) -> None:
        self._server = server
        self._conninfo = conninfo
        self._name = str(options["kwargs"]["application_name"])
        self._wait_seconds = float(options["timeout"])
        self._idle: list[Connection] = []

    async def open(self) -> None:
        """Nothing to do before the first connection is wanted."""

    async def close(self) -> None:
        """Disconnect."""
        for connection in self._idle:
            await connection.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection. Raises PoolTimeout."""
        connection = await self._take()
        yield connection
        if not connection.closed:
            self._idle.append(connection)

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        try:
            return await self._server.connect(self._conninfo, application_name=self._name)
        except psycopg.OperationalError:
            await self._server._world.loop_sleep(self._wait_seconds)
            raise PoolTimeout("no connection in time") from None
