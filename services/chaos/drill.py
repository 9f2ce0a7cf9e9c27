"""Does to the house what the schedule says, and keeps what was done."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from libs.clock import Clock
from libs.partition import partition_of
from libs.tasks import end
from services.chaos import layout, processes
from services.chaos.domain.nemesis import ALL, Fault, Kind, Misbehaviour
from services.chaos.domain.recovery import Struck
from services.chaos.flood import Flood
from services.chaos.house import House
from services.chaos.neighbours import Away, Operator
from services.chaos.proxy import Mode
from services.chaos.store import Away as DatabaseAway
from services.chaos.store import Databases

_LOOK_SECONDS = 0.05
_PAUSE_SECONDS = 0.2
_BACK_SECONDS = 60.0
_MODES = {Kind.CUT: Mode.CUT, Kind.STALL: Mode.STALLED, Kind.SLOW: Mode.OPEN}


class Drill:
    """One run of a schedule; `customers` are those who trade."""

    def __init__(
        self, house: House, operator: Operator, flood: Flood, clock: Clock, customers: Sequence[str]
    ) -> None:
        self.struck: list[Struck] = []
        self.in_force: dict[Fault, float] = {}
        self.begun: list[Fault] = []
        self._house = house
        self._operator = operator
        self._flood = flood
        self._clock = clock
        self._customers = customers
        self._databases = Databases(house.told().databases)
        self._returns: list[asyncio.Task[None]] = []
        self._deeds: dict[Kind, Callable[[Fault], Awaitable[None]]] = {
            Kind.KILL: self._kill,
            Kind.STOP: self._stop,
            Kind.CUT: self._partition,
            Kind.STALL: self._partition,
            Kind.SLOW: self._partition,
            Kind.FLOOD: lambda fault: self._flood.flood(fault.target, fault.seconds),
            Kind.MISBEHAVE: self._misbehave,
        }

    async def run(self, schedule: Sequence[Fault]) -> None:
        """Everything, at its time. Cancelled or not, no fault outlives it."""
        began_at = self._clock.monotonic()
        strikes = []
        try:
            for fault in schedule:
                await self._clock.sleep(began_at + fault.at - self._clock.monotonic())
                strikes.append(asyncio.create_task(self._strike(fault)))
            await asyncio.gather(*strikes)
            await asyncio.gather(*self._returns)
        finally:
            await end(*strikes, *self._returns)

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

    async def _strike(self, fault: Fault) -> None:
        concerned = await self._concerned(fault)
        began_at = self._clock.monotonic()
        self.in_force[fault] = began_at
        self.begun.append(fault)
        try:
            await self._deeds[fault.kind](fault)
        finally:
            del self.in_force[fault]
        if fault.kind is Kind.MISBEHAVE:
            return
        ended_at = began_at if fault.kind is Kind.KILL else self._clock.monotonic()
        self.struck.append(Struck(fault, began_at, ended_at, None, concerned))

    async def _concerned(self, fault: Fault) -> frozenset[str] | None:
        """The customers whose partitions the worker leads that is hit; None: everybody."""
        pids = self._house.told().pids
        name = fault.target.partition(">")[0]
        if name not in layout.workers_of(pids):
            return None
        try:
            leaders = await self._databases.leaders()
        except DatabaseAway:
            return None
        mark = f"-{pids[name]}"
        return frozenset(
            customer
            for customer in self._customers
            if leaders.get(partition_of(customer), "").endswith(mark)
        )

    async def _kill(self, fault: Fault) -> None:
        pids = self._house.told().pids
        names = list(pids) if fault.target == ALL else [fault.target]
        for name in names:
            processes.send(pids[name], signal.SIGKILL)
        killed = {name: pids[name] for name in names}
        self._returns.append(asyncio.create_task(self._await_back(fault, killed)))

    async def _await_back(self, fault: Fault, killed: dict[str, int]) -> None:
        """Note when all of the killed answer again under other process ids."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BACK_SECONDS):
                for name, pid in killed.items():
                    while not (
                        self._house.told().pids[name] != pid and await self._house.answers(name)
                    ):
                        await self._clock.sleep(_LOOK_SECONDS)
        now = self._clock.monotonic()
        self.struck = [
            replace(one, back_at=now) if one.fault == fault else one for one in self.struck
        ]

    async def _stop(self, fault: Fault) -> None:
        frozen = processes.freeze(self._house.told().pids[fault.target])
        try:
            await self._clock.sleep(fault.seconds)
        finally:
            processes.thaw(frozen)

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
