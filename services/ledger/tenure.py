"""Who is the writer: one process at a time, and another soon after it is gone.

The writer says a few times a second that it is there. When it has not for a while, or leaves, the
first other process to see it raises the epoch and is the writer; should the one before be frozen
with the books locked, its transaction is ended. No clock but the database's is asked, and none has
to be right: every batch is written only if the epoch is still the writer's own, under the lock that
raising it takes too, so a writer that was merely slow can do no harm.

But whose own clock is far ahead of the database's is no writer: the time on record never falls, so
one that is still to come would be on record until it has come.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from libs.clock import Clock
from libs.postgres import Lane
from libs.refusals import Unavailable
from libs.tasks import end
from services.ledger.store import epochs

BEAT_SECONDS = 0.3
GONE_SECONDS = 1.2
MOST_AHEAD = timedelta(minutes=1)

_is_writer = Gauge("ledger_is_writer", "1 while this process is the writer")
_log = structlog.get_logger()


def is_ahead(at: datetime, database_at: datetime) -> bool:
    """Whether `at` is too far ahead of what the database's clock said a moment before."""
    return at - database_at > MOST_AHEAD


class Tenure:
    """This process's turn as the writer. `on_change` is told whether it is, when that changes."""

    def __init__(
        self, dsn: str, *, clock: Clock, on_change: Callable[[bool], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._on_change = on_change
        self._lane = Lane(
            dsn,
            name="ledger-tenure",
            give_up_seconds=GONE_SECONDS,
            options={"lock_timeout": f"{BEAT_SECONDS}s"},
        )
        self._task: asyncio.Task[None] | None = None
        self._is_ahead = False
        self.epoch: int | None = None  # None: another process is the writer, or none is

    async def begin(self) -> None:
        """Become the writer if there is none, and from now on whenever there is none."""
        await self._look()
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Leave, so that another need not wait."""
        await end(self._task)
        if self.epoch is not None:
            epoch = self.epoch
            with contextlib.suppress(Unavailable):
                await self._lane.run(lambda connection: epochs.leave(connection, epoch))
            await self._set(None)
        await self._lane.close()

    async def lose(self, epoch: int) -> None:
        """A batch was refused because the epoch is over."""
        if self.epoch == epoch:
            await self._set(None)

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            await self._look()

    async def _look(self) -> None:
        """Say that we are there, or see whether anybody is."""
        epoch = self.epoch
        try:
            if is_ahead(self._clock.now(), await self._lane.run(epochs.database_now)):
                await self._stand_back(epoch)
                return
            self._is_ahead = False
            if epoch is None:
                await self._set(await self._lane.run(lambda c: epochs.take(c, GONE_SECONDS)))
            elif not await self._lane.run(lambda c: epochs.stay(c, epoch)):
                await self.lose(epoch)
        except Unavailable:
            pass  # batches fail just so, and the epoch stays ours until another takes it
        except Exception:
            _log.error("tenure_failed", exc_info=True)

    async def _stand_back(self, epoch: int | None) -> None:
        """Leave it to a process whose clock is right."""
        if not self._is_ahead:
            self._is_ahead = True
            _log.error("clock_is_ahead_of_the_database", most_seconds=MOST_AHEAD.total_seconds())
        if epoch is not None:
            await self._lane.run(lambda c: epochs.leave(c, epoch))
            await self.lose(epoch)

    async def _set(self, epoch: int | None) -> None:
        if epoch == self.epoch:
            return
        self.epoch = epoch
        _is_writer.set(epoch is not None)
        _log.info("writer" if epoch is not None else "not_the_writer", epoch=epoch)
        await self._on_change(epoch is not None)
