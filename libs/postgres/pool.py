"""A small pool for reads and rare writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from libs.postgres.lost import AWAY, TIMEOUTS
from libs.refusals import Unavailable
from stockbroker.common.v1.reason_pb2 import Reason


class Pool:
    """Connections that come back when they are lost; a caller waits `wait_seconds` for one."""

    def __init__(
        self, dsn: str, *, size: int = 4, name: str = "", wait_seconds: float = 5.0
    ) -> None:
        self._pool = AsyncConnectionPool(
            dsn,
            min_size=1,
            max_size=size,
            timeout=wait_seconds,
            # Attempts to connect follow at longer and longer pauses. Given up so soon, they begin
            # anew with the next caller, who by the default waited minutes for the next attempt.
            reconnect_timeout=wait_seconds,
            open=False,
            check=AsyncConnectionPool.check_connection,
            kwargs={"autocommit": True, "application_name": name, **TIMEOUTS},
        )

    async def open(self) -> None:
        """Begin to connect; does not wait for the database."""
        await self._pool.open()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection]:
        """A connection in autocommit. Raises Unavailable when there is none, or it is lost."""
        try:
            async with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.InterfaceError, *AWAY) as error:
            raise Unavailable(Reason.REASON_UNAVAILABLE, "the database does not answer") from error
