"""Natural batching in two steps that overlap: the next batch is made ready while one is kept.

Keeping a batch is mostly another's work: a database writes and commits. Meanwhile the next batch is
decided on what the one before will leave.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

import structlog

from libs.batcher import Batcher, Entries
from libs.refusals import Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")
Ready = TypeVar("Ready")

_log = structlog.get_logger()


class _Step(Generic[Ready]):
    """A batch that is being kept."""

    def __init__(self, ready: Ready | None) -> None:
        self.ready = ready  # None: nothing can be foreseen, it is handled as a Batcher would
        self.is_over = False
        self.is_kept = False  # just as it was made ready
        self.task: asyncio.Task[None] | None = None


class AheadBatcher(Batcher[Item, Result], Generic[Item, Result, Ready]):
    """Hands items in batches to `prepare`, then to `keep`, in the order they were submitted.

    `prepare` gets a batch and what was made ready for the one before if that is being kept just
    now, else None, and changes nothing. `keep` makes it last and tells the results; batches are
    kept one after the other, and answered only then. Where either raises, or the batch before was
    not kept as it was made ready, the batch goes to `handle` instead, which finds out for itself
    what is so; see Batcher.
    """

    def __init__(
        self,
        handle: Callable[[list[Item]], Awaitable[Sequence[Result | Refusal]]],
        *,
        prepare: Callable[[list[Item], Ready | None], Awaitable[Ready]],
        keep: Callable[[Ready], Awaitable[Sequence[Result | Refusal]]],
        max_items: int = 500,
        max_queued: int = 10_000,
    ) -> None:
        super().__init__(handle, max_items=max_items, max_queued=max_queued)
        self._prepare = prepare
        self._keep = keep
        self._last: _Step[Ready] | None = None

    async def close(self) -> None:
        """Take nothing new and finish what is queued."""
        await super().close()
        await _over(self._last)

    async def _work(self) -> None:
        while self._queue:
            if self._last is not None and self._last.ready is None:
                await _over(self._last)
            batch, before = self._next(), self._last
            if before is not None and before.is_over:
                before = None
            ready = await self._made_ready([item for item, _, _ in batch], before)
            await _over(self._last)
            if before is not None and not before.is_kept:
                ready = None
            self._last = _Step(ready)
            self._last.task = asyncio.create_task(self._finish(batch, self._last))

    async def _made_ready(self, items: list[Item], before: _Step[Ready] | None) -> Ready | None:
        try:
            return await self._prepare(items, None if before is None else before.ready)
        except Refusal:
            return None
        except Exception as error:
            _log.warning("batch_not_made_ready", items=len(items), error=repr(error))
            return None

    async def _finish(self, batch: Entries[Item, Result], step: _Step[Ready]) -> None:
        """Keep one batch and tell its results."""
        results: Sequence[Result | Refusal] | None = None
        if step.ready is not None:
            try:
                results = await self._keep(step.ready)
            except Exception as error:
                _log.warning("batch_not_kept", items=len(batch), error=repr(error))
        if results is None:
            await self._run(batch)
        step.is_over, step.is_kept = True, results is not None
        if results is not None:
            self._settle(batch, results)


async def _over(step: _Step[Ready] | None) -> None:
    if step is not None and step.task is not None:
        await step.task
