"""A customer's next trade on its way: claim, hold, submit.

Every step is safe to repeat, so work that was cut off is simply done again.
"""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence
from typing import Any, Protocol

from prometheus_client import Counter

from libs.refusals import Refusal, Unavailable
from libs.tasks import end
from services.execution import wire
from services.execution.canceling import Canceling
from services.execution.domain.attention import Resting
from services.execution.domain.booking import Code
from services.execution.domain.setback import passes
from services.execution.domain.trade import Held, OpenCustomer, Trade, Turn, rejects
from services.execution.faults import HouseFault
from services.execution.lanes import Lanes
from services.execution.replacing import Replacing
from services.execution.setbacks import Setbacks
from services.execution.worker import Worker
from stockbroker.common.v1.reason_pb2 import Reason

_MAX_IN_FLIGHT = 5_000

_claimed = Counter("execution_claimed", "Trades taken up")
_swept = Counter("execution_swept", "Trades taken up that the sweep had found, not a nudge")
_rejected = Counter("execution_house_rejected", "Trades the ledger refused to hold for")
_submitted = Counter("execution_submitted", "Orders the gateway has")


class Bell(Protocol):
    """Nudges, rung and answered. None of it fails or waits for long."""

    async def ring(self, customer_ids: Iterable[str]) -> None:
        """Nudge whoever leads the customers' partitions."""

    async def done(self, acks: Sequence[str]) -> None:
        """What these nudges asked for is done."""

    async def back(self, acks: Sequence[str]) -> None:
        """Somebody else has to do it."""


class Pipeline:
    """Works for customers, each by one flight at a time."""

    def __init__(self, worker: Worker, lanes: Lanes, bell: Bell) -> None:
        self._worker = worker
        self._attention = worker.attention
        self._lanes = lanes
        self._setbacks = Setbacks(worker, lanes)
        self._canceling = Canceling(worker, lanes)
        self._replacing = Replacing(worker, lanes)
        self._bell = bell
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False
        lanes.go_on = self.go_on

    @property
    def is_full(self) -> bool:
        """Whether no more nudges should be asked for."""
        return self._is_closing or self._attention.in_flight >= _MAX_IN_FLIGHT

    def attend(self, customer_id: str, *, ack: str = "", is_swept: bool = False) -> None:
        """Work for the customer, now or right after what is under way."""
        if self._is_closing:
            return
        if self._attention.begin(customer_id, ack=ack, is_swept=is_swept):
            self._start(self._work(customer_id))

    def go_on(self, open_customers: Iterable[OpenCustomer]) -> None:
        """Trades have ended: attend to these customers here, or nudge who leads their partition."""
        elsewhere = []
        for customer in open_customers:
            resting = self._attention.resting_of(customer.customer_id)
            if resting is not None and resting.trade_id == customer.trade_id:
                continue
            self.is_paused(customer)  # what has ended may be what had failed
            if customer.partition in self._worker.leads:
                self.attend(customer.customer_id)
            else:
                elsewhere.append(customer.customer_id)
        if elsewhere:
            self._start(self.ring(elsewhere))

    async def ring(self, customer_ids: Iterable[str]) -> None:
        """Nudge whoever leads the customers' partitions."""
        await self._bell.ring(customer_ids)

    def is_paused(self, customer: OpenCustomer) -> bool:
        """Whether this very trade is left alone for a while, because work on it has failed."""
        now = self._worker.clock.monotonic()
        return self._attention.is_paused(customer.customer_id, now, trade_id=customer.trade_id)

    def submit_again(self, trade_ids: Collection[str]) -> None:
        """The gateway has lost these orders; those of other workers are left to them."""
        for customer_id in self._attention.customers_of(trade_ids):
            self._attention.forget(customer_id)
            self.attend(customer_id)

    async def close(self, *, grace_seconds: float) -> None:
        """Take nothing new, give what is under way `grace_seconds`, then cut it off."""
        self._is_closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_seconds)
        self._lanes.end()
        await end(*self._tasks)

    def _is_left_alone(self, customer_id: str) -> bool:
        """Whether the customer is halted, or had a failure a moment ago."""
        now = self._worker.clock.monotonic()
        return self._worker.board.current.stops_customer(customer_id) or self._attention.is_paused(
            customer_id, now
        )

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, customer_id: str) -> None:
        """One flight: until a look finds nothing new."""
        try:
            while True:
                await self._advance(customer_id)
                if not self._attention.is_wanted_again(customer_id):
                    return
        except Refusal:
            pass  # too much to do, or closing
        finally:
            self._attention.end(customer_id)

    async def _advance(self, customer_id: str) -> None:
        """Take the customer's oldest open trade as far as it goes now, and cancels and replaces.

        Of a customer who is left alone only cancels.
        """
        acks, is_swept = self._attention.look(customer_id)
        is_halted = self._is_left_alone(customer_id)
        try:
            claim = await self._lanes.claims.submit(Turn(customer_id, is_halted))
        except Refusal:
            raise
        except Exception as error:
            await self._setbacks.suffer(customer_id, None, error)
            return
        if claim.is_lost:
            await self._bell.back(acks)
            return
        await self._bell.done(acks)
        if claim.trade is not None:
            await self._go_on_with(claim.trade, is_swept=is_swept)
        elif not is_halted:
            self._attention.forget(customer_id)
        await self._canceling.cancel(claim.cancels)
        await self._replacing.replace(claim.replaces)

    async def _go_on_with(self, trade: Trade, *, is_swept: bool) -> None:
        """What was taken up is carried on, unless it is under way or is to be canceled."""
        if self._is_out_of_hands(trade):
            return
        if trade.is_to_be_canceled:
            self._rest(trade)
            return
        self._count(is_swept)
        await self._try(trade)

    async def _try(self, trade: Trade) -> None:
        """Carry the trade on; whatever is wrong with it is counted against it."""
        try:
            await self._carry(trade)
        except Refusal:
            raise
        except Exception as error:
            await self._setbacks.suffer(trade.customer_id, trade, error)

    async def _carry(self, trade: Trade) -> None:
        """Hold and submit. Raises HouseFault; Unavailable if a neighbour is as good as away."""
        if self._worker.board.current.stops_symbol(trade.symbol):
            self._rest(trade, is_halted=True)
            return
        held = await self._lanes.holds.submit(trade)
        if rejects(held.reason):
            await self._reject(trade, held)
            return
        if held.reason:
            raise _refused("no hold", held.reason)
        answer = await self._lanes.submits.submit((trade, held))
        if answer.is_stale:
            self._lanes.lose(trade.partition, trade.epoch)
        elif answer.reason:
            raise _refused("no submit", answer.reason)
        else:
            _submitted.inc()
            self._rest(trade)

    async def _reject(self, trade: Trade, held: Held) -> None:
        """The books do not allow it: that is the trade's end."""
        _rejected.inc()
        booking = await self._lanes.outcomes.submit(wire.rejection_to(trade, held))
        if booking.code is not Code.APPLIED:
            raise HouseFault(f"no rejection: {booking.detail}")

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


def _refused(what: str, reason: int) -> Exception:
    """A neighbour gave a reason it should not need, or one that passes by itself."""
    words = f"{what}: {wire.name_of(reason)}"
    return Unavailable(Reason.REASON_UNAVAILABLE, words) if passes(reason) else HouseFault(words)
