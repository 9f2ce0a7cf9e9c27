"""The way to the service's own database: it may be away at any time, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from psycopg import AsyncConnection as Connection
from psycopg.conninfo import make_conninfo

from libs.clock import Clock
from libs.postgres import Lane, Pool, migrate
from libs.postgres.upkeep import keep_ahead
from services.order import refusals
from services.order.store import PLANS, READING_PLANS
from services.order.store.months import TRADE_EVENTS

__all__ = ["Change", "Connection", "Database"]

Answer = TypeVar("Answer")

MIGRATIONS = Path(__file__).parent / "migrations"

# Many times what a batch takes on the slowest disk: one that never ends in time is never kept.
LONGEST_SECONDS = 30.0


class Change(StrEnum):
    """The kinds of change; each has a connection of its own."""

    PLACE = "place"
    CLAIM = "claim"
    APPLY = "apply"


class Database:
    """Lanes for what is written, a pool for what is read. Refuses both until it is open.

    PostgreSQL ends a transaction that takes longer than `longest_seconds`: of a process that stands
    still, or is cut off, within a flight it hears nothing, not even that the transaction is idle.
    """

    def __init__(
        self, url: str, *, read_connections: int, longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        options = " ".join(f"-c {key}={value}" for key, value in READING_PLANS.items())
        self._url = url
        self._pool = Pool(
            make_conninfo(url, options=options), size=read_connections, name="order-read"
        )
        writing = PLANS | {"transaction_timeout": str(int(longest_seconds * 1000))}
        self._lanes = {
            change: Lane(url, name=f"order-{change}", options=writing, in_flights=True)
            for change in Change
        }
        self._opened = asyncio.Event()

    async def open(self) -> None:
        """Wait for the database, for ever if need be, and bring it to the newest schema."""
        await migrate(self._url, MIGRATIONS)
        await self._pool.open()
        self._opened.set()

    async def opened(self) -> None:
        """Wait until it is open."""
        await self._opened.wait()

    async def keep_ahead(self, clock: Clock) -> None:
        """See to the partitions of the months to come, for ever, once it is open."""
        await self.opened()
        await keep_ahead(self._url, [TRADE_EVENTS], clock)

    async def close(self) -> None:
        """Close every connection."""
        for lane in self._lanes.values():
            await lane.close()
        await self._pool.close()

    async def run(self, change: Change, work: Callable[[Connection], Awaitable[Answer]]) -> Answer:
        """The answer of `work`, committed. Raises Unavailable. It must be safe to run again."""
        if not self._opened.is_set():
            raise refusals.starting()
        return await self._lanes[change].run(work)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in autocommit, for reads and rare writes. Raises Unavailable."""
        if not self._opened.is_set():
            raise refusals.starting()
        async with self._pool.connection() as connection:
            yield connection
