"""Keeps this worker leading what it should lead, and nothing else."""

from collections.abc import Callable, Collection

import structlog
from prometheus_client import Gauge

from services.execution.consumer import Consumer
from services.execution.domain.ring import move
from services.execution.neighbours import Order
from services.execution.presence import BEAT_SECONDS, DEAD_SECONDS, Presence
from services.execution.worker import Worker

# A partition lost right after it was taken is left alone for this long.
_RETAKE_SECONDS = 1.0
# A worker the order service does not answer goes quiet, so that others take its partitions.
_MAX_SILENCE_SECONDS = 5.0

# A worker that stood still for so long may be dead to the others: they count from its last beat,
# which may have been that long ago when it stopped.
_STILL_SECONDS = DEAD_SECONDS - BEAT_SECONDS - 0.1

_leading = Gauge("execution_leading", "Partitions this worker leads")
_log = structlog.get_logger()


class Ring:
    """This worker among the others. `hurry(partitions)` is called with what it came to lead."""

    def __init__(
        self,
        worker: Worker,
        order: Order,
        presence: Presence,
        consumer: Consumer,
        hurry: Callable[[Collection[int]], None],
    ) -> None:
        self._worker = worker
        self._order = order
        self._presence = presence
        self._consumer = consumer
        self._hurry = hurry
        self._taken_at: dict[int, float] = {}
        self._beat_at = 0.0
        self._awake_at = worker.clock.monotonic()
        self._has_stood_still = False

    async def beat(self) -> None:
        """Tell the others that this worker lives, as often as they need it."""
        now = self._worker.clock.monotonic()
        self._has_stood_still |= now - self._awake_at > _STILL_SECONDS
        self._awake_at = now
        is_due = now - self._beat_at >= BEAT_SECONDS or self._presence.is_listening
        if is_due and self._order.silent_seconds < _MAX_SILENCE_SECONDS:
            await self._tell()

    async def sign(self) -> None:
        """The same through the database. Raises Unavailable."""
        if self._order.silent_seconds < _MAX_SILENCE_SECONDS:
            await self._presence.sign()

    async def tend(self) -> None:
        """Take up and give up partitions. Raises Unavailable.

        A worker that stood still for as long as may make one dead leads nothing any more, whatever
        it believes: the others have taken over.
        """
        if self._has_stood_still:
            self._has_stood_still = False
            await self._drop(self._worker.leads.partitions)
        view = self._presence.view()
        if view is None:
            return
        step = move(self._worker.name, view, self._worker.leads.partitions)
        if step.drop:
            await self._drop(step.drop)
        now = self._worker.clock.monotonic()
        take = {
            partition
            for partition in step.take
            if now - self._taken_at.get(partition, -_RETAKE_SECONDS) >= _RETAKE_SECONDS
        }
        if take:
            await self._take(take)
        _leading.set(len(self._worker.leads))

    async def leave(self) -> None:
        """Hand everything over to the others at once."""
        self._worker.leads.drop(self._worker.leads.partitions)
        await self._consumer.close()
        await self._presence.leave()

    async def _take(self, partitions: Collection[int]) -> None:
        epochs = await self._order.lead(self._worker.name, partitions)
        now = self._worker.clock.monotonic()
        self._taken_at.update(dict.fromkeys(epochs, now))
        self._worker.leads.take(epochs)
        self._hurry(epochs.keys())
        await self._tell()
        _log.info("partitions_taken", partitions=len(epochs), leads=len(self._worker.leads))

    async def _drop(self, partitions: Collection[int]) -> None:
        self._worker.leads.drop(partitions)
        await self._consumer.release(partitions)
        await self._tell()
        _log.info("partitions_dropped", partitions=len(partitions), leads=len(self._worker.leads))

    async def _tell(self) -> None:
        self._beat_at = self._worker.clock.monotonic()
        await self._presence.beat(self._worker.leads.partitions)
