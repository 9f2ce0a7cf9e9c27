"""Stops that the house holds for the venue: accepted, changed, ended and triggered by the house.

What becomes of one is decided in turn with the venue's reports and with the commands: under the
locks of both, in one transaction. So a cancel and a trade that race come to one end, and a stop
that is triggered is recorded as that with its numbered command, before anything is sent.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import psycopg
import structlog
from prometheus_client import Counter, Gauge

from libs.fills import day_of
from libs.postgres import Lane, Pool
from services.exchange_gateway.domain import Command, Delivery, Order, Report
from services.exchange_gateway.domain.held import (
    Decision,
    HeldStop,
    Market,
    Phase,
    Span,
    decide,
    elected,
    write,
)
from services.exchange_gateway.session.court import Docket, hear
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.once import once
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.together import together
from services.exchange_gateway.session.watching import Watching
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.held import HeldStore
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore
from services.exchange_gateway.venues import VenueAway

_MOST = 500
_held = Gauge("gateway_stops_held", "Stops that the house holds and that wait for their price")
_triggered = Counter("gateway_stops_triggered", "Stops that the house held and sent")
_log = structlog.get_logger()


@dataclass(slots=True)
class _Round:
    """What a transaction came to. `undecided`: symbols of new stops that must wait."""

    decisions: list[Decision] = field(default_factory=list)
    undecided: set[str] = field(default_factory=set)
    gone: Sequence[str] = ()
    deliveries: Sequence[Delivery] = ()
    commands: Sequence[Command] = ()
    head: int = 0
    is_full: bool = False

    def dealt_with(self) -> set[str]:
        """The stops it has come to an end with."""
        return {*self.gone, *(decision.stop.order.trade_id for decision in self.decisions)}


class Holding:
    """Looks after held stops whenever the bell is rung. Shares the lane of the commands."""

    def __init__(self, floor: Floor, lane: Lane, pool: Pool, reporting: Reporting) -> None:
        self._floor = floor
        self._lane = lane
        self._pool = pool
        self._reporting = reporting
        self._first_head = reporting.sequence.next_seq
        self._watching = Watching(floor)

    async def run(self) -> None:
        """Work for ever. Raises Unavailable when the database stays away or the session is lost."""
        await self._floor.deliveries.reaches(self._first_head)
        async with self._pool.connection() as connection:
            waiting = await HeldStore(connection, self._floor.seat).list_waiting()
        for one in waiting:
            self._watching.put(one)
        if waiting:
            self._floor.bell.ring(is_new=True)
        await together(self._watching.run(), self._work())

    async def _work(self) -> None:
        bell, undecided = self._floor.bell, set[str]()
        while True:
            patience = self._floor.rhythm.retry_most_seconds if undecided else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    await bell.heard()
            is_new = bell.take_new() or bool(undecided)
            undecided = await self._settle(is_new=is_new)
            self._watching.want(undecided)
            _held.set(len(self._watching))

    async def _settle(self, *, is_new: bool) -> set[str]:
        """Do all that is to be done now; the symbols of new stops that must wait."""
        fresh = await self._ask() if is_new else None
        met = self._watching.take_met()

        async def work(connection: psycopg.AsyncConnection) -> _Round:
            return await self._decide(connection, seq, met, fresh)

        async with self._reporting.still() as seq:
            done = await self._lane.run(once(work, unknown="stops"))
            if done.is_full:
                self._watching.put_back({i: met[i] for i in met.keys() - done.dealt_with()})
            self._hand_over(done)
        return done.undecided

    async def _ask(self) -> Market | None:
        """The market as the venue says just now; None: it does not answer."""
        venue, fresh = self._floor.venue, Market()
        try:
            fresh.hours, quotes = await asyncio.gather(venue.hours(), venue.list_quotes())
        except VenueAway as error:
            _log.warning("market_unanswered", error=str(error))
            return None
        for quote in quotes:
            fresh.hear(quote.tick)
        return fresh

    async def _decide(
        self,
        connection: psycopg.AsyncConnection,
        seq: int,
        met: Mapping[str, Span],
        fresh: Market | None,
    ) -> _Round:
        seat, market = self._floor.seat, self._watching.market
        numbers, store = CommandStore(connection, seat), HeldStore(connection, seat)
        first = await numbers.lock()
        reports = ReportStore(connection, seat)
        await reports.lock(Step.STORED)
        await reports.lock(Step.JUDGED)
        ended_at = market.hours.day_ended_at if market.hours is not None else None
        stops, gone = await store.find_due(list(met), day_ended_at=ended_at, most=_MOST)
        today = day_of(self._floor.clock.now())
        done = _Round(gone=gone, is_full=len(stops) + len(gone) == _MOST)
        for stop in stops:
            trade_id = stop.order.trade_id
            decision = decide(stop, market, fresh=fresh, met=met.get(trade_id), today=today)
            if decision is None:
                done.undecided.add(stop.order.terms.symbol)
            else:
                done.decisions.append(decision)
        done.deliveries = await self._report(connection, seq, done.decisions)
        await self._send(numbers, store, first, done)
        if done.decisions:
            await store.settle(done.decisions)
        if gone:
            await store.drop(gone)
        return done

    async def _report(
        self, connection: psycopg.AsyncConnection, seq: int, decisions: Sequence[Decision]
    ) -> Sequence[Delivery]:
        """Store what the house says, and judge it like the venue's word."""
        at_nanos = int(self._floor.clock.now().timestamp() * 1_000_000) * 1000
        reports = [
            self._written(write(decision.stop, said, at_nanos=at_nanos))
            for decision in decisions
            for said in decision.said
        ]
        if not reports:
            return ()
        seat = self._floor.seat
        store = ReportStore(connection, seat)
        await HeldStore(connection, seat).write(seq, reports)
        judgement = await hear(connection, self._floor, Docket(reports, seq, next_seq=seq))
        if judgement.parked:
            await store.park(judgement.parked)
        await store.advance(Step.STORED, Step.JUDGED, to=seq + len(reports))
        return judgement.deliveries

    def _written(self, report: Report) -> Report:
        return msgspec.structs.replace(report, raw=self._floor.venue.write(report))

    async def _send(
        self, numbers: CommandStore, store: HeldStore, first: int, done: _Round
    ) -> None:
        """Number the orders that triggered stops become."""
        triggered = [d.stop for d in done.decisions if d.stop.phase is Phase.TRIGGERED]
        done.commands = [
            Command(number, stop.order.trade_id, self._floor.venue.encode(_sent(stop), number))
            for number, stop in enumerate(triggered, start=first)
        ]
        done.head = first + len(triggered)
        if triggered:
            await store.send(done.commands)
            await numbers.advance(done.head)

    def _hand_over(self, done: _Round) -> None:
        if done.deliveries:
            self._reporting.wrote_all(done.deliveries)
        self._floor.replaces.answered(d.report.trade_id for d in done.deliveries)
        self._floor.waiting.add(done.commands)
        self._floor.commands.announce(done.head, done.commands)
        for trade_id in done.gone:
            self._watching.drop(trade_id)
        for decision in done.decisions:
            stop = decision.stop
            if stop.phase is Phase.WAITS:
                self._watching.put(stop.waiting)
            else:
                self._watching.drop(stop.order.trade_id)
        if done.is_full and (done.decisions or done.gone):
            self._floor.bell.ring(is_new=True)
        self._tell(done)

    def _tell(self, done: _Round) -> None:
        _triggered.inc(len(done.commands))
        for decision in done.decisions:
            if decision.price_micros:
                trade_id, price = decision.stop.order.trade_id, decision.price_micros
                _log.info("stop_triggered", trade_id=trade_id, price_micros=price)
        if done.decisions:
            _log.info("stops_settled", stops=len(done.decisions), sent=len(done.commands))


def _sent(stop: HeldStop) -> Order:
    return msgspec.structs.replace(stop.order, terms=elected(stop.order.terms))
