"""A session as run by the process that holds it: its parts, put together."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from libs.clock import Clock
from libs.postgres import Lane, Pool
from services.exchange_gateway.domain import Command, Delivery
from services.exchange_gateway.domain.enquiry import about_order, about_replace
from services.exchange_gateway.session.alarms import Alarms
from services.exchange_gateway.session.bell import Bell
from services.exchange_gateway.session.canceling import Canceling
from services.exchange_gateway.session.comparing import Comparing
from services.exchange_gateway.session.delivering import Delivering
from services.exchange_gateway.session.enquiring import Enquiring, Subject
from services.exchange_gateway.session.floor import Board, Floor, Rhythm
from services.exchange_gateway.session.holding import Holding
from services.exchange_gateway.session.keeping import Keeping
from services.exchange_gateway.session.lapsing import Lapsing
from services.exchange_gateway.session.redelivering import Execution
from services.exchange_gateway.session.replacing import Replacing
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.session.resetting import Resetting
from services.exchange_gateway.session.resolving import Resolving
from services.exchange_gateway.session.sequence import ReportSequence
from services.exchange_gateway.session.settling import Settling
from services.exchange_gateway.session.submission import Submission
from services.exchange_gateway.session.tail import Tail
from services.exchange_gateway.session.together import together
from services.exchange_gateway.session.unanswered import Unanswered
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.deliveries import DeliveryStore
from services.exchange_gateway.store.lease import Start
from services.exchange_gateway.store.parked import ParkedStore
from services.exchange_gateway.store.progress import Seat, Step
from services.exchange_gateway.venues import Venue


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What a session needs from outside; it lasts from one session to the next."""

    submit_lane: Lane
    report_lane: Lane
    delivery_lane: Lane
    pool: Pool
    venue: Venue
    execution: Execution
    clock: Clock
    rhythm: Rhythm
    holds_stops: bool = False


class RunningSession:
    """The parts of a session at work, from where `start` says the last process left off."""

    def __init__(self, outside: Outside, start: Start) -> None:
        self._pool = outside.pool
        head = start.next_seq
        waiting = Unanswered(start.unanswered, outside.clock)
        replaces = Unanswered(start.unanswered_replaces, outside.clock)
        self.floor = floor = Floor(
            seat=start.seat,
            venue=outside.venue,
            clock=outside.clock,
            rhythm=outside.rhythm,
            board=Board(outside.clock, venue_name=start.venue, next_report_seq=head[Step.STORED]),
            waiting=waiting,
            replaces=replaces,
            alarms=Alarms(waiting, replaces),
            commands=Tail(_load_commands(outside.pool, start.seat), head=head[Step.COMMANDS]),
            deliveries=Tail(_load_deliveries(outside, start.seat), head=head[Step.JUDGED]),
            bell=Bell(),
            holds_stops=outside.holds_stops or not outside.venue.takes_stops,
        )
        sequence = ReportSequence(next_seq=head[Step.STORED], offset=start.report_offset)
        self.submission = Submission(floor, outside.submit_lane)
        self.canceling = Canceling(floor, outside.submit_lane)
        self.replacing = Replacing(floor, outside.submit_lane)
        self._reporting = Reporting(
            floor, outside.report_lane, sequence, next_to_judge=head[Step.JUDGED]
        )
        self._delivering = Delivering(
            floor,
            outside.delivery_lane,
            outside.execution,
            next_to_deliver=head[Step.DELIVERED],
        )
        lane = outside.report_lane
        self._lapsing = Lapsing(floor, lane, self._reporting, self.submission)
        self._keeping = Keeping(
            floor,
            outside.pool,
            self._reporting,
            self.submission,
            lapsing=self._lapsing,
            comparing=Comparing(floor, outside.pool, lane, self._reporting, self._lapsing),
        )
        self._enquiring = [
            Enquiring(floor, self._reporting, subject) for subject in self._subjects()
        ]
        self._holding = Holding(floor, outside.submit_lane, outside.pool, self._reporting)
        self.resetting = Resetting(floor, lane)
        self.resolving = Resolving(floor, lane, self._reporting)
        self.settling = Settling(floor, lane, self._reporting, self._delivering.redelivering.room)

    async def run(self) -> None:
        """Work until cancelled, or until a part cannot go on: then all of it ends."""
        await self._delivering.redelivering.load()
        self.floor.alarms.set_parked(await self._count_parked())
        await together(
            self._reporting.run(),
            self._delivering.run(),
            self._delivering.redelivering.run(),
            self._keeping.run(),
            self._holding.run(),
            *(enquiring.run() for enquiring in self._enquiring),
        )

    def _subjects(self) -> Sequence[Subject]:
        """What the venue is asked about while it owes an answer."""
        floor = self.floor
        return (
            Subject("orders", floor.waiting, about_order, self._lapsing.send_again),
            Subject("replaces", floor.replaces, about_replace, self.replacing.send_again),
        )

    async def _count_parked(self) -> int:
        async with self._pool.connection() as connection:
            floor = self.floor
            return await ParkedStore(connection, floor.seat.session_id, floor.venue.decode).count()

    async def close(self) -> None:
        """Answer the calls in progress, take no new ones."""
        for part in (self.submission, self.canceling, self.replacing):
            await part.close()


def _load_commands(pool: Pool, seat: Seat) -> Callable[[int, int], Awaitable[Sequence[Command]]]:
    async def load(start: int, end: int) -> Sequence[Command]:
        async with pool.connection() as connection:
            return await CommandStore(connection, seat).load(start, end)

    return load


def _load_deliveries(
    outside: Outside, seat: Seat
) -> Callable[[int, int], Awaitable[Sequence[Delivery]]]:
    async def load(start: int, end: int) -> Sequence[Delivery]:
        async with outside.pool.connection() as connection:
            store = DeliveryStore(connection, seat.session_id, outside.venue.decode)
            return await store.between(start, end)

    return load
