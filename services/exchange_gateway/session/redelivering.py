"""Reports that could not be booked: delivered again with growing pauses, in order per trade."""

from collections.abc import Sequence
from typing import NoReturn, Protocol

import psycopg
import structlog
from prometheus_client import Counter, Gauge

from libs.postgres import Lane
from services.exchange_gateway.domain import Delivery
from services.exchange_gateway.domain.answers import Answer, Postponed, Sorted, sort_answers
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.waiting_room import Trade, WaitingRoom
from services.exchange_gateway.store.deliveries import DeliveryStore
from services.exchange_gateway.store.later import LaterStore
from services.exchange_gateway.store.reports import ReportStore

_MOST = 500
_LONG_SECONDS = 60.0
_redelivered = Counter("gateway_reports_redelivered", "Reports delivered once more")
_waiting = Gauge("gateway_reports_waiting", "Reports that are delivered again later")
_oldest = Gauge("gateway_report_waits_seconds", "How long the oldest of these has waited")
_log = structlog.get_logger()


class ExecutionAway(Exception):
    """Execution did not answer, or could not."""


class ExecutionChoked(ExecutionAway):
    """Execution is there and failed over what it was given."""


class Execution(Protocol):
    """The neighbour that books reports."""

    async def apply(self, venue: str, deliveries: Sequence[Delivery]) -> list[Answer]:
        """Have reports booked: an answer for each, in order. Raises ExecutionAway."""


class Redelivering:
    """What waits is in the database, so that a crash loses nothing; `room` says what is due.

    A trade leaves the room when all its reports are answered; until then none of its reports goes
    any other way. Trades over which execution fails are delivered one by one, the others together.
    """

    def __init__(self, floor: Floor, lane: Lane, execution: Execution) -> None:
        self._floor = floor
        self._lane = lane
        self._execution = execution
        self.room = WaitingRoom(floor.clock, most_seconds=floor.rhythm.later_most_seconds)

    async def load(self) -> None:
        """Learn what waits from before. Raises Unavailable."""
        self.room.find(await self._lane.run(lambda c: LaterStore(c, self._floor.seat).list()))
        self._measure()

    async def run(self) -> NoReturn:
        """Work for ever. Raises Unavailable when the database stays away or the session is lost."""
        while True:
            trades = await self.room.due(_MOST)
            deliveries = await self._load(trades)
            try:
                answers = await self._execution.apply(self._floor.board.venue_name, deliveries)
            except ExecutionAway as error:
                await self._failed(trades, deliveries, error)
            else:
                await self._settle(deliveries, sort_answers(deliveries, answers))
            self._measure()
            self._tell_of_long_waits(trades)

    async def _load(self, trades: Sequence[Trade]) -> Sequence[Delivery]:
        seqs = sorted(seq for trade in trades for seq in trade.seqs)
        session_id, decode = self._floor.seat.session_id, self._floor.venue.decode
        return await self._lane.run(lambda c: DeliveryStore(c, session_id, decode).named(seqs))

    async def _failed(
        self, trades: Sequence[Trade], deliveries: Sequence[Delivery], error: ExecutionAway
    ) -> None:
        """Wait with the only trade in question; of several, find out which it is, one by one."""
        _log.warning("redelivery_unanswered", trades=len(trades), error=str(error))
        if isinstance(error, ExecutionChoked) and len(trades) > 1:
            for trade in trades:
                trade.is_alone = True
            return
        firsts = {d.report.trade_id: d.seq for d in reversed(deliveries)}
        tried = [Postponed(seq, trade_id, str(error)) for trade_id, seq in firsts.items()]
        await self._settle([], Sorted([], [], tried))

    async def _settle(self, deliveries: Sequence[Delivery], outcome: Sorted) -> None:
        done = [*outcome.applied, *(case.seq for case in outcome.parked)]

        async def settle(connection: psycopg.AsyncConnection) -> None:
            later = LaterStore(connection, self._floor.seat)
            await later.lock()
            if outcome.parked:
                await ReportStore(connection, self._floor.seat).park(outcome.parked)
            await later.drop(done)
            await later.keep(outcome.postponed)

        await self._lane.run(settle)
        self.room.leave(done)
        self.room.add(outcome.postponed)
        self._floor.alarms.parked(len(outcome.parked))
        _redelivered.inc(len(deliveries))
        for case in outcome.parked:
            _log.error("report_parked", seq=case.seq, breach=case.breach, detail=case.detail)

    def _measure(self) -> None:
        _waiting.set(self.room.reports)
        _oldest.set(self.room.oldest_seconds)

    def _tell_of_long_waits(self, trades: Sequence[Trade]) -> None:
        now = self._floor.clock.monotonic()
        for trade in trades:
            if trade.seqs and now - trade.since > _LONG_SECONDS:
                _log.error(
                    "report_waits_long",
                    trade_id=trade.trade_id,
                    reports=len(trade.seqs),
                    seconds=round(now - trade.since),
                )
