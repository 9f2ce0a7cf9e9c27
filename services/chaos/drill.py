"""Does to the house what the schedule says, and keeps what was done."""

import asyncio
import contextlib
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence

from libs.clock import SystemClock
from libs.partition import partition_of
from services.chaos import full_disk, layout, processes
from services.chaos.domain.nemesis import ALL, Fault, Kind, Misbehaviour, is_too_late
from services.chaos.domain.recovery import Struck, recovery
from services.chaos.domain.verdict import Claim, Violation
from services.chaos.flood import Flood
from services.chaos.house import House
from services.chaos.neighbours import Away, Operator
from services.chaos.proxy import Mode
from services.chaos.record import Record
from services.chaos.store import Away as DatabaseAway
from services.chaos.store import Databases

_LOOK_SECONDS = 0.05
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 45.0
_MODES = {Kind.CUT: Mode.CUT, Kind.STALL: Mode.STALLED, Kind.SLOW: Mode.OPEN}


class Drill:
    """One run of a schedule, while those of the record trade."""

    def __init__(
        self,
        house: House,
        operator: Operator,
        *,
        flood: Flood,
        record: Record,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self.struck: list[Struck] = []
        self.in_force: dict[Fault, float] = {}
        self.begun: list[tuple[Fault, float]] = []
        self._house = house
        self._operator = operator
        self._flood = flood
        self._clock = SystemClock()
        self._record = record
        self._patience_seconds = patience_seconds
        self._back_at: dict[Fault, float] = {}
        self._databases = Databases(house.told().databases)
        self._deeds: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.KILL: self._kill,
            Kind.STOP: self._stop,
            Kind.CUT: self._partition,
            Kind.STALL: self._partition,
            Kind.SLOW: self._partition,
            Kind.FLOOD: lambda fault: self._flood.flood(fault.target, fault.seconds),
            Kind.FULL: self._fill_disk,
            Kind.MISBEHAVE: self._misbehave,
        }

    async def run(self, schedule: Sequence[Fault], *, seconds: float) -> None:
        """What there is time for in so many seconds. Cancelled or not, no fault outlives it."""
        began_at = self._clock.monotonic()
        async with asyncio.TaskGroup() as group:
            lanes: dict[int, list[Fault]] = defaultdict(list)
            for fault in schedule:
                if fault.kind is Kind.MISBEHAVE:
                    group.create_task(self._strike_at(began_at + fault.at, fault))
                else:
                    lanes[fault.lane].append(fault)
            for lane in lanes.values():
                group.create_task(self._run_lane(lane, began_at, seconds))

    async def _run_lane(self, faults: Sequence[Fault], began_at: float, seconds: float) -> None:
        """One after the other, each when trading has recovered from the one before."""
        late = 0.0
        for fault in faults:
            if is_too_late(fault.at + late, fault.seconds, seconds):
                break
            await self._until_recovered(await self._strike_at(began_at + fault.at + late, fault))
            late = self._clock.monotonic() - began_at - fault.at - fault.seconds

    async def _strike_at(self, moment: float, fault: Fault) -> Struck:
        await self._clock.sleep(max(0.0, moment - self._clock.monotonic()))
        return await self._strike(fault)

    async def _until_recovered(self, struck: Struck) -> None:
        """Until trades fill again and none is left from before the fault ended; not for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                while recovery(
                    struck, self._record.timings
                ).first is None or self._record.is_behind(struck.ended_at):
                    await self._clock.sleep(_LOOK_SECONDS)

    async def away(self) -> list[Violation]:
        """The parts that do not answer although no fault is in force any more, in good time."""
        names = list(self._house.told().pids)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                for name in names:
                    await self._until_answers(name)
                return []
        missing = [name for name in names if not await self._house.answers(name)]
        words = "does not answer after the faults"
        return [Violation(Claim.STUCK, name, f"{name} {words}") for name in missing]

    async def calm(self) -> None:
        """The exchange behaves again, however long it takes to tell it."""
        script = Misbehaviour()
        while True:
            try:
                await self._operator.set_misbehaviour(script)
            except Away:
                await self._clock.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _strike(self, fault: Fault) -> Struck:
        concerned = await self._concerned(fault)
        began_at = self._clock.monotonic()
        self.in_force[fault] = began_at
        self.begun.append((fault, began_at))
        try:
            await self._deeds[fault.kind](fault)
        finally:
            del self.in_force[fault]
        ended_at = began_at if fault.kind is Kind.KILL else self._clock.monotonic()
        struck = Struck(fault, began_at, ended_at, self._back_at.get(fault), concerned)
        if fault.kind is not Kind.MISBEHAVE:
            self.struck.append(struck)
        return struck

    async def _concerned(self, fault: Fault) -> frozenset[str] | None:
        """The customers whose partitions the worker leads that is hit; None: everybody.

        Everybody, too, where it leads nobody yet.
        """
        pids = self._house.told().pids
        name = fault.target.partition(">")[0]
        if name not in layout.workers_of(pids):
            return None
        try:
            leaders = await self._databases.leaders()
        except DatabaseAway:
            return None
        mark = f"-{pids[name]}"
        led = frozenset(
            customer
            for customer in self._record.customers
            if leaders.get(partition_of(customer), "").endswith(mark)
        )
        return led or None

    async def _kill(self, fault: Fault) -> None:
        pids = self._house.told().pids
        names = list(pids) if fault.target == ALL else [fault.target]
        for name in names:
            processes.send(pids[name], signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience_seconds):
                for name in names:
                    await self._until_back(name, pids[name])
            self._back_at[fault] = self._clock.monotonic()

    async def _until_back(self, name: str, pid: int) -> None:
        """Until it answers again under another process id."""
        while self._house.told().pids[name] == pid:
            await self._clock.sleep(_LOOK_SECONDS)
        await self._until_answers(name)

    async def _until_answers(self, name: str) -> None:
        while not await self._house.answers(name):
            await self._clock.sleep(_LOOK_SECONDS)

    async def _stop(self, fault: Fault) -> None:
        frozen = processes.freeze(self._house.told().pids[fault.target])
        try:
            await self._clock.sleep(fault.seconds)
        finally:
            processes.thaw(frozen)

    async def _fill_disk(self, fault: Fault) -> None:
        """Until there is room again; a part that was started again meanwhile has it already."""
        pid = self._house.told().pids[fault.target]
        await asyncio.to_thread(full_disk.set_full, processes.family_of(pid), is_full=True)
        try:
            await self._clock.sleep(fault.seconds)
        finally:
            await asyncio.to_thread(full_disk.set_full, processes.family_of(pid), is_full=False)

    async def _partition(self, fault: Fault) -> None:
        ways = self._house.ways.of(fault.target)
        for way in ways:
            way.set(_MODES[fault.kind], delay_ms=fault.delay_ms)
        try:
            await self._clock.sleep(fault.seconds)
        finally:
            for way in ways:
                way.set(Mode.OPEN)

    async def _misbehave(self, fault: Fault) -> None:
        """Told again and again: a restarted exchange has forgotten."""
        script = fault.misbehaviour or Misbehaviour()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(fault.seconds):
                while True:
                    with contextlib.suppress(Away):
                        await self._operator.set_misbehaviour(script)
                    await self._clock.sleep(1.0)
