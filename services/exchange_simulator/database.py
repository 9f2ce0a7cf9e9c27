"""The way to the exchange's own database: it may be away at any time, and comes back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import structlog
from psycopg import AsyncConnection

from libs.clock import Clock
from libs.postgres import Lane, Pool, migrate
from libs.refusals import Unavailable
from services.exchange_simulator import store
from services.exchange_simulator.fence import Superseded
from stockbroker.common.v1.reason_pb2 import Reason

Answer = TypeVar("Answer")

# Of the lane that writes: no plan may depend on how full the tables are, and each is made once.
KEEPING_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}
MIGRATIONS = Path(__file__).parent / "migrations"
_RETRY_SECONDS = 1.0
_log = structlog.get_logger()


class Database:
    """One lane for all that is written, a small pool to read, and the number of this run.

    A newer process on the same database fences this one off: it can write no more.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        self._url = url
        self._clock = clock
        self._lane = Lane(url, name="exchange-keep", options=KEEPING_PLANS)
        self._pool = Pool(url, size=2, name="exchange-read")
        self._epoch = 0
        self._trouble = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The number of this run, 1 or more. Raises Unavailable before it has begun."""
        if not self._epoch:
            raise _unopened()
        return self._epoch

    async def open(self) -> list[str]:
        """Wait for the database, renew its schema, begin a run. The symbols that are halted."""
        await migrate(self._url, MIGRATIONS)
        await self._pool.open()
        self._epoch = await self._persist(store.raise_epoch)
        return await self._persist(store.read_halts)

    async def close(self) -> None:
        """Close every connection."""
        await self._lane.close()
        await self._pool.close()

    async def run(self, work: Callable[[AsyncConnection, int], Awaitable[Answer]]) -> Answer:
        """The answer of `work(connection, epoch)`, committed. Raises Unavailable.

        `work` must be safe to run again; see Lane.
        """
        epoch = self.epoch
        try:
            return await self._lane.run(lambda connection: work(connection, epoch))
        except Superseded as error:
            self._trouble.set()
            raise _unavailable("another process runs the exchange") from error
        except Unavailable:
            self._trouble.set()
            raise

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with. Raises Unavailable."""
        if not self._epoch:
            raise _unopened()
        async with self._pool.connection() as connection:
            yield connection

    async def trouble(self) -> None:
        """Wait until a write has failed."""
        await self._trouble.wait()

    async def recover(self) -> None:
        """Wait until the database takes writes of this run again; never, once it is fenced off."""
        while await self._persist(store.read_epoch) != self._epoch:
            _log.error("superseded", epoch=self._epoch)
            await self._clock.sleep(_RETRY_SECONDS)
        self._trouble.clear()

    async def _persist(self, work: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
        """Run `work` until the database answers."""
        while True:
            try:
                return await self._lane.run(work)
            except Unavailable:
                await self._clock.sleep(_RETRY_SECONDS)


def _unopened() -> Unavailable:
    return _unavailable("the exchange waits for its database")


def _unavailable(text: str) -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, text)
