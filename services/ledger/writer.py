"""The one lane through which all changes of the books go.

Whatever queued while a batch was in flight is the next batch: one lock, one read, one decision,
one write, one commit, however many calls it came from.
"""

from collections import Counter as Tally
from collections.abc import Sequence

import structlog
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection

from libs.batcher import Batcher
from libs.clock import Clock
from libs.postgres import Lane
from libs.reasons import Reason
from libs.refusals import Refusal, Unavailable
from services.ledger.domain.books import Result
from services.ledger.domain.decide import decide
from services.ledger.domain.operations import Operation
from services.ledger.store.journal import OPTIONS, Journal

_decided = Counter("ledger_operations", "Operations decided", ["kind", "reason"])
_items = Histogram("ledger_batch_items", "Operations in a batch", buckets=[1, 3, 10, 30, 100, 300])
_seconds = Histogram("ledger_batch_seconds", "Seconds from the lock to the commit of a batch")
_log = structlog.get_logger()


class Writer:
    """Takes operations from all calls and answers each when it is durable."""

    def __init__(self, dsn: str, *, clock: Clock, max_items: int, max_queued: int) -> None:
        self._clock = clock
        self._lane = Lane(dsn, name="ledger-writer", options=OPTIONS)
        self._batcher: Batcher[Operation, Result] = Batcher(
            self._handle, max_items=max_items, max_queued=max_queued
        )
        self._is_open = False

    def open(self) -> None:
        """Begin to take operations: the tables are there."""
        self._is_open = True

    async def take(self, operations: Sequence[Operation]) -> list[Result]:
        """The results, in order, once they are durable. The same ids again get the same results.

        Raises Unavailable when the database stays away, which leaves open what was done, and
        Throttled when too much is queued, which means nothing was.
        """
        if not self._is_open:
            raise Unavailable(Reason.REASON_UNAVAILABLE, "the books are not open yet")
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
        try:
            results = await self._lane.run(lambda connection: self._write(connection, batch))
        except Refusal:
            raise
        except Exception:
            if len(batch) > 1:
                raise  # the batcher tries them one by one
            _log.error("operation_failed", id=batch[0].id, kind=batch[0].kind, exc_info=True)
            results = [Result(batch[0].id, Reason.REASON_INTERNAL)]
        self._count(batch, results, self._clock.monotonic() - began)
        return results

    async def _write(self, connection: AsyncConnection, batch: list[Operation]) -> list[Result]:
        """Safe to run again after a commit of which nothing is known: then all ids are recorded."""
        journal = Journal(connection)
        state = await journal.read(batch)
        results, writes = decide(state, batch, at=self._clock.now())
        await journal.write(writes)
        return results

    def _count(self, batch: list[Operation], results: list[Result], seconds: float) -> None:
        _items.observe(len(batch))
        _seconds.observe(seconds)
        refused = sum(result.reason != 0 for result in results)
        pairs = zip(batch, results, strict=True)
        for (kind, reason), count in Tally((o.kind, r.reason) for o, r in pairs).items():
            _decided.labels(kind, Reason.Name(reason)).inc(count)
        _log.info("batch", items=len(batch), refused=refused, ms=round(seconds * 1000, 1))
