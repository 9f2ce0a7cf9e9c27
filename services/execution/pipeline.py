"""A customer's next trade on its way: claim, hold, submit.

Each step is one lane over all partitions with one batch in flight; whatever queued meanwhile is the
next batch. Every step is safe to repeat, so work that was cut off is simply done again.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from prometheus_client import Counter

from libs.batcher import Batcher
from libs.partition import partition_of
from libs.refusals import Unavailable
from libs.tasks import end
from services.execution import wire
from services.execution.domain.attention import Resting
from services.execution.domain.booking import Booking, Code
from services.execution.domain.trade import Held, OpenCustomer, Submitted, Trade, rejects
from services.execution.neighbours import Insistence, Neighbours
from services.execution.worker import Worker
from stockbroker.order.v1.order_execution_service_pb2 import Outcome

_MAX_IN_FLIGHT = 5_000

_claimed = Counter("execution_claimed", "Trades taken up")
_swept = Counter("execution_swept", "Trades taken up that the sweep had found, not a nudge")
_rejected = Counter("execution_house_rejected", "Trades the ledger refused to hold for")
_submitted = Counter("execution_submitted", "Orders the gateway has")
_doubted = Counter("execution_in_doubt", "Times a trade was found in doubt")
_faults = Counter("execution_faults", "Work for a customer that ended in a fault")
_log = structlog.get_logger()


class Bell(Protocol):
    """Nudges, rung and answered. None of it fails or waits for long."""

    async def ring(self, customer_ids: Iterable[str]) -> None:
        """Nudge whoever leads the customers' partitions."""

    async def done(self, acks: Sequence[str]) -> None:
        """What these nudges asked for is done."""

    async def back(self, acks: Sequence[str]) -> None:
        """Somebody else has to do it."""


class HouseFault(RuntimeError):
    """A neighbour refused what it must not refuse; a person must look."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A customer's trade that was taken up, if there is one and the partition is still led."""

    trade: Trade | None = None
    is_lost: bool = False


