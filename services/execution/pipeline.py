"""Customers' next trades on their way: claim, hold, submit.

Customers that are attended to at once make their way together, so that a step costs what a list
of trades costs. Every step is safe to repeat, so work that was cut off is simply done again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from libs.partition import partition_of
from libs.refusals import Refusal
from libs.tasks import end
from services.execution.canceling import Canceling
from services.execution.carrying import Carrying, refused
from services.execution.domain.replacing import ClaimedReplace
from services.execution.domain.trade import Held, OpenCustomer, Trade, Turn, rejects
from services.execution.lanes import Lanes
from services.execution.replacing import Replacing
from services.execution.worker import Worker

_MAX_IN_FLIGHT = 5_000
_MOST_TOGETHER = 100

Work = Callable[[], Awaitable[None]]


class Bell(Protocol):
    """Nudges, rung and answered. None of it fails or waits for long."""

    async def ring(self, customer_ids: Iterable[str]) -> None:
        """Nudge whoever leads the customers' partitions."""

    async def done(self, acks: Sequence[str]) -> None:
        """What these nudges asked for is done."""

    async def back(self, acks: Sequence[str]) -> None:
        """Somebody else has to do it."""


@dataclass(slots=True)
class _Claimed:
    """A customer on a flight; `trade`: what is to be carried on, if there is anything."""

    customer_id: str
    trade: Trade | None = None
    cancels: Sequence[Trade] = ()
    replaces: Sequence[ClaimedReplace] = ()

    @property
    def has_more(self) -> bool:
        """Whether there is more to do for the customer than to carry on the trade."""
        return bool(self.cancels or self.replaces)


