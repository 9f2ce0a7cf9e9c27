"""One dedicated connection that does one transaction at a time and comes back when it is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import psycopg
import structlog
from psycopg.pq import TransactionStatus
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from libs.postgres.flight import Connection
from libs.postgres.lost import AWAY, TIMEOUTS
from libs.refusals import Unavailable
from stockbroker.common.v1.reason_pb2 import Reason

Answer = TypeVar("Answer")

# The last one: the server ended a transaction in which this process stood still for too long.
_PASSING = (
    *AWAY,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
)
# The server itself gave up, whatever it says why: a full disk for example.
_GIVEN_UP = {"PANIC", "FATAL"}
_log = structlog.get_logger()


class _GivenUp(psycopg.OperationalError):
    """The server gave up in the middle of a transaction; the connection is gone."""


class Lane:
    """Runs functions in transactions, one after the other, on one connection of its own.

    The function must be safe to run again: a connection lost at the commit leaves open whether it
    was committed, and the lane then runs it once more. `options` are session settings of this
    lane, for example {"enable_seqscan": "off"} where plans must not depend on statistics.

    In flights, the server gets statements without an answer to the one before: the function waits
    only where it looks at rows, and what goes wrong with a statement is raised there, or at the
    commit. So BEGIN goes with the first statements and COMMIT with the last.
    """

    def __init__(
        self,
        dsn: str,
        *,
        name: str,
        give_up_seconds: float = 10.0,
        options: dict[str, str] | None = None,
        in_flights: bool = False,
    ) -> None:
        self._dsn = dsn
        self._name = name
        self._give_up_seconds = give_up_seconds
        self._options = " ".join(f"-c {key}={value}" for key, value in (options or {}).items())
        self._transaction = _in_flights if in_flights else _one_by_one
        self._connection: psycopg.AsyncConnection | None = None
        self._lock = asyncio.Lock()
        self._is_away = False  # the last one was given up

    async def run(self, work: Callable[[psycopg.AsyncConnection], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, committed. Raises Unavailable when the database stays away."""
        async with self._lock:
            try:
                try:
                    return await self._attempt(work)
                except _PASSING:
                    return await self._again(work)
            except _PASSING as error:
                self._is_away = True
                _log.warning("database_unavailable", lane=self._name, error=str(error).strip())
                raise Unavailable(
                    Reason.REASON_UNAVAILABLE, "the database does not answer"
                ) from error

    async def _again(self, work: Callable[[psycopg.AsyncConnection], Awaitable[Answer]]) -> Answer:
        """At once, and then at growing intervals."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_PASSING),
            wait=wait_random_exponential(multiplier=0.02, max=0.5),
            stop=stop_after_delay(self._give_up_seconds),
            reraise=True,
        ):
            with attempt:
                return await self._attempt(work)
        raise AssertionError("unreachable")

    async def attempt(self, work: Callable[[psycopg.AsyncConnection], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, which is done once and sees to its own transaction, if any.

        Whatever goes wrong is raised, and ends the connection and what was not committed on it.
        """
        async with self._lock:
            try:
                return await work(await self._connected())
            except BaseException:
                await self._drop()
                raise

    async def close(self) -> None:
        """Close the connection once the transaction in progress is over."""
        async with self._lock:
            await self._drop()

    async def _attempt(
        self, work: Callable[[psycopg.AsyncConnection], Awaitable[Answer]]
    ) -> Answer:
        connection = await self._connected()
        try:
            async with self._transaction(connection):
                answer = await work(connection)
        except (*_PASSING, asyncio.CancelledError):
            await self._drop()
            raise
        except psycopg.Error as error:
            is_lost = connection.closed or error.diag.severity_nonlocalized in _GIVEN_UP
            # A flight that went wrong may have left the transaction open.
            if is_lost or not _is_idle(connection):
                await self._drop()
            if is_lost:
                raise _GivenUp(str(error)) from error
            raise
        if self._is_away:
            self._is_away = False
            _log.info("database_answers_again", lane=self._name)
        return answer

    async def _connected(self) -> psycopg.AsyncConnection:
        if self._connection is None or self._connection.closed:
            self._connection = await Connection.connect(
                self._dsn,
                autocommit=True,
                prepare_threshold=0,
                application_name=self._name,
                options=self._options,
                **TIMEOUTS,
            )
        return self._connection

    async def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


@asynccontextmanager
async def _one_by_one(connection: psycopg.AsyncConnection) -> AsyncIterator[None]:
    async with connection.transaction():
        yield


@asynccontextmanager
async def _in_flights(connection: psycopg.AsyncConnection) -> AsyncIterator[None]:
    try:
        async with connection.pipeline():
            await connection.execute("BEGIN")
            yield
            await connection.execute("COMMIT")
    except Exception:
        if not (connection.closed or _is_idle(connection)):
            await connection.execute("ROLLBACK")
        raise


def _is_idle(connection: psycopg.AsyncConnection) -> bool:
    """Whether it is ready for a transaction."""
    return connection.info.transaction_status is TransactionStatus.IDLE
