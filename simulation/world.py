"""What all simulated parts share: time, chance, faults, the trace, and who lives."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

from simulation.faults import Faults, Strike, seeded_rates
from simulation.loop import SeededLoop
from simulation.process import Process, current_process

BEGAN_AT = datetime(2026, 1, 5, 15, 0, tzinfo=UTC)
_STOPPED_SECONDS = (0.5, 8.0)
_AWAY_SECONDS = (0.2, 4.0)

Item = TypeVar("Item")


class Violation(AssertionError):
    """A promise of the house is broken."""


class Watcher(Protocol):
    """Sees what goes over the wires and what is committed. Raises Violation."""

    def request(self, method: str, body: bytes) -> Any:
        """A caller sends it. What it gives is given back with the response."""

    def answered(self, method: str, body: bytes, found: object) -> None:
        """A server has answered what it was sent."""

    def response(self, method: str, memory: Any, body: bytes) -> None:
        """A caller gets the answer."""

    def streamed(self, method: str, side: str, body: bytes) -> None:
        """A message of a stream, up to its server or down from it."""

    def committed(self, connection: str) -> None:
        """Something was committed on that connection."""


class World:
    """One run."""

    seen: Watcher

    def __init__(
        self, seed: str, *, rates: dict[str, float] | None = None, script: Sequence[Strike] = ()
    ) -> None:
        self.loop = SeededLoop(random.Random(f"{seed}/loop"))
        self._rng = random.Random(f"{seed}/world")
        chances = random.Random(f"{seed}/faults")
        self.faults = Faults(
            chances, seeded_rates(chances) if rates is None else rates, script=script
        )
        self.processes: list[Process] = []
        self.log: Counter[str] = Counter()
        self.violation: BaseException | None = None
        self.trace = hashlib.sha256()
        self.lines: list[str] | None = None
        self.on_terminate: Callable[[Process], None] = lambda process: process.kill()
        self.is_over = False
        self.bus: Any = None
        self._number = 0

    # Time and chance.

    def now(self) -> datetime:
        """The wall clock."""
        return BEGAN_AT + timedelta(seconds=self.loop.time())

    async def pause(self, least: float, most: float) -> None:
        """Wait for somewhat."""
        await asyncio.sleep(self._rng.uniform(least, most))

    async def loop_sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def toss(self) -> bool:
        """Heads or tails."""
        return self._rng.random() < 0.5

    def choice(self, items: Sequence[Item]) -> Item:
        """One of them."""
        return items[int(self._rng.random() * len(items))]

    def new_number(self) -> int:
        """1, 2, 3, ..."""
        self._number += 1
        return self._number

    def later(self, least: float, most: float, do: Callable[..., object], *args: Any) -> None:
        """Do something in a while, on nobody's behalf."""
        seconds = self._rng.uniform(least, most)
        self.loop.call_later(seconds, self._do, do, args, context=Context())

    def _do(self, do: Callable[..., object], args: tuple[Any, ...]) -> None:
        if not self.is_over:
            do(*args)

    # Processes.

    def new_process(self, name: str, kind: str) -> Process:
        """One more."""
        process = Process(name, kind)
        self.processes.append(process)
        return process

    def spawn(self, process: Process, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something within a process."""
        context = Context()
        context.run(current_process.set, process)
        return self.loop.create_task(work, context=context)

    def stop(self, process: Process) -> None:
        """SIGSTOP, and SIGCONT some time later."""
        process.stop()
        self.note(process, "stopped")
        self.later(*_STOPPED_SECONDS, self.go_on, process)

    def go_on(self, process: Process) -> None:
        """SIGCONT."""
        if process.is_stopped and not process.is_dead:
            self.note(process, "goes on")
            self.loop.again(process.go_on())

    # Points: every place where a process may die.

    async def at(self, point: str) -> None:
        """The current process comes to a point; it may never leave it."""
        self.falls(point)
        await self.until_dead()

    def falls(self, point: str) -> bool:
        """Whether the current process is killed at this point."""
        process = current_process.get()
        if process is None or process.is_dead:
            return process is not None
        self.note(process, point)
        if process.kind == "customers":
            return False
        self.faults.passes(process.kind, point)
        if self.faults.strikes("kill", process.kind, point):
            self.note(process, f"killed at {point}")
            process.kill()
        elif self.faults.strikes("stop", process.kind, point):
            self.stop(process)
        elif self.faults.strikes("terminate", process.kind, point):
            self.note(process, f"terminated at {point}")
            self.on_terminate(process)
        return process.is_dead

    async def until_dead(self) -> None:
        """Go no further if the current process is dead or stopped."""
        process = current_process.get()
        if process is None or not (process.is_dead or process.is_stopped):
            return
        if process.is_dead:
            await self.loop.create_future()
        await asyncio.sleep(0)

    def strikes(self, fault: str, point: str = "") -> bool:
        """Whether this fault happens now to the current process."""
        process = current_process.get()
        kind = process.kind if process is not None else ""
        if not self.faults.strikes(fault, kind, point):
            return False
        if process is not None:
            self.note(process, f"{fault} at {point}")
        return True

    # Outages.

    def take_away(self, database: Any) -> None:
        """A database server goes, and comes back."""
        database.leave()
        self.say(f"database {database.name} away")
        self.later(*_AWAY_SECONDS, self._bring_back, database)

    def _bring_back(self, database: Any) -> None:
        database.is_away = False
        self.say(f"database {database.name} back")

    def take_bus_away(self, *, wiped: bool) -> None:
        """NATS goes, and comes back."""
        self.bus.leave(wiped=wiped)
        self.say(f"bus away, wiped {wiped}")
        self.later(*_AWAY_SECONDS, self.bus.come_back)

    # What is seen.

    def committed(self, connection: str) -> None:
        """Something was committed."""
        self.watch(lambda: self.seen.committed(connection))

    def watch(self, look: Callable[[], None]) -> None:
        """Look; what is found broken ends the run."""
        try:
            look()
        except Violation as violation:
            self.broken(violation)

    def broken(self, violation: BaseException) -> None:
        """End the run: the first violation counts."""
        if self.violation is None:
            self.violation = violation
            self.say(f"VIOLATION {violation}")

    def note(self, process: Process, words: str) -> None:
        """Write down what a process does."""
        self.say(f"{process.name} {words}")

    def say(self, words: str) -> None:
        """A line of the trace."""
        line = f"{self.loop.time():.6f} {words}"
        self.trace.update(line.encode() + b"\n")
        if self.lines is not None:
            self.lines.append(line)
