"""Finds in the database what no nudge told of: the leader's sweep, and everybody's reaper."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress

import structlog
from prometheus_client import Counter

from libs.refusals import Unavailable
from libs.tasks import end
from services.execution import wire
from services.execution.consumer import Consumer
from services.execution.domain.brought import Brought
from services.execution.domain.trade import OpenCustomer, OrderState
from services.execution.enquiry import Enquiry
from services.execution.neighbours import NeighbourFault, Order
from services.execution.pipeline import Pipeline
from services.execution.worker import Worker

_EVERY_SECONDS = 1.0
_OLDER_THAN_SECONDS = 1.0
# Where many are under way and none was forgotten, looks keep to a pace: so many trades a second.
_TRADES_PER_SECOND = 500
_MOST_SECONDS = 5.0
# Where no nudges arrive, nothing else finds new trades.
_HURRIED_SECONDS = 0.25
_REAP_OLDER_THAN_SECONDS = 5.0
_LIMIT = 1_000
_MAX_LIMIT = 50_000
_MAX_ASKED = 1_000
_PROBE_AFTER_SECONDS = 2.0

_reaped = Counter("execution_reaped", "Customers of other leaders nudged by the reaper")
_log = structlog.get_logger()


class Sweeper:
    """Looks for open trades that wait for nobody."""

    def __init__(
        self,
        worker: Worker,
        order: Order,
        pipeline: Pipeline,
        enquiry: Enquiry,
        consumer: Consumer,
    ) -> None:
        self._worker = worker
        self._order = order
        self._pipeline = pipeline
        self._consumer = consumer
        self._enquiry = enquiry
        self._hurried: set[int] = set()
        self._halts = worker.board.current.in_force
        self._looked_at = float("-inf")
        self._pause_seconds = _EVERY_SECONDS
        self._skipped = 0
        self._requests = 0
        self._asking: asyncio.Task[None] | None = None

    def hurry(self, partitions: Collection[int]) -> None:
        """Sweep these at once, all that is open: this worker has just become their leader."""
        self._hurried.update(partitions)

    async def sweep(self) -> None:
        """One look, when it is time for one. Raises Unavailable."""
        now = self._worker.clock.monotonic()
        hurried = self._hurried & self._worker.leads.partitions
        if hurried:
            await self._look(hurried, older_than_seconds=0.0)
            self._hurried -= hurried
        elif self._is_due(now - self._looked_at):
            self._looked_at, self._pause_seconds = now, _EVERY_SECONDS
            older_than_seconds = _OLDER_THAN_SECONDS if self._consumer.hears_all else 0.0
            found = await self._look(
                self._worker.leads.partitions, older_than_seconds=older_than_seconds
            )
            if found == self._skipped:
                self._pause_seconds = _pause_after(found)

    def _is_due(self, waited: float) -> bool:
        """Whether to look again after so many seconds; at once when a halt has ended, or begun."""
        halts, self._halts = self._halts, self._worker.board.current.in_force
        return (
            halts != self._halts
            or waited >= self._pause_seconds
            or (waited >= _HURRIED_SECONDS and not self._consumer.hears_all)
        )

    async def reap(self) -> None:
        """Nudge the customers of other leaders that wait for long. Raises Unavailable."""
        waiting = await self._order.open_customers(
            (), older_than_seconds=_REAP_OLDER_THAN_SECONDS, limit=_LIMIT
        )
        elsewhere = [
            customer.customer_id
            for customer in (*waiting.trading, *waiting.canceling, *waiting.replacing)
            if customer.partition not in self._worker.leads
        ]
        if elsewhere:
            _reaped.inc(len(elsewhere))
            await self._pipeline.ring(elsewhere)

    async def close(self) -> None:
        """End what is being asked."""
        if self._asking is not None:
            await end(self._asking)

    async def _look(self, partitions: Collection[int], *, older_than_seconds: float) -> int:
        """How many trades were found, `_skipped` of them seen to already; and `_requests`.

        More is asked for than was in the way before: what cannot go on now hides nothing behind it.
        """
        order = self._order
        if not partitions:
            if order.silent_seconds > _PROBE_AFTER_SECONDS:
                await order.open_customers([0], older_than_seconds=0.0, limit=1)
            return 0
        began_at = self._worker.clock.monotonic()
        attention = self._worker.attention
        in_the_way = attention.in_flight + attention.resting + self._skipped + self._requests
        limit = min(_LIMIT + in_the_way, _MAX_LIMIT)
        waiting = await order.open_customers(
            partitions, older_than_seconds=older_than_seconds, limit=limit
        )
        self._requests = len(waiting.canceling) + len(waiting.replacing)
        self._bring(self._worker.attention.cancels, waiting.canceling)
        halts = self._worker.board.current
        going = [each for each in waiting.replacing if not halts.stops_customer(each.customer_id)]
        self._bring(self._worker.attention.replaces, going)
        found = waiting.trading
        wanted = [customer for customer in found if self._is_wanted(customer)]
        self._skipped = len(found) - len(wanted)
        for customer in wanted:
            if not self._pipeline.is_full:
                self._pipeline.attend(customer.customer_id, is_swept=True)
        self._ask([customer.customer_id for customer in found])
        if len(found) < limit and partitions == self._worker.leads.partitions:
            open_trades = [(customer.customer_id, customer.trade_id) for customer in found]
            attention.forget_settled(open_trades, began_at - 2 * _OLDER_THAN_SECONDS)
        return len(found)

    def _bring(self, brought: Brought, requests: Iterable[OpenCustomer]) -> None:
        """Attend to customers whose cancel, or replace, is on its way to nobody."""
        open_requests = {request.trade_id: request for request in requests}
        now = self._worker.clock.monotonic()
        for customer_id in brought.to_bring(open_requests, now):
            self._pipeline.attend(customer_id, is_swept=True)

    def _is_wanted(self, customer: OpenCustomer) -> bool:
        """Whether nobody works for the customer though somebody could."""
        halts = self._worker.board.current
        if self._worker.attention.is_in_flight(customer.customer_id):
            return False
        if halts.stops_customer(customer.customer_id) or self._pipeline.is_paused(customer):
            return False
        resting = self._worker.attention.resting_of(customer.customer_id)
        if resting is None or resting.trade_id != customer.trade_id:
            return True
        if resting.epoch != self._worker.leads.epoch_of(customer.partition):
            return True
        return resting.is_halted and not halts.stops_symbol(resting.symbol)

    def _ask(self, customer_ids: Sequence[str]) -> None:
        """Ask after orders that are at the exchange for long, in the background."""
        if self._asking is not None and not self._asking.done():
            return
        now = self._worker.clock.monotonic()
        due = self._worker.attention.due(customer_ids, now, most=_MAX_ASKED)
        if due:
            self._asking = asyncio.create_task(self._ask_gateway(due))

    async def _ask_gateway(self, customer_ids: list[str]) -> None:
        """Ask what became of orders; those nobody can say anything of are in doubt."""
        attention = self._worker.attention
        trade_ids = [
            resting.trade_id
            for customer_id in customer_ids
            if (resting := attention.resting_of(customer_id)) is not None
        ]
        try:
            orders = await self._enquiry.ask(trade_ids)
        except (Unavailable, NeighbourFault) as error:
            _log.warning("orders_not_asked_after", orders=len(trade_ids), error=str(error))
            await self._doubt(trade_ids, "the exchange gateway does not answer")
            return
        unanswered = [
            order.trade_id
            for order in orders
            if wire.order_state_of(order) is OrderState.UNANSWERED
        ]
        await self._doubt(unanswered, "the exchange does not answer")

    async def _doubt(self, trade_ids: Sequence[str], why: str) -> None:
        if trade_ids:
            with suppress(Unavailable):
                await self._enquiry.doubt(trade_ids, why)


def _pause_after(found: int) -> float:
    """Seconds until the next look, after one that found so many trades, all of them seen to.

    >>> [_pause_after(found) for found in (3, 2_000, 50_000)]
    [1.0, 4.0, 5.0]
    """
    return min(max(found / _TRADES_PER_SECOND, _EVERY_SECONDS), _MOST_SECONDS)
