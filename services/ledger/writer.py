"""The one lane through which all changes of the books go.

Whatever queued while a batch was in flight is the next batch: one lock, one read, one decision,
one write, one commit, however many calls it came from. Only the process whose turn it is writes:
see `tenure`.
"""

from collections import Counter as Tally
from collections.abc import Callable, Sequence

import structlog
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection

from libs.batcher import Batcher
from libs.clock import Clock
from libs.postgres import Lane
from libs.reasons import Reason
from libs.refusals import Refusal, Unavailable
from services.ledger.domain.books import Result
from services.ledger.domain.chain import Chain, Chained
from services.ledger.domain.decide import decide
from services.ledger.domain.operations import Operation
from services.ledger.store.journal import OPTIONS, Journal, StaleWriter
from services.ledger.tenure import Tenure

_decided = Counter("ledger_operations", "Operations decided", ["kind", "reason"])
_items = Histogram("ledger_batch_items", "Operations in a batch", buckets=[1, 3, 10, 30, 100, 300])
_seconds = Histogram("ledger_batch_seconds", "Seconds from the lock to the commit of a batch")
_log = structlog.get_logger()


class Writer:
    """Takes operations from all calls and answers each when it is durable."""

    def __init__(
        self, dsn: str, *, tenure: Tenure, clock: Clock, max_items: int, max_queued: int
    ) -> None:
        self._tenure = tenure
        self._clock = clock
        self.on_written: Callable[[Chained], None] = lambda _: None  # told of what is committed
        self._lane = Lane(dsn, name="ledger-writer", options=OPTIONS)
        self._batcher: Batcher[Operation, Result] = Batcher(
            self._handle, max_items=max_items, max_queued=max_queued
        )

    async def take(self, operations: Sequence[Operation]) -> list[Result]:
        """The results, in order, once they are durable. The same ids again get the same results.

        Raises Unavailable when the database stays away or another process becomes the writer, which
        leaves open what was done, and Throttled when too much is queued, which means nothing was.
        """
        self._epoch()
        results: list[Result] = []
        for result in await self._batcher.submit_all(operations):
            if isinstance(result, Refusal):
                raise result
            results.append(result)
        return results

    async def close(self) -> None:
        """Finish what is queued and take nothing more."""
        await self._batcher.close()
        await self._lane.close()

    async def _handle(self, batch: list[Operation]) -> list[Result]:
        began = self._clock.monotonic()
        epoch = self._epoch()
        try:
            results, written = await self._lane.run(lambda c: self._write(c, batch, epoch))
            if written is not None:
                self.on_written(written)
        except Refusal:
            raise
        except StaleWriter:
            await self._tenure.lose(epoch)
            raise _not_the_writer() from None
        except Exception:
            if len(batch) > 1:
                raise  # the batcher tries them one by one
            _log.error("operation_failed", id=batch[0].id, kind=batch[0].kind, exc_info=True)
            results = [Result(batch[0].id, Reason.REASON_INTERNAL)]
        self._count(batch, results, self._clock.monotonic() - began)
        return results

    async def _write(
        self, connection: AsyncConnection, batch: list[Operation], epoch: int
    ) -> tuple[list[Result], Chained | None]:
        """Safe to run again after a commit of which nothing is known: then all ids are recorded."""
        journal = Journal(connection, epoch=epoch)
        state = await journal.read(batch)
        results, writes = decide(state, batch, at=self._clock.now())
        if not writes.transfers:
            return results, None
        return results, await journal.write(writes, Chain(state, writes))

    def _epoch(self) -> int:
        """That of our turn as the writer. Raises Unavailable when it is not our turn."""
        epoch = self._tenure.epoch
        if epoch is None:
            raise _not_the_writer()
        return epoch

    def _count(self, batch: list[Operation], results: list[Result], seconds: float) -> None:
        _items.observe(len(batch))
        _seconds.observe(seconds)
        refused = sum(result.reason != 0 for result in results)
        pairs = zip(batch, results, strict=True)
        for (kind, reason), count in Tally((o.kind, r.reason) for o, r in pairs).items():
            _decided.labels(kind, Reason.Name(reason)).inc(count)
        _log.info("batch", items=len(batch), refused=refused, ms=round(seconds * 1000, 1))


def _not_the_writer() -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, "another process writes the books")