class Pipeline:
    """Works for customers, each by one flight at a time; many fly together."""

    def __init__(self, worker: Worker, lanes: Lanes, bell: Bell) -> None:
        self._worker = worker
        self._attention = worker.attention
        self._lanes = lanes
        self._carrying = Carrying(worker, lanes)
        self._canceling = Canceling(worker, lanes)
        self._replacing = Replacing(worker, lanes)
        self._bell = bell
        self._boarding: list[str] = []
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
            self._board(customer_id)

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
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_seconds):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        self._lanes.end()
        await end(*self._tasks)

    def _turns(self, customer_ids: Iterable[str]) -> list[Turn]:
        """Left alone is who is halted, or had a failure a moment ago."""
        now, halts = self._worker.clock.monotonic(), self._worker.board.current
        is_paused = self._attention.is_paused
        return [
            Turn(each, partition_of(each), halts.stops_customer(each) or is_paused(each, now))
            for each in customer_ids
        ]

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _board(self, customer_id: str) -> None:
        """Into the flight that is about to begin: who is attended to at once flies together."""
        if not self._boarding or len(self._boarding) >= _MOST_TOGETHER:
            self._boarding = []
            self._start(self._fly(self._boarding))
        self._boarding.append(customer_id)

    async def _fly(self, customer_ids: list[str]) -> None:
        """One look at each, as far as all go the same way.

        What concerns one alone is done apart, and holds up nobody.
        """
        if self._boarding is customer_ids:
            self._boarding = []
        flight = set(customer_ids)
        try:
            claims = await self._claim(customer_ids, flight)
            carried = [claim for claim in claims if claim.trade is not None]
            self._land(flight, [claim for claim in claims if claim.trade is None])
            held = await self._hold(carried, flight)
            self._land(flight, await self._submit(held, flight))
        except Refusal:
            pass  # too much to do, or closing
        finally:
            for customer_id in flight:
                self._attention.end(customer_id)

    def _land(self, flight: set[str], claims: Iterable[_Claimed]) -> None:
        """These leave the flight, done but for cancels and replaces."""
        for claim in claims:
            if claim.has_more:
                self._part(flight, claim)
            else:
                flight.discard(claim.customer_id)
                self._settle(claim.customer_id)

    def _settle(self, customer_id: str) -> None:
        """Nothing is under way for the customer, unless something came since the last look."""
        if self._attention.is_wanted_again(customer_id) and not self._is_closing:
            self._board(customer_id)
        else:
            self._attention.end(customer_id)

    def _part(self, flight: set[str], claim: _Claimed, work: Work | None = None) -> None:
        """The customer leaves the flight: for `work`, then cancels and replaces."""
        flight.discard(claim.customer_id)
        self._start(self._apart(claim, work))

    async def _apart(self, claim: _Claimed, work: Work | None) -> None:
        is_done = False
        try:
            if work is not None:
                await work()
            await self._canceling.cancel(claim.cancels)
            await self._replacing.replace(claim.replaces)
            is_done = True
        except Refusal:
            pass
        finally:
            if is_done:
                self._settle(claim.customer_id)
            else:
                self._attention.end(claim.customer_id)

    async def _claim(self, customer_ids: Sequence[str], flight: set[str]) -> list[_Claimed]:
        """Take up the customers' oldest open trades, those that are to be carried on.

        Of a customer who is left alone only what is to be canceled is taken up.
        """
        looks = [self._attention.look(customer_id) for customer_id in customer_ids]
        turns = self._turns(customer_ids)
        found = await self._lanes.claims.outcomes(turns)
        done: list[str] = []
        back: list[str] = []
        claims = []
        for turn, (acks, is_swept), claim in zip(turns, looks, found, strict=True):
            if isinstance(claim, Exception):
                self._fail(flight, _Claimed(turn.customer_id), claim)
            elif claim.is_lost:
                back += acks
                claims.append(_Claimed(turn.customer_id))
            else:
                done += acks
                trade = self._carrying.taken_up(turn, claim, is_swept=is_swept)
                more = claim.cancels, claim.replaces
                claims.append(_Claimed(turn.customer_id, trade, *more))
        self._carrying.count()
        await self._bell.done(done)
        await self._bell.back(back)
        return claims

    async def _hold(
        self, claims: Sequence[_Claimed], flight: set[str]
    ) -> list[tuple[_Claimed, Trade, Held]]:
        """Those of the trades for which there is a hold now."""
        pairs = [(claim, claim.trade) for claim in claims if claim.trade is not None]
        answers = await self._lanes.holds.outcomes([trade for _, trade in pairs])
        held = []
        for (claim, trade), answer in zip(pairs, answers, strict=True):
            if isinstance(answer, Exception):
                self._fail(flight, claim, answer)
            elif rejects(answer.reason):
                self._part(flight, claim, partial(self._carrying.reject, trade, answer))
            elif answer.reason:
                self._fail(flight, claim, refused("no hold", answer.reason))
            else:
                held.append((claim, trade, answer))
        return held

    async def _submit(
        self, held: Sequence[tuple[_Claimed, Trade, Held]], flight: set[str]
    ) -> list[_Claimed]:
        """Those whose orders the gateway has, or is not to have now."""
        answers = await self._lanes.submits.outcomes([(trade, hold) for _, trade, hold in held])
        done: list[_Claimed] = []
        sent: list[Trade] = []
        for (claim, trade, _), answer in zip(held, answers, strict=True):
            if isinstance(answer, Exception):
                self._fail(flight, claim, answer)
            elif answer.is_stale:
                self._lanes.lose(trade.partition, trade.epoch)
                done.append(claim)
            elif answer.is_halted:
                self._carrying.hold_back(trade, may_be_sent=answer.may_have_it)
                done.append(claim)
            elif answer.is_expired:
                self._part(flight, claim, partial(self._carrying.expire, trade))
            elif answer.reason:
                self._fail(flight, claim, refused("no submit", answer.reason))
            else:
                sent.append(trade)
                done.append(claim)
        self._carrying.sent(sent)
        return done

    def _fail(self, flight: set[str], claim: _Claimed, error: Exception) -> None:
        """What passes by itself the sweep comes back to, whatever else is wrong counts."""
        if isinstance(error, Refusal):
            flight.discard(claim.customer_id)
            self._attention.end(claim.customer_id)
        else:
            fail = partial(self._carrying.fail, claim.customer_id, claim.trade, error)
            self._part(flight, claim, fail)
