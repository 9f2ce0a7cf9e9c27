"""The lanes: each step of all trades is one lane with one batch in flight.

Whatever queued meanwhile is the next batch. A step that gets no answer is repeated until it does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
import structlog
from prometheus_client import Counter

from libs.batcher import Batcher
from libs.refusals import Unavailable
from services.execution import outcome_wire
from services.execution.domain.booking import Booking
from services.execution.domain.replacing import Adjustment, ClaimedReplace, ReplaceTaken
from services.execution.domain.trade import (
    CancelTaken,
    Faulted,
    Held,
    OpenCustomer,
    Setback,
    Submitted,
    Trade,
    Turn,
)
from services.execution.neighbours import Insistence, Neighbours
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1.order_execution_service_pb2 import Outcome

# While many are nudged, so that what follows from a claim has batches worth their while.
_LINGER_SECONDS = 0.02

Item = TypeVar("Item")
Answer = TypeVar("Answer")

_doubted = Counter("execution_in_doubt", "Times a trade was found in doubt")
_log = structlog.get_logger()


class Claim(msgspec.Struct, frozen=True, gc=False):
    """A customer's trade that was taken up, if there is one and the partition is still led.

    `cancels`, `replaces`: trades of the customer that are to be canceled, or replaced, at the
    exchange.
    """

    trade: Trade | None = None
    cancels: Sequence[Trade] = ()
    replaces: Sequence[ClaimedReplace] = ()
    is_lost: bool = False


class Lanes:
    """The steps by name. `go_on` is told of customers whose next trade may be taken up."""

    def __init__(
        self,
        worker: Worker,
        neighbours: Neighbours,
        *,
        in_doubt_after_seconds: float,
        park_after_faults: int,
    ) -> None:
        self._worker = worker
        self._neighbours = neighbours
        self._in_doubt_after_seconds = in_doubt_after_seconds
        self._park_after_faults = park_after_faults
        self._insist = Insistence(worker.clock)
        self.go_on: Callable[[Iterable[OpenCustomer]], None] = lambda _: None
        self.claims = Batcher[Turn, Claim](self._claim, linger_seconds=_LINGER_SECONDS)
        self.holds = Batcher[Trade, Held](self._hold)
        self.submits = Batcher[tuple[Trade, Held], Submitted](self._submit)
        self.cancels = Batcher[Trade, CancelTaken](self._cancel)
        self.adjustments = Batcher[Adjustment, Reason.ValueType](self._adjust)
        self.replaces = Batcher[ClaimedReplace, ReplaceTaken](self._replace)
        self.releases = Batcher[str, Booking](self._release)
        self.outcomes = Batcher[Outcome, Booking](self._record)
        self.faults = Batcher[Setback, Faulted](self._record_faults)

    async def tell(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes. Raises Unavailable when closing."""
        await self.outcomes.submit_all(outcomes)

    async def doubt(self, trade_ids: Iterable[str], why: str) -> None:
        """Record that nobody says what became of these orders. Raises Unavailable when closing."""
        outcomes = [outcome_wire.doubt_to(trade_id, why) for trade_id in trade_ids]
        _doubted.inc(len(outcomes))
        _log.warning("trades_in_doubt", trades=len(outcomes), why=why)
        await self.tell(outcomes)

    def lose(self, partition: int, epoch: int) -> None:
        """Somebody else leads the partition."""
        if self._worker.leads.lose(partition, epoch):
            _log.warning("partition_lost", partition=partition, epoch=epoch)

    def end(self) -> None:
        """Repeat nothing any more."""
        self._insist.end()

    async def settle(self) -> None:
        """Wait for the lanes, once their neighbours can be called no more."""
        lanes: Sequence[Batcher[Any, Any]] = (
            self.claims,
            self.holds,
            self.submits,
            self.cancels,
            self.adjustments,
            self.replaces,
            self.releases,
            self.outcomes,
            self.faults,
        )
        for lane in lanes:
            await lane.close()

    async def _claim(self, turns: list[Turn]) -> list[Claim]:
        """The claim lane."""
        epochs = {
            partition: epoch
            for partition in {turn.partition for turn in turns}
            if (epoch := self._worker.leads.epoch_of(partition)) is not None
        }
        if not epochs:
            return [Claim(is_lost=True)] * len(turns)
        claimed = await self._insist(lambda: self._neighbours.order.claim(epochs, turns))
        for partition in claimed.lost_partitions:
            self.lose(partition, epochs.pop(partition))
        trades = {trade.customer_id: trade for trade in claimed.trades}
        cancels: dict[str, list[Trade]] = {}
        for trade in claimed.cancels:
            cancels.setdefault(trade.customer_id, []).append(trade)
        replaces: dict[str, list[ClaimedReplace]] = {}
        for replace in claimed.replaces:
            replaces.setdefault(replace.trade.customer_id, []).append(replace)
        return [
            Claim(
                trades.get(turn.customer_id),
                cancels.get(turn.customer_id, ()),
                replaces.get(turn.customer_id, ()),
                is_lost=turn.partition not in epochs,
            )
            for turn in turns
        ]

    async def _hold(self, trades: list[Trade]) -> list[Held]:
        """The hold lane."""
        return await self._insist(lambda: self._neighbours.ledger.hold(trades))

    async def _submit(self, orders: list[tuple[Trade, Held]]) -> list[Submitted]:
        """The submit lane. Orders that wait long for an answer are in doubt, never rejected."""
        asked: set[str] = set()

        async def submit(free: Sequence[tuple[Trade, Held]]) -> list[Submitted]:
            asked.update(trade.trade_id for trade, _ in free)
            return await self._neighbours.gateway.submit(free)

        async with self._doubting([trade.trade_id for trade, _ in orders]):
            return await self._insist(
                lambda: self._unless_halted(
                    orders,
                    [trade for trade, _ in orders],
                    submit,
                    lambda trade: Submitted(is_halted=True, may_have_it=trade.trade_id in asked),
                )
            )

    async def _cancel(self, trades: list[Trade]) -> list[CancelTaken]:
        """The lane of cancels."""
        async with self._doubting([trade.trade_id for trade in trades]):
            return await self._insist(lambda: self._neighbours.gateway.cancel(trades))

    async def _adjust(self, adjustments: list[Adjustment]) -> list[Reason.ValueType]:
        """The lane of holds that grow for a replace, or shrink again."""
        return await self._insist(lambda: self._neighbours.ledger.adjust(adjustments))

    async def _replace(self, replaces: list[ClaimedReplace]) -> list[ReplaceTaken]:
        """The lane of replaces."""
        async with self._doubting([replace.trade.trade_id for replace in replaces]):
            return await self._insist(
                lambda: self._unless_halted(
                    replaces,
                    [replace.trade for replace in replaces],
                    self._neighbours.gateway.replace,
                    lambda _: ReplaceTaken(is_halted=True),
                )
            )

    async def _release(self, trade_ids: list[str]) -> list[Booking]:
        """The lane of holds of orders that never were."""
        return await self._insist(lambda: self._neighbours.ledger.release(trade_ids))

    async def _record(self, outcomes: list[Outcome]) -> list[Booking]:
        """The outcome lane: rejections by the house, and doubts."""
        recorded = await self._insist(lambda: self._neighbours.order.record(outcomes))
        self.go_on(recorded.open_customers)
        return recorded.bookings

    async def _record_faults(self, setbacks: list[Setback]) -> list[Faulted]:
        """The lane of attempts that failed."""
        return await self._insist(
            lambda: self._neighbours.order.record_faults(
                setbacks, park_after=self._park_after_faults
            )
        )

    async def _unless_halted(
        self,
        items: Sequence[Item],
        trades: Sequence[Trade],
        send: Callable[[Sequence[Item]], Awaitable[list[Answer]]],
        halted: Callable[[Trade], Answer],
    ) -> list[Answer]:
        """One attempt. What was halted since it was taken up is not sent, nor sent again."""
        halts = self._worker.board.current
        if not halts.in_force:
            return await send(items)
        stopped = [halts.stops(trade) for trade in trades]
        free = [item for item, is_stopped in zip(items, stopped, strict=True) if not is_stopped]
        answers = iter(await send(free) if free else ())
        return [
            halted(trade) if is_stopped else next(answers)
            for trade, is_stopped in zip(trades, stopped, strict=True)
        ]

    @asynccontextmanager
    async def _doubting(self, trade_ids: list[str]) -> AsyncIterator[None]:
        async def wait() -> None:
            await self._worker.clock.sleep(self._in_doubt_after_seconds)
            with suppress(Unavailable):
                await self.doubt(trade_ids, "the exchange gateway does not answer")

        task = asyncio.create_task(wait())
        try:
            yield
        finally:
            task.cancel()
