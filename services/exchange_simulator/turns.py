"""Whoever changes the market does it in turn: matched, kept in one transaction, and only then told.

When a batch cannot be kept the floor is rolled back, every order to its place, and the sessions it
was about are cut off: what is true then is what the database says. The orders that work are read
from it before the next turn, for it may be open whether the batch was kept after all.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date

import structlog
from msgspec.structs import replace
from psycopg import AsyncConnection

from libs.refusals import Refusal
from services.exchange_simulator import store
from services.exchange_simulator.batch import Batch, Known, Rules
from services.exchange_simulator.clerk import Clerk
from services.exchange_simulator.database import Database
from services.exchange_simulator.days_store import keep_day
from services.exchange_simulator.hearing import Hearing
from services.exchange_simulator.hours import Change, Phase
from services.exchange_simulator.keeping import Day, Records, keep_batch
from services.exchange_simulator.plans import Plan
from services.exchange_simulator.prompter import Prompter
from services.exchange_simulator.roll import Roll
from services.exchange_simulator.scripts import Script
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.venue_clock import Reckoning
from services.exchange_simulator.working import Blotter, Working

Act = Callable[[Batch], None]
# Reads what the database has of the orders that a batch names.
Ask = Callable[[AsyncConnection], Awaitable[Known]]

_NOTHING_KNOWN = Known({}, {})
_log = structlog.get_logger()


class Turns:
    """One turn after the other. `next_id` gives ids that are unique for ever."""

    def __init__(
        self,
        trading: Trading,
        database: Database,
        roll: Roll,
        rules: Rules,
        *,
        next_id: Callable[[], str],
    ) -> None:
        self._trading = trading
        self._database = database
        self._roll = roll
        self._rules = rules
        self._prompter = Prompter(trading.clock, self.prompt)
        self._next_id = next_id
        self._blotter = Blotter()
        self._is_sure = False  # whether what works is what the database says

    async def close(self) -> None:
        """Prompt no order any more."""
        await self._prompter.close()

    async def open(self) -> None:
        """Have the orders on the books that worked when the exchange ended. Raises Unavailable."""
        async with self._trading.turn:
            await self._make_sure()

    async def run(self, act: Act, *, ask: Ask | None = None, sessions: Iterable[str] = ()) -> None:
        """Do `act` on a new batch, keep what comes of it and tell it.

        `sessions` are those that are cut off when it fails. Raises Unavailable.
        """
        async with self._trading.turn:
            job = _Job(act, ask)
            try:
                await self._make_sure()
                self._trading.floor.begin(self._trading.clock.now())
                self._blotter.begin()
                await self._match_and_keep(job)
            except BaseException as error:
                self._undo({*sessions, *job.sessions()}, error)
                raise
            self._finish(job)

    async def prompt(self, client_order_id: str, plan: Plan) -> None:
        """The wait of an order that goes by script is over. Raises Unavailable."""
        await self.run(lambda batch: batch.prompt(client_order_id, plan))

    async def set_scripts(self, scripts: Sequence[Script] | None) -> None:
        """These from now on, durably; None: those the exchange comes with. Raises Unavailable."""
        async with self._trading.turn:
            await self._keep(lambda c, epoch: store.keep_scripts(c, epoch, scripts))
            self._rules.scripts.set(scripts)

    async def set_day(self, day: date, change: Change | None) -> None:
        """Give a date other hours, durably; None: the calendar's. Raises Unavailable."""
        calendar = self._trading.calendar
        async with self._trading.turn:
            await self._keep(lambda c, epoch: keep_day(c, epoch, day, change))
            calendar.amend([*(c for c in calendar.changes() if c.day != day), *_of(change)])

    async def set_phase(self, phase: Phase, *, ends_day: bool) -> None:
        """Open or close the exchange, durably, and perhaps end its day. Raises Unavailable."""
        trading = self._trading

        def act(batch: Batch) -> None:
            closed_at = trading.clock.now() if ends_day else trading.day_to_end(phase)
            ended_at = closed_at or self._day_of(batch).day_ended_at
            batch.turn_day(Day(phase, ended_at, trading.clock.reckoning))
            if closed_at is not None:
                batch.end_day(None if ends_day else closed_at)

        await self.run(act)

    async def set_clock(self, reckoning: Reckoning | None) -> None:
        """Go by that reckoning, durably; None: by the real time. Raises Unavailable.

        What ends with a day that is over by then expires; closes before it may come again.
        """
        now = self._trading.clock.by(reckoning)

        def act(batch: Batch) -> None:
            ended_at = min(now, self._day_of(batch).day_ended_at)
            batch.turn_day(Day(self._trading.phase, ended_at, reckoning))

        await self.run(act)
        await self.run(lambda _: None)

    def _day_of(self, batch: Batch) -> Day:
        """The day as a batch has it so far."""
        trading = self._trading
        return batch.day or Day(trading.phase, trading.day_ended_at, trading.clock.reckoning)

    async def _keep(self, work: Callable[[AsyncConnection, int], Awaitable[None]]) -> None:
        """Write what an operator has said; if it may be written or not, it is read anew."""
        await self._make_sure()
        self._is_sure = False
        await self._database.run(work)
        self._is_sure = True

    async def _match_and_keep(self, job: "_Job") -> None:
        if job.ask is None:
            self._match(job, _NOTHING_KNOWN)
            if not job.has_news():
                return  # no member is touched: there is nothing to keep

        async def work(connection: AsyncConnection, epoch: int) -> None:
            # Runs again after a lost connection, with the same matches.
            if job.ask is not None and job.records is None:
                self._match(job, await job.ask(connection))
            if job.records is not None and job.has_news():
                await keep_batch(connection, epoch, job.records)

        await self._database.run(work)

    def _match(self, job: "_Job", known: Known) -> None:
        trading = self._trading
        clerk = Clerk(self._roll.sessions, next_id=self._next_id, now=trading.clock.now())
        told = Hearing(self._blotter, clerk)
        batch = job.batch = Batch(trading.floor, told, self._rules, known)
        closed_at = trading.day_to_end(trading.phase)
        if closed_at is not None:
            batch.turn_day(Day(trading.phase, closed_at, trading.clock.reckoning))
            batch.end_day(closed_at)
        job.act(batch)
        if trading.is_open() and batch.day is None:
            batch.follow()
        job.records = Records(
            advances=[progress.advance() for progress in clerk.moved()],
            orders=batch.orders(),
            reports=clerk.reports,
            changed=self._blotter.changed(),
            dropped=self._blotter.dropped(),
            day=batch.day,
        )

    def _finish(self, job: "_Job") -> None:
        """It is kept, or there is nothing to keep: tell it."""
        trading = self._trading
        trading.publish(trading.floor.commit())
        self._blotter.begin()
        assert job.batch is not None
        assert job.records is not None
        self._prompter.note(job.records.changed)
        if job.batch.day is not None:
            self._turn(job.batch.day)
        for progress in job.batch.clerk.moved():
            self._roll.tell(progress)

    def _turn(self, day: Day) -> None:
        trading = self._trading
        trading.phase, trading.day_ended_at = day.phase, day.day_ended_at
        if trading.clock.reckoning != day.clock:
            trading.clock.reckoning = day.clock
            trading.floor.forget()
            trading.publish(trading.floor.markets)

    def _undo(self, sessions: set[str], error: BaseException) -> None:
        self._trading.floor.rollback()
        self._blotter.rollback()
        self._is_sure = False
        self._roll.cut_off(sessions, error if isinstance(error, Refusal) else None)
        if sessions:
            _log.error("batch_not_kept", sessions=len(sessions), exc_info=error)

    async def _make_sure(self) -> None:
        """Have on the books what the database says that works."""
        if self._is_sure:
            return
        trading = self._trading
        state = await self._database.run(store.read_state)
        self._turn(Day(state.phase, state.day_ended_at, state.clock))
        self._rules.scripts.set(state.scripts)
        trading.calendar.amend(state.days)
        self._roll.learn(state.sequences)
        before = {replace(order, number=0) for order in self._blotter}
        if before != set(state.working):
            working = self._blotter.load(state.working)
            for symbol in sorted({order.order.symbol for order in (*before, *working)}):
                tickets = [w.ticket() for w in working if _is_on_book(w, symbol)]
                trading.floor.keep(symbol)
                trading.floor.markets[symbol].seat(tickets)
                trading.publish([symbol])
        self._prompter.note(self._blotter)
        self._is_sure = True


def _of(change: Change | None) -> list[Change]:
    return [] if change is None else [change]


def _is_on_book(working: Working, symbol: str) -> bool:
    return working.order.symbol == symbol and working.plan is None


class _Job:
    """A turn in progress."""

    def __init__(self, act: Act, ask: Ask | None) -> None:
        self.act = act
        self.ask = ask
        self.batch: Batch | None = None
        self.records: Records | None = None

    def sessions(self) -> list[str]:
        """Those it is about, so far."""
        return self.batch.clerk.touched() if self.batch is not None else []

    def has_news(self) -> bool:
        """Whether there is anything to keep."""
        records = self.records
        return records is not None and (bool(records.advances) or records.day is not None)
