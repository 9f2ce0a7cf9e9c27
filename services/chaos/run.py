"""One drill from the start of its house to the verdict."""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from libs.auth import Signer
from libs.clock import SystemClock
from libs.tasks import end
from services.chaos import layout, load, settling
from services.chaos.amending import Amending
from services.chaos.board import Board, Look
from services.chaos.domain.nemesis import Fault, Field, schedule
from services.chaos.domain.recovery import Recovery, recovery, summaries
from services.chaos.domain.verdict import Claim, Violation, count
from services.chaos.drill import Drill
from services.chaos.flood import Flood
from services.chaos.house import House, running_house
from services.chaos.neighbours import Operator, Refused
from services.chaos.proof import unproven
from services.chaos.record import Record
from services.chaos.report import Report, versions
from services.chaos.resolving import Resolving
from services.chaos.store import Away, Databases

_LOOK_SECONDS = 1.0
_CUSTOMERS_AT_ONCE = 20
_ANSWER_SECONDS = 30.0
_ASKED_AGAIN = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for. `rate`: orders per second of all customers together.

    `holds_stops`: the house waits with stops itself.
    """

    seed: int
    seconds: float
    workers: int
    rate: float
    customers: int
    families: Sequence[str]
    at_once: int
    holds_stops: bool


class Run:
    """One drill; its house keeps its data in `folder`."""

    def __init__(self, plan: Plan, folder: Path, board: Board) -> None:
        self._plan = plan
        self._folder = folder
        self._board = board
        self._clock = SystemClock()
        patient = load.patient_names(plan.seed)
        self._record = Record(self._clock, load.names(plan.seed, plan.customers), patient)
        self._fills = (0, 0)
        self._stage = "starting"
        self._began_at = self._clock.monotonic()
        self._drill: Drill | None = None

    async def run(self) -> Report:
        """Everything. Raises CannotRun."""
        plan = self._plan
        self._board.say(f"a house starts, its data is in {self._folder}")
        async with running_house(
            self._folder, workers=plan.workers, holds_stops=plan.holds_stops
        ) as house:
            told = house.told()
            field = Field(tuple(told.pids), layout.calls(plan.workers))
            faults = schedule(
                seed=plan.seed,
                seconds=plan.seconds,
                field=field,
                families=plan.families,
                at_once=plan.at_once,
            )
            signer = Signer(told.signing_key_file)
            operator = Operator(told.operators, signer)
            async with operator.door:
                await load.endow(operator, [*self._record.customers, *self._record.patient])
                flood = Flood(house.told, signer)
                drill = Drill(house, operator, flood=flood, record=self._record)
                async with load.trading(
                    told.public, signer, self._record, rate=plan.rate
                ) as customers:
                    return await self._watched(house, drill, faults, customers, operator)

    async def _watched(
        self,
        house: House,
        drill: Drill,
        faults: Sequence[Fault],
        customers: load.Load,
        operator: Operator,
    ) -> Report:
        self._drill = drill
        databases = Databases(house.told().databases)
        self._began_at = self._clock.monotonic()
        amending = Amending(operator, databases, random.Random(f"{self._plan.seed}/amendments"))
        with self._board:
            looking = asyncio.create_task(self._look_on(databases))
            try:
                async with Resolving(operator, self._record, self._clock) as resolving:
                    violations = await self._trade(drill, faults, customers, amending)
                    if violations:  # who asks them anything waits for ever
                        return self._conclude(faults, 0.0, violations, {})
                    settled = await self._settle(customers, operator, amending)
                self._stage = "judging"
                await customers.ask_again(random.Random(self._plan.seed), count=_ASKED_AGAIN)
                books = settling.Books(operator, databases, frozenset(resolving.resolved))
                violations, counts = await self._judge(customers, books)
                violations += await unproven(
                    house.folder,
                    public_key=house.told().ledger_public_key_file,
                    export=house.folder / "journal.jsonl",
                )
            finally:
                await amending.stop(seconds=0.0)
                await end(looking)
            self._show(count(violations))
        return self._conclude(faults, settled, violations, counts)

    async def _trade(
        self, drill: Drill, faults: Sequence[Fault], customers: load.Load, amending: Amending
    ) -> Sequence[Violation]:
        """Trading and faults, until both have ended; the parts that did not come back."""
        self._stage = "trading"
        customers.begin(seconds=self._plan.seconds)
        amending.begin()
        began_at = self._clock.monotonic()
        await drill.run(faults, seconds=self._plan.seconds)
        await self._clock.sleep(max(0.0, began_at + self._plan.seconds - self._clock.monotonic()))
        if violations := await drill.away():
            return violations
        await drill.calm()
        await amending.stop(seconds=_ANSWER_SECONDS)
        await customers.stop(seconds=_ANSWER_SECONDS)
        return []

    async def _settle(self, customers: load.Load, operator: Operator, amending: Amending) -> float:
        """Until all is over; how long it took."""
        self._stage = "settling"
        settled = await settling.settle(self._record, self._clock, amending.answered)
        self._stage = "closing"
        return settled + await settling.close(customers, self._record, operator, self._clock)

    async def _judge(
        self, customers: load.Load, books: settling.Books
    ) -> tuple[list[Violation], dict[str, int]]:
        try:
            history = await settling.read_all(customers, self._record, books)
        except Refused as refused:
            return [settling.unreadable(refused)], {}
        return settling.judge(history, self._record), settling.counts_of(history)

    async def _look_on(self, databases: Databases) -> None:
        """Show how it stands, again and again."""
        while True:
            with contextlib.suppress(Away):
                self._fills = await databases.count_fills()
            self._show(count(self._record.look(most=_CUSTOMERS_AT_ONCE)))
            await self._clock.sleep(_LOOK_SECONDS)

    def _show(self, violations: dict[Claim, int]) -> None:
        assert self._drill is not None
        self._board.show(
            Look(
                self._stage,
                self._clock.monotonic() - self._began_at,
                self._record.standing(),
                self._fills,
                violations,
                {fault: since - self._began_at for fault, since in self._drill.in_force.items()},
                [(fault, since - self._began_at) for fault, since in self._drill.begun],
                summaries(self._recoveries()),
            )
        )

    def _recoveries(self) -> list[Recovery]:
        assert self._drill is not None
        return [recovery(struck, self._record.timings) for struck in self._drill.struck]

    def _conclude(
        self,
        faults: Sequence[Fault],
        settled: float,
        violations: Sequence[Violation],
        counts: dict[str, int],
    ) -> Report:
        plan, recoveries = self._plan, self._recoveries()
        return Report(
            seed=plan.seed,
            seconds=plan.seconds,
            workers=plan.workers,
            rate=plan.rate,
            customers=plan.customers,
            holds_stops=plan.holds_stops,
            versions=versions(),
            schedule=faults,
            settled_seconds=settled,
            counts=counts,
            outages=dict(self._record.outages),
            violation_counts={claim.value: n for claim, n in count(violations).items()},
            violations=violations,
            recoveries=recoveries,
            summaries=summaries(recoveries),
        )