class Pipeline:
    """Works for customers, each by one flight at a time."""

    def __init__(
        self, worker: Worker, neighbours: Neighbours, bell: Bell, *, in_doubt_after_seconds: float
    ) -> None:
        self._worker = worker
        self._attention = worker.attention
        self._leads = worker.leads
        self._neighbours = neighbours
        self._bell = bell
        self._in_doubt_after_seconds = in_doubt_after_seconds
        self._insist = Insistence(worker.clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._claims = Batcher[str, Claim](self._claim)
        self._holds = Batcher[Trade, Held](self._hold)
        self._submits = Batcher[tuple[Trade, Held], Submitted](self._submit)
        self._outcomes = Batcher[Outcome, Booking](self._record)

    @property
    def is_full(self) -> bool:
        """Whether no more nudges should be asked for."""
        return self._is_closing or self._attention.in_flight >= _MAX_IN_FLIGHT

    def attend(self, customer_id: str, *, ack: str = "", is_swept: bool = False) -> None:
        """Work for the customer, now or right after what is under way."""
        if self._is_closing:
            return
        if self._worker.board.current.stops_customer(customer_id):
            self._start(self._bell.done([ack] if ack else []))
        elif self._attention.begin(customer_id, ack=ack, is_swept=is_swept):
            self._start(self._work(customer_id))

    def go_on(self, open_customers: Iterable[OpenCustomer]) -> None:
        """Trades have ended: attend to these customers here, or nudge who leads their partition."""
        elsewhere = []
        for customer in open_customers:
            resting = self._attention.resting_of(customer.customer_id)
            if resting is not None and resting.trade_id == customer.trade_id:
                continue
            if customer.partition in self._leads:
                self.attend(customer.customer_id)
            else:
                elsewhere.append(customer.customer_id)
        if elsewhere:
            self._start(self._bell.ring(elsewhere))

    async def doubt(self, trade_ids: Iterable[str], why: str) -> None:
        """Record that nobody says what became of these orders. Raises Unavailable when closing."""
        outcomes = [wire.doubt_to(trade_id, why) for trade_id in trade_ids]
        _doubted.inc(len(outcomes))
        _log.warning("trades_in_doubt", trades=len(outcomes), why=why)
        await self._outcomes.submit_all(outcomes)

    async def close(self, *, grace_seconds: float) -> None:
        """Take nothing new, give what is under way `grace_seconds`, then cut it off."""
        self._is_closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        self._insist.end()
        await end(*self._tasks)

    async def settle(self) -> None:
        """Wait for the lanes, once their neighbours can be called no more."""
        for lane in (self._claims, self._holds, self._submits, self._outcomes):
            await lane.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, customer_id: str) -> None:
        """One flight: until a look finds nothing new."""
        try:
            while True:
                await self._advance(customer_id)
                if self._attention.end(customer_id):
                    return
        except (Unavailable, asyncio.CancelledError) as error:
            self._attention.abandon(customer_id)
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception:
            self._attention.abandon(customer_id)
            _faults.inc()
            _log.exception("flight_failed", customer_id=customer_id)

    async def _advance(self, customer_id: str) -> None:
        """Take the customer's oldest open trade as far as it goes now."""
        acks, is_swept = self._attention.look(customer_id)
        if self._worker.board.current.stops_customer(customer_id):
            await self._bell.done(acks)
            return
        claim = await self._claims.submit(customer_id)
        if claim.is_lost:
            await self._bell.back(acks)
            return
        await self._bell.done(acks)
        if claim.trade is None:
            self._attention.forget(customer_id)
        elif not self._is_out_of_hands(claim.trade):
            self._count(is_swept)
            await self._carry(claim.trade)

    async def _carry(self, trade: Trade) -> None:
        """Hold and submit. Raises HouseFault."""
        if self._worker.board.current.stops_symbol(trade.symbol):
            self._rest(trade, is_halted=True)
            return
        held = await self._holds.submit(trade)
        if rejects(held.reason):
            await self._reject(trade, held)
            return
        if held.reason:
            raise HouseFault(f"no hold for {trade.trade_id}: {wire.name_of(held.reason)}")
        answer = await self._submits.submit((trade, held))
        if answer.is_stale:
            self._lose(trade.partition, trade.epoch)
        elif answer.reason:
            raise HouseFault(f"no submit of {trade.trade_id}: {wire.name_of(answer.reason)}")
        else:
            _submitted.inc()
            self._rest(trade)

    async def _reject(self, trade: Trade, held: Held) -> None:
        """The books do not allow it: that is the trade's end."""
        _rejected.inc()
        booking = await self._outcomes.submit(wire.rejection_to(trade, held))
        if booking.code is not Code.APPLIED:
            raise HouseFault(f"no rejection of {trade.trade_id}: {booking.detail}")

    def _is_out_of_hands(self, trade: Trade) -> bool:
        """Whether this very trade, under this epoch, was submitted or held back already."""
        resting = self._attention.resting_of(trade.customer_id)
        if resting is None or (resting.trade_id, resting.epoch) != (trade.trade_id, trade.epoch):
            return False
        return not resting.is_halted or self._worker.board.current.stops_symbol(trade.symbol)

    def _rest(self, trade: Trade, *, is_halted: bool = False) -> None:
        now = self._worker.clock.monotonic()
        resting = Resting(trade.trade_id, trade.epoch, trade.symbol, now, now, is_halted)
        self._attention.rest(trade.customer_id, resting)

    def _count(self, is_swept: bool) -> None:
        self._worker.tally.claimed += 1
        _claimed.inc()
        if is_swept:
            self._worker.tally.swept += 1
            _swept.inc()

    def _lose(self, partition: int, epoch: int) -> None:
        if self._leads.lose(partition, epoch):
            _log.warning("partition_lost", partition=partition, epoch=epoch)

    async def _claim(self, customer_ids: list[str]) -> list[Claim]:
        """The claim lane."""
        customers: dict[int, list[str]] = {}
        epochs: dict[int, int] = {}
        for customer_id in customer_ids:
            partition = partition_of(customer_id)
            epoch = self._leads.epoch_of(partition)
            if epoch is not None:
                epochs[partition] = epoch
                customers.setdefault(partition, []).append(customer_id)
        if not customers:
            return [Claim(is_lost=True)] * len(customer_ids)
        claimed = await self._insist(lambda: self._neighbours.order.claim(epochs, customers))
        for partition in claimed.lost_partitions:
            self._lose(partition, epochs.pop(partition))
        trades = {trade.customer_id: trade for trade in claimed.trades}
        return [
            Claim(trades.get(customer_id), is_lost=partition_of(customer_id) not in epochs)
            for customer_id in customer_ids
        ]

    async def _hold(self, trades: list[Trade]) -> list[Held]:
        """The hold lane."""
        return await self._insist(lambda: self._neighbours.ledger.hold(trades))

    async def _submit(self, orders: list[tuple[Trade, Held]]) -> list[Submitted]:
        """The submit lane. Orders that wait long for an answer are in doubt, never rejected."""
        async with self._doubting([trade.trade_id for trade, _ in orders]):
            return await self._insist(lambda: self._neighbours.gateway.submit(orders))

    async def _record(self, outcomes: list[Outcome]) -> list[Booking]:
        """The outcome lane: rejections by the house, and doubts."""
        recorded = await self._insist(lambda: self._neighbours.order.record(outcomes))
        self.go_on(recorded.open_customers)
        return recorded.bookings

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
