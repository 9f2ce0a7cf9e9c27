"""The one lane through which all changes of the books go.

Whatever queued while a batch was made ready is the next batch: one read, one decision, one write,
one commit, however many calls it came from. While the database writes a batch, the next is decided
on what that one will leave. Each is written only if the journal ends where it was decided to go on;
a batch that is not is decided again, with the books locked from the first read to the commit. Only
the process whose turn it is writes: see `tenure`.
"""

from collections import Counter as Tally
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import NamedTuple

import structlog
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection

from libs.ahead import AheadBatcher
from libs.clock import Clock
from libs.postgres import Lane
from libs.reasons import Reason
from libs.refusals import Refusal, Unavailable
from services.ledger.domain.books import Result, State
from services.ledger.domain.chain import Chained, chained
from services.ledger.domain.decide import decide
from services.ledger.domain.foresight import Decided, foreseen
from services.ledger.domain.memory import Memory, unknown
from services.ledger.domain.operations import Operation
from services.ledger.store.journal import OPTIONS, Journal, StaleWriter
from services.ledger.store.writing import Writing, writing
from services.ledger.tenure import Tenure, is_ahead

_MOST_KNOWN = 50_000  # accounts, and holds: some 40 MB

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
        # Told of what is committed; None: something may be, and it was not answered.
        self.on_written: Callable[[Chained | None], None] = lambda _: None
        self._memory = Memory(most=_MOST_KNOWN)
        self._lane = Lane(dsn, name="ledger-writer", options=OPTIONS)
        self._reading = Lane(dsn, name="ledger-reader", options=OPTIONS)
        self._batcher: AheadBatcher[Operation, Result, _Ready] = AheadBatcher(
            self._handle,
            prepare=self._prepare,
            keep=self._keep,
            max_items=max_items,
            max_queued=max_queued,
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
        await self._reading.close()

    async def _prepare(self, batch: list[Operation], before: "_Ready | None") -> "_Ready":
        """Decide a batch on the books as they are, or as the batch before will leave them."""
        epoch = self._epoch()
        state = await self._read(batch, None if before is None else before.decided, epoch)
        if before is not None:
            state = foreseen(state, before.decided, batch)
        decided = self._decide(state, batch)
        return _Ready(batch, decided, _writing(decided, epoch), epoch, state.restraints.keys())

    async def _read(self, batch: list[Operation], before: Decided | None, epoch: int) -> State:
        """The books as they are; what this writer knows of them is not read."""
        journal = partial(Journal, epoch=epoch)
        known = self._memory.known(batch)
        state = await self._reading.attempt(lambda c: journal(c).read(batch, known, locks=False))
        if known.is_true_of(state.head, before):
            return state
        nothing = unknown(batch)
        return await self._reading.attempt(lambda c: journal(c).read(batch, nothing, locks=False))

    async def _keep(self, ready: "_Ready") -> list[Result]:
        """Write what was made ready, if the books are still those that it was decided on."""
        began = self._clock.monotonic()
        if ready.writing:
            await self._lane.attempt(lambda c: _write(c, ready))
            self._memory.note(ready.decided, restrained=ready.restrained)
        if ready.decided.chained is not None:
            self.on_written(ready.decided.chained)
        self._count(ready.batch, ready.decided.results, self._clock.monotonic() - began)
        return ready.decided.results

    async def _handle(self, batch: list[Operation]) -> list[Result]:
        began = self._clock.monotonic()
        epoch = self._epoch()
        chained = None
        try:
            decided = await self._lane.run(lambda c: self._write_locked(c, batch, epoch))
            results, chained = decided.results, decided.chained
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
        finally:
            self.on_written(chained)
        self._count(batch, results, self._clock.monotonic() - began)
        return results

    async def _write_locked(
        self, connection: AsyncConnection, batch: list[Operation], epoch: int
    ) -> Decided:
        """Safe to run again after a commit of which nothing is known: then all ids are recorded."""
        journal = Journal(connection, epoch=epoch)
        decided = self._decide(await journal.read(batch, unknown(batch), locks=True), batch)
        async with connection.pipeline():
            await journal.write(_writing(decided, journal.epoch))
        return decided

    def _decide(self, state: State, batch: list[Operation]) -> Decided:
        at = self._clock.now()
        if state.database_at is not None and is_ahead(at, state.database_at):
            raise StaleWriter("its clock is ahead of the database's")
        results, writes = decide(state, batch, at=at)
        hashes = chained(state, writes) if writes.transfers else None
        return Decided(results=results, writes=writes, chained=hashes)

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


class _Ready(NamedTuple):
    """A batch that was decided, and is to be written."""

    batch: list[Operation]
    decided: Decided
    writing: Writing
    epoch: int
    restrained: Collection[str]  # names that are or were frozen or closed, as far as it was read


def _writing(decided: Decided, epoch: int) -> Writing:
    """Nothing, where all was on record before."""
    if decided.chained is None:
        return []
    return writing(decided.writes, decided.chained, epoch=epoch)


async def _write(connection: AsyncConnection, ready: _Ready) -> None:
    """The whole transaction in one go, the commit included."""
    async with connection.pipeline(), connection.transaction():
        await Journal(connection, epoch=ready.epoch).write(ready.writing)


def _not_the_writer() -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, "another process writes the books")
