"""Reports in: put in sequence, stored, then judged against their orders."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psycopg
import structlog
from prometheus_client import Counter

from libs.postgres import Lane
from libs.refusals import Refusal, Unavailable
from services.exchange_gateway.domain import (
    REPLACE_ANSWERS,
    Delivery,
    Judgement,
    Report,
    State,
    told_by,
)
from services.exchange_gateway.session.court import Docket, hear
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.sequence import ReportSequence
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore
from stockbroker.common.v1.reason_pb2 import Reason

_MOST = 1000
_MOST_AHEAD = 20_000
_stored = Counter("gateway_reports_stored", "Reports of the venue stored")
_parked = Counter("gateway_reports_parked", "Reports that cannot be true", ["breach"])
_log = structlog.get_logger()


class Reporting:
    """The report lane: nothing is acknowledged, judged or delivered before it is stored.

    One worker takes whatever has arrived: stores and judges it in one transaction, raises
    `board.stored` (upon which the venue is told), and hands it to delivery. What cannot be judged
    is stored all the same. A gap in the venue's numbers that does not close in time makes the
    session log on again.
    """

    def __init__(
        self, floor: Floor, lane: Lane, sequence: ReportSequence, *, next_to_judge: int
    ) -> None:
        self._floor = floor
        self._lane = lane
        self._sequence = sequence
        self._next_to_judge = next_to_judge
        self._arrivals: asyncio.Queue[Sequence[Report]] = asyncio.Queue(maxsize=64)
        self._is_busy = asyncio.Lock()
        self._gap_since: float | None = None

    @property
    def sequence(self) -> ReportSequence:
        """How far the reports have come, in our numbers and the venue's."""
        return self._sequence

    async def take(self, reports: Sequence[Report]) -> None:
        """Take reports as they come over the wire; waits while too many are queued."""
        await self._arrivals.put(reports)

    @asynccontextmanager
    async def still(self) -> AsyncIterator[int]:
        """While this lasts nothing is taken in; the number the next report gets.

        Raises Unavailable before everything that was found stored is judged.
        """
        async with self._is_busy:
            if self._next_to_judge != self._sequence.next_seq:
                raise Unavailable(
                    Reason.REASON_UNAVAILABLE, "reports from before are being judged; try again"
                )
            yield self._sequence.next_seq

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[ReportSequence]:
        """While this lasts no number moves: nothing is taken in, and nobody writes a report."""
        async with self._is_busy:
            yield self._sequence

    def wrote(self, seq: int, delivery: Delivery | None) -> None:
        """A report that is not the venue's was stored and judged as `seq`, within `still`."""
        self._sequence.write_in()
        self._next_to_judge = seq + 1
        self._floor.board.stored.raise_to(seq + 1)
        self._floor.deliveries.announce(seq + 1, [delivery] if delivery else ())

    def wrote_all(self, deliveries: Sequence[Delivery]) -> None:
        """Reports that are the house's were stored and judged, within `still`."""
        for delivery in deliveries:
            self.wrote(delivery.seq, delivery)

    async def start_over(self) -> None:
        """Forget what is not stored: a new connection brings it again."""
        async with self._is_busy:
            while not self._arrivals.empty():
                self._arrivals.get_nowait()
            self._sequence.restart()

    async def run(self) -> None:
        """Work for ever. Raises Unavailable when the database stays away or the session is lost."""
        await self._judge_backlog()
        while True:
            arrived = await self._next_arrivals()
            async with self._is_busy:
                await self._take_in(arrived)
            self._watch_gap(has_moved=bool(arrived))

    async def _next_arrivals(self) -> list[Report]:
        """Whatever has arrived; waits for the first, or while a gap is open for `gap_seconds`."""
        patience = self._floor.rhythm.gap_seconds if self._sequence.has_gap else None
        try:
            async with asyncio.timeout(patience):
                arrived = list(await self._arrivals.get())
        except TimeoutError:
            return []
        while len(arrived) < _MOST and not self._arrivals.empty():
            arrived += self._arrivals.get_nowait()
        return arrived

    async def _take_in(self, arrived: Sequence[Report]) -> None:
        first_seq = self._sequence.next_seq
        run = self._sequence.arrange(arrived)
        if not run:
            return
        self._gap_since = None
        try:
            judgement = await self._lane.run(lambda c: self._keep(c, first_seq, run))
        except Refusal:
            raise
        except Exception:
            await self._store(first_seq, run)  # a fact it is, whatever is wrong with judging it
            raise
        self._note_stored(run)
        self._note_judged(first_seq, run, judgement)

    async def _keep(
        self, connection: psycopg.AsyncConnection, first_seq: int, run: Sequence[Report]
    ) -> Judgement | None:
        """Store and judge; None: an attempt whose commit went unanswered has done so."""
        reports, head = ReportStore(connection, self._floor.seat), first_seq + len(run)
        if await reports.store(first_seq, run) == (head, head):
            return None
        docket = Docket(run, first_seq, next_seq=first_seq)
        judgement = await hear(connection, self._floor, docket)
        if judgement.parked:
            await reports.park(judgement.parked)
        await reports.advance(Step.STORED, Step.JUDGED, to=head)
        return judgement

    async def _store(self, first_seq: int, run: Sequence[Report]) -> None:
        async def store(connection: psycopg.AsyncConnection) -> None:
            reports = ReportStore(connection, self._floor.seat)
            await reports.store(first_seq, run)
            await reports.advance(Step.STORED, to=first_seq + len(run))

        await self._lane.run(store)
        self._note_stored(run)

    async def _judge(self, first_seq: int, run: Sequence[Report]) -> None:
        """Judge what is stored."""
        head = first_seq + len(run)

        async def judge(connection: psycopg.AsyncConnection) -> Judgement | None:
            reports = ReportStore(connection, self._floor.seat)
            if await reports.lock(Step.JUDGED) == head:
                return None  # by an attempt whose commit went unanswered
            docket = Docket(run, first_seq, next_seq=first_seq)
            judgement = await hear(connection, self._floor, docket)
            if judgement.parked:
                await reports.park(judgement.parked)
            await reports.advance(Step.JUDGED, to=head)
            return judgement

        self._note_judged(first_seq, run, await self._lane.run(judge))

    def _note_stored(self, run: Sequence[Report]) -> None:
        _stored.inc(len(run))
        self._floor.board.stored.raise_to(self._sequence.next_seq)

    def _note_judged(
        self, first_seq: int, run: Sequence[Report], judgement: Judgement | None
    ) -> None:
        head = first_seq + len(run)
        if judgement is None:
            self._floor.waiting.answered(report.trade_id for report in run)
            self._floor.deliveries.announce(head)
        else:
            self._floor.waiting.answered(order.trade_id for order in judgement.standings)
            self._floor.deliveries.announce(head, judgement.deliveries)
        if self._floor.replaces:
            ended = (report.trade_id for report in run if _ends_replace(report))
            self._floor.replaces.answered(ended)
        self._next_to_judge = head
        self._tell(run, judgement)

    async def _judge_backlog(self) -> None:
        """Judge what was stored by a process that ended before it could."""
        stored = self._sequence.next_seq
        while self._next_to_judge < stored:
            first_seq = self._next_to_judge
            end = min(stored, first_seq + _MOST)

            async def load(
                connection: psycopg.AsyncConnection, start: int = first_seq, end: int = end
            ) -> list[Report]:
                store = ReportStore(connection, self._floor.seat)
                return await store.load(start, end, self._floor.venue.decode)

            await self._judge(first_seq, await self._lane.run(load))

    def _watch_gap(self, *, has_moved: bool) -> None:
        if not self._sequence.has_gap:
            self._gap_since = None
            return
        now = self._floor.clock.monotonic()
        if self._gap_since is None:
            self._gap_since = now
        is_old = now - self._gap_since >= self._floor.rhythm.gap_seconds
        if is_old or not has_moved or self._sequence.ahead > _MOST_AHEAD:
            self._gap_since = None
            self._floor.board.log_on_again("reports are missing")

    def _tell(self, run: Sequence[Report], judgement: Judgement | None) -> None:
        parked = judgement.parked if judgement else ()
        _log.info("reports_stored", reports=len(run), parked=len(parked), next=self._next_to_judge)
        self._floor.alarms.parked(len(parked))
        for case in parked:
            _parked.labels(case.breach).inc()
            _log.error("report_parked", seq=case.seq, breach=case.breach, detail=case.detail)


def _ends_replace(report: Report) -> bool:
    """Whether no replace of the order waits after it; what is parked is asked about no more."""
    return report.kind in REPLACE_ANSWERS or told_by([report]) == State.DONE
