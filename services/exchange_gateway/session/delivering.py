"""Reports on: delivered to execution in order per trade, until they are answered."""

from collections.abc import Sequence

import psycopg
import structlog
from prometheus_client import Counter
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from libs.postgres import Lane
from services.exchange_gateway.domain import Delivery
from services.exchange_gateway.domain.answers import Postponed, Sorted, sort_answers
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.redelivering import (
    Execution,
    ExecutionAway,
    ExecutionChoked,
    Redelivering,
)
from services.exchange_gateway.store.later import LaterStore
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore

_MOST = 500
_PATIENCE = 20
_delivered = Counter("gateway_reports_delivered", "Reports answered by execution")
_refused = Counter("gateway_reports_refused", "Reports execution found impossible")
_log = structlog.get_logger()


class Delivering:
    """The delivery lane: one batch in flight, the next holds whatever was judged meanwhile.

    Where it stands moves only after the answer: a crash before that delivers the batch again, which
    does no harm. What cannot be booked now is set aside and delivered again by `Redelivering`, and
    the later reports of its trade with it; all others go on. An unanswered batch is halved at each
    attempt until the one report execution fails over is alone, and that is set aside too.
    """

    def __init__(
        self, floor: Floor, lane: Lane, execution: Execution, *, next_to_deliver: int
    ) -> None:
        self._floor = floor
        self._lane = lane
        self._execution = execution
        self._next = next_to_deliver
        self._was_away = False
        self.redelivering = Redelivering(floor, lane, execution)

    async def run(self) -> None:
        """Work for ever. Raises Unavailable when the database stays away or the session is lost.

        What waits from before must be known first: `redelivering.load`.
        """
        while True:
            batch = await self._floor.deliveries.read(self._next, _MOST)
            answered, outcome, alone = await self._deliver(batch)
            self._next = answered[-1].seq + 1
            await self._record(outcome)
            self.redelivering.room.add(outcome.postponed, alone=alone)
            if self._was_away and not alone:
                self._was_away = False
                self.redelivering.room.hurry()
            self._tell(outcome, len(answered))

    async def _deliver(self, batch: Sequence[Delivery]) -> tuple[Sequence[Delivery], Sorted, bool]:
        """The part of the batch that is dealt with, what came of it, and if one report failed."""
        size, failures = len(batch), 0
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(ExecutionAway),
            wait=wait_exponential(multiplier=0.05, max=self._floor.rhythm.retry_most_seconds),
            sleep=self._floor.clock.sleep,
            before_sleep=_tell_away,
        ):
            with attempt:
                part = batch[:size]
                size = max(1, size // 2)
                try:
                    return part, await self._ask(part), False
                except ExecutionAway as error:
                    self._was_away = not isinstance(error, ExecutionChoked)
                    failures += len(part) == 1
                    if len(part) > 1 or not _is_hopeless(error, failures):
                        raise
                    one = Postponed(part[0].seq, part[0].report.trade_id, str(error))
                    return part, Sorted([], [], [one]), True
        raise AssertionError("unreachable")

    async def _ask(self, part: Sequence[Delivery]) -> Sorted:
        """What comes of reports in order; those of trades that wait already join them unasked."""
        room = self.redelivering.room
        sound = free = [d for d in part if not d.is_held]
        held: list[Postponed] = []
        if room:
            free = [d for d in sound if d.report.trade_id not in room]
            held = [
                Postponed(d.seq, d.report.trade_id, was_tried=False)
                for d in sound
                if d.report.trade_id in room
            ]
        answers = await self._execution.apply(self._floor.board.venue_name, free) if free else []
        outcome = sort_answers(free, answers)
        return Sorted(outcome.applied, outcome.parked, [*held, *outcome.postponed])

    async def _record(self, outcome: Sorted) -> None:
        async def record(connection: psycopg.AsyncConnection) -> None:
            reports = ReportStore(connection, self._floor.seat)
            if outcome.parked:
                await reports.park(outcome.parked)
            if outcome.postponed:
                await LaterStore(connection, self._floor.seat).keep(outcome.postponed)
            await reports.advance(Step.DELIVERED, to=self._next)

        await self._lane.run(record)

    def _tell(self, outcome: Sorted, answered: int) -> None:
        _delivered.inc(answered)
        _refused.inc(len(outcome.parked))
        self._floor.alarms.parked(len(outcome.parked))
        _log.info(
            "reports_delivered",
            reports=answered,
            later=len(outcome.postponed),
            next=self._next,
        )
        for case in outcome.parked:
            _log.error("report_parked", seq=case.seq, breach=case.breach, detail=case.detail)


def _is_hopeless(error: ExecutionAway, failures: int) -> bool:
    """Whether the others need not wait any longer for one report alone."""
    return isinstance(error, ExecutionChoked) or failures >= _PATIENCE


def _tell_away(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("delivery_unanswered", attempts=state.attempt_number, error=str(error))
