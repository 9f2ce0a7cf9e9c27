"""Reports on: delivered to execution in order, until they are answered."""

from collections.abc import Sequence
from typing import Protocol

import psycopg
import structlog
from prometheus_client import Counter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from libs.postgres import Lane
from services.exchange_gateway.domain import Delivery, Parked
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore

_MOST = 500
_delivered = Counter("gateway_reports_delivered", "Reports answered by execution")
_refused = Counter("gateway_reports_refused", "Reports execution found impossible")
_log = structlog.get_logger()


class ExecutionAway(Exception):
    """Execution did not answer, or could not."""


class Execution(Protocol):
    """The neighbour that books reports."""

    async def apply(self, venue: str, deliveries: Sequence[Delivery]) -> list[Parked]:
        """Have reports booked; the answer is those that cannot be. Raises ExecutionAway."""


class Delivering:
    """The delivery lane: one batch in flight, the next holds whatever was judged meanwhile.

    Where it stands moves only after the answer: a crash before that delivers the batch again, which
    does no harm. An unanswered batch is halved at each attempt, so that one report execution chokes
    on holds up only those behind it.
    """

    def __init__(
        self, floor: Floor, lane: Lane, execution: Execution, *, next_to_deliver: int
    ) -> None:
        self._floor = floor
        self._lane = lane
        self._execution = execution
        self._next = next_to_deliver

    async def run(self) -> None:
        """Work for ever. Raises Unavailable when the database stays away or the session is lost."""
        while True:
            batch = await self._floor.deliveries.read(self._next, _MOST)
            answered, refused = await self._deliver(batch)
            self._next = answered[-1].seq + 1
            await self._record(refused)
            _delivered.inc(len(answered))
            _log.info("reports_delivered", reports=len(answered), next=self._next)

    async def _deliver(
        self, batch: Sequence[Delivery]
    ) -> tuple[Sequence[Delivery], Sequence[Parked]]:
        """The part of the batch that was answered, and what of it was found impossible."""
        size = len(batch)
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ExecutionAway),
            wait=wait_exponential(multiplier=0.05, max=self._floor.rhythm.retry_most_seconds),
            sleep=self._floor.clock.sleep,
            before_sleep=_tell,
        ):
            with attempt:
                part = batch[:size]
                size = max(1, size // 2)
                sound = [delivery for delivery in part if not delivery.is_parked]
                venue = self._floor.board.venue_name
                return part, await self._execution.apply(venue, sound) if sound else []
        raise AssertionError("unreachable")

    async def _record(self, refused: Sequence[Parked]) -> None:
        async def record(connection: psycopg.AsyncConnection) -> None:
            reports = ReportStore(connection, self._floor.seat)
            if refused:
                await reports.park(refused)
            await reports.advance(Step.DELIVERED, self._next)

        await self._lane.run(record)
        _refused.inc(len(refused))
        for case in refused:
            _log.error("report_parked", seq=case.seq, breach=case.breach, detail=case.detail)


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("delivery_unanswered", attempts=state.attempt_number, error=str(error))
