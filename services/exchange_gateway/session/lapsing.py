"""DAY orders that the venue never got, and whose day is over: they end here, and are not sent."""

from collections.abc import Collection, Sequence

import msgspec
import psycopg
import structlog
from prometheus_client import Counter

from libs.postgres import Lane
from services.exchange_gateway.domain import Delivery, Report
from services.exchange_gateway.domain.operators import Outcome, compose
from services.exchange_gateway.domain.reports import Kind
from services.exchange_gateway.session.court import Docket, hear
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.once import once
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.submission import Submission
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.held import HeldStore
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore

_MOST = 1000
_WORDS = "the day was over before the exchange got the order"
_lapsed = Counter("gateway_orders_lapsed", "DAY orders the venue never got on their day")
_log = structlog.get_logger()


class Lapsing:
    """Only the venue says that it lacks an order: at a logon, or when it is asked.

    Then the house reports the end itself, in turn with the venue's reports, in one transaction with
    its judgement. What the venue may have is left to the venue.
    """

    def __init__(
        self, floor: Floor, lane: Lane, reporting: Reporting, submission: Submission
    ) -> None:
        self._floor = floor
        self._lane = lane
        self._reporting = reporting
        self._submission = submission
        self._first_head = reporting.sequence.next_seq

    async def never_got(self, first_seq: int) -> None:
        """The venue, logged on, lacks all commands from that number on. Raises Unavailable."""
        await self._end(self._floor.waiting.sent_from(first_seq))

    async def send_again(self, trade_ids: Sequence[str]) -> None:
        """The venue does not know these: they get new numbers, but those whose day is over."""
        ended = await self._end(trade_ids)
        left = [trade_id for trade_id in trade_ids if trade_id not in ended]
        if left:
            await self._submission.send_again(left)

    async def _end(self, trade_ids: Sequence[str]) -> Collection[str]:
        """Those of them that have ended now."""
        ended: set[str] = set()
        if trade_ids:
            await self._floor.deliveries.reaches(self._first_head)
        for start in range(0, len(trade_ids), _MOST):
            ended |= await self._end_some(trade_ids[start : start + _MOST])
        return ended

    async def _end_some(self, trade_ids: Sequence[str]) -> set[str]:
        async def work(connection: psycopg.AsyncConnection) -> Sequence[Delivery]:
            return await self._write(connection, seq, trade_ids)

        async with self._reporting.still() as seq:
            deliveries = await self._lane.run(once(work, unknown="orders"))
            ended = {delivery.report.trade_id for delivery in deliveries}
            if ended:
                self._floor.board.withdrawn |= ended
                self._floor.waiting.answered(ended)
                self._floor.replaces.answered(ended)
                self._reporting.wrote_all(deliveries)
                _lapsed.inc(len(ended))
                _log.info("orders_lapsed", orders=len(ended))
        return ended

    async def _write(
        self, connection: psycopg.AsyncConnection, seq: int, trade_ids: Sequence[str]
    ) -> Sequence[Delivery]:
        seat, now = self._floor.seat, self._floor.clock.now()
        reports = ReportStore(connection, seat)
        await reports.lock(Step.STORED)
        await reports.lock(Step.JUDGED)
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        over = await CommandStore(connection, seat).find_of_the_day(trade_ids, before=midnight)
        if not over:
            return ()
        standings = await reports.find_standings(over)
        expired = Outcome(Kind.EXPIRED, executed_at_nanos=int(now.timestamp() * 1_000_000) * 1000)
        said = [
            self._written(compose(expired, standings[trade_id], words=_WORDS)) for trade_id in over
        ]
        await HeldStore(connection, seat).write(seq, said)
        judgement = await hear(connection, self._floor, Docket(said, seq, next_seq=seq))
        await reports.advance(Step.STORED, Step.JUDGED, to=seq + len(said))
        return judgement.deliveries

    def _written(self, report: Report) -> Report:
        return msgspec.structs.replace(report, raw=self._floor.venue.write(report))
