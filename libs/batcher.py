"""Natural batching: one batch in flight, whatever arrives meanwhile is the next one.

An idle system has no timer and no delay; a busy one pays the fixed cost of a step (a commit, an
RPC) once per batch instead of once per item. Where items come one by one and fast, a batch may
also linger for a few milliseconds, and takes those along that come meanwhile.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from libs.admission import Admission
from libs.refusals import Refusal, Throttled, Unavailable
from libs.tasks import is_cancelled
from stockbroker.common.v1.reason_pb2 import Reason

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORTH_WAITING_FOR = 3  # items
_MEMORY_SECONDS = 0.05
_LONGEST_SECONDS = 0.1  # that a batch waits for having queued behind another
_log = structlog.get_logger()


class Batcher(Generic[Item, Result]):
    """Hands items to `handle` in batches, in the order they were submitted.

    `handle` gets 1 to `max_items` items and returns as many results in the same order; a result
    that is a Refusal is raised to its submitter alone. When `handle` raises on a batch it is called
    again item by item, so that one poison item fails alone; it must therefore be safe to repeat.

    A batch lingers for `linger_seconds` only while items come so fast that a few are to be expected
    in that time, and when it has queued behind another for as long as that took. A single item
    waits for nobody.

    More than `max_queued` items are refused, and with an `admission` what would wait too long.
    """

    def __init__(
        self,
        handle: Callable[[list[Item]], Awaitable[Sequence[Result | Refusal]]],
        *,
        max_items: int = 500,
        max_queued: int = 10_000,
        linger_seconds: float = 0.0,
        admission: Admission | None = None,
    ) -> None:
        self._handle = handle
        self._max_items = max_items
        self._max_queued = max_queued
        self._linger_seconds = linger_seconds
        self._admission = admission
        self._queue: deque[tuple[Item, _Parcel[Result], int]] = deque()
        self._pace = Pace()
        self._worker: asyncio.Task[None] | None = None
        self._is_closed = False
        # Not that of the submitter who happens to wake the worker: a batch has many.
        self._context = contextvars.copy_context()

    @property
    def queued(self) -> int:
        """Items waiting, the batch in flight not counted."""
        return len(self._queue)

    async def submit(self, item: Item) -> Result:
        """The result of one item. Raises Throttled, or what the item is refused for."""
        if self._room() < 1:
            raise self._overloaded()
        (outcome,) = await self._enqueue([item])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def submit_all(self, items: Sequence[Item]) -> list[Result | Refusal]:
        """The results, in order; refusals are returned, other errors are raised.

        Raises Throttled for all of them.
        """
        if self._room() < len(items):
            raise self._overloaded(len(items))
        results: list[Result | Refusal] = []
        for outcome in await self._enqueue(items):
            if isinstance(outcome, Exception) and not isinstance(outcome, Refusal):
                raise outcome
            results.append(outcome)
        return results

    async def outcomes(self, items: Sequence[Item]) -> "list[Result | Exception]":
        """The results, in order; errors of an item are returned.

        As many as there is room for are taken, the first of them; the others are Throttled. Raises
        Throttled once it is closed.
        """
        room = max(0, int(min(self._room(), len(items))))
        refused = self._overloaded(len(items) - room, taken=room) if room < len(items) else None
        outcomes = await self._enqueue(items[:room])
        return outcomes if refused is None else [*outcomes, *[refused] * (len(items) - room)]

    async def close(self) -> None:
        """Take nothing new and finish what is queued, also when nobody waits for it any more."""
        self._is_closed = True
        if self._worker is not None:
            await asyncio.shield(self._worker)

    async def _enqueue(self, items: Sequence[Item]) -> "list[Result | Exception]":
        """What became of each, in order."""
        if self._is_closed:
            raise self._overloaded()
        if not items:
            return []
        parcel: _Parcel[Result] = _Parcel(len(items))
        self._queue.extend((item, parcel, place) for place, item in enumerate(items))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work(), context=self._context)
        await parcel.is_done
        return list(map(parcel.outcomes.__getitem__, range(len(items))))

    def _room(self) -> float:
        """How many more are taken now; none or less: no more."""
        room = self._max_queued - len(self._queue)
        if self._admission is None:
            return room
        return min(room, self._admission.room(len(self._queue)))

    def _overloaded(self, items: int = 1, *, taken: int = 0) -> Throttled:
        after = 1.0
        if self._admission is not None:
            after = self._admission.come_back(items, len(self._queue) + taken, now=_now())
        return Throttled(
            Reason.REASON_OVERLOADED,
            "more work is queued than can be taken",
            retry_after_seconds=after,
        )

    async def _work(self) -> None:
        """Runs while something is queued; an empty queue ends it."""
        took = 0.0
        while self._queue:
            if self._linger_seconds:
                await self._linger(took)
            batch, began = self._next(), _now()
            if self._admission is not None:
                self._admission.begins(len(batch))
            await self._run(batch)
            took = _now() - began
            if self._admission is not None:
                self._admission.ends(took=took)

    async def _linger(self, took: float) -> None:
        """Wait for others, if some are to be expected; `took`: the batch they have queued behind.

        Where batches take long although they are small, the next is as large as two.
        """
        is_whole = len(self._queue) >= self._max_items or self._room() < 1
        many = self._pace.within(self._linger_seconds) >= _WORTH_WAITING_FOR
        behind = min(took, _LONGEST_SECONDS)
        seconds = max(self._linger_seconds, behind) if many else behind
        if seconds and not is_whole:
            await asyncio.sleep(seconds)
        self._pace.note(len(self._queue), _now())

    def _next(self) -> "Entries[Item, Result]":
        """What has waited longest, and waits no more."""
        size = min(len(self._queue), self._max_items)
        return [self._queue.popleft() for _ in range(size)]

    async def _run(self, batch: "Entries[Item, Result]") -> None:
        try:
            self._settle(batch, await self._handle([item for item, _, _ in batch]))
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            cut_off = Unavailable(Reason.REASON_UNAVAILABLE, "a call was cut off")
            self._settle(batch, [cut_off] * len(batch))
        except Exception as error:
            if len(batch) == 1 or isinstance(error, Refusal):
                for _, parcel, place in batch:
                    parcel.settle(place, error)
                return
            _log.warning("batch_failed_retrying_singly", items=len(batch), exc_info=True)
            for entry in batch:
                await self._run([entry])

    def _settle(self, batch: "Entries[Item, Result]", results: Sequence[Result | Refusal]) -> None:
        if len(results) != len(batch):
            raise AssertionError(f"{len(batch)} items gave {len(results)} results")
        for (_, parcel, place), result in zip(batch, results, strict=True):
            parcel.settle(place, result)


def _now() -> float:
    return asyncio.get_running_loop().time()


class Pace:
    """How many items come a second, of late."""

    def __init__(self) -> None:
        self._per_second = 0.0
        self._noted_at = float("-inf")

    def within(self, seconds: float) -> float:
        """How many are to be expected in the time to come."""
        return self._per_second * seconds

    def note(self, items: int, now: float) -> None:
        """So many came since the last time."""
        passed = max(now - self._noted_at, 1e-6)
        self._noted_at = now
        share = min(1.0, passed / _MEMORY_SECONDS)
        self._per_second += (items / passed - self._per_second) * share


class _Parcel(Generic[Result]):
    """What one submitter waits for: as many outcomes as it submitted items."""

    __slots__ = ("_size", "is_done", "outcomes")

    def __init__(self, size: int) -> None:
        self.outcomes: dict[int, Result | Exception] = {}  # by place
        self.is_done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._size = size

    def settle(self, place: int, outcome: Result | Exception) -> None:
        """One outcome; the last one wakes the submitter, unless it has gone away."""
        self.outcomes[place] = outcome
        if len(self.outcomes) == self._size and not self.is_done.done():
            self.is_done.set_result(None)


Entries = list[tuple[Item, _Parcel[Result], int]]  # items, each with who waits for it and where
