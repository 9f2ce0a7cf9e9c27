"""Starts parts stage by stage, brings back what dies, stops them one by one from the last."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from libs.clock import Clock
from libs.embedded import CannotRun
from libs.tasks import end
from services.house.parts import Part

_LOOK_SECONDS = 0.05
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_STEADY_SECONDS = 30.0


class Change(Enum):
    """What became of a part."""

    STARTING = "starting"
    READY = "ready"
    DIED = "died"
    CANNOT_START = "cannot start"
    STOPPING = "stopping"
    STOPPED = "stopped"


Report = Callable[[Part, Change, float, str], None]


class Supervisor:
    """Keeps `stages` of parts running; a stage starts when the one before it is ready.

    `report` is told each change with the seconds it took and words about it; it raises nothing.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Part]],
        *,
        report: Report,
        clock: Clock,
        start_seconds: float,
        stop_seconds: float = 10.0,
    ) -> None:
        self._stages = stages
        self._parts = [part for stage in stages for part in stage]
        self._report = report
        self._clock = clock
        self._start_seconds = start_seconds
        self._stop_seconds = stop_seconds
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start everything. Raises CannotRun as soon as one part cannot."""
        for stage in self._stages:
            starts = [asyncio.create_task(self._start(part)) for part in stage]
            try:
                await asyncio.gather(*starts)
            finally:
                await end(*starts)
        self._keepers = [asyncio.create_task(self._keep(part)) for part in self._parts]

    async def stop(self) -> None:
        """End everything, the last part first: each has what it needs to finish its work.

        What does not end in time is killed.
        """
        await end(*self._keepers)
        for part in reversed(self._parts):
            await self._stop(part)

    def kill(self) -> None:
        """kill -9 everything, now."""
        for part in self._parts:
            part.child.send(signal.SIGKILL)

    async def _start(self, part: Part) -> None:
        """First start: a part that ends before it is ready cannot run here."""
        began = self._clock.monotonic()
        self._report(part, Change.STARTING, 0.0, "")
        await asyncio.to_thread(part.prepare)
        part.spawn()
        while not await asyncio.to_thread(part.is_ready):
            if not part.child.is_running:
                raise CannotRun(f"{part.name} ended {_how(part)} before it was ready{_words(part)}")
            if self._clock.monotonic() - began > self._start_seconds:
                raise CannotRun(
                    f"{part.name} was not ready within {self._start_seconds:.0f} s{_words(part)}"
                )
            await self._clock.sleep(_LOOK_SECONDS)
        await asyncio.to_thread(part.settle)
        self._report(part, Change.READY, self._clock.monotonic() - began, "")

    async def _keep(self, part: Part) -> None:
        """Bring it back for ever, at growing intervals while it does not stay."""
        pauses = _pauses()
        while True:
            ready_at = self._clock.monotonic()
            while part.child.is_running:
                await self._clock.sleep(_LOOK_SECONDS)
            died_at = self._clock.monotonic()
            self._report(part, Change.DIED, died_at - ready_at, _how(part))
            if died_at - ready_at > _STEADY_SECONDS:
                pauses = _pauses()
            await self._clock.sleep(next(pauses))
            while not await self._restart(part):
                await self._clock.sleep(next(pauses))
            self._report(part, Change.READY, self._clock.monotonic() - died_at, "again")

    async def _restart(self, part: Part) -> bool:
        """Start it; whether it got ready before it ended again."""
        try:
            await asyncio.to_thread(part.prepare)
            part.spawn()
        except (CannotRun, OSError) as error:
            self._report(part, Change.CANNOT_START, 0.0, str(error))
            return False
        began = self._clock.monotonic()
        self._report(part, Change.STARTING, 0.0, "again")
        while part.child.is_running:
            if await asyncio.to_thread(part.is_ready):
                return True
            await self._clock.sleep(_LOOK_SECONDS)
        self._report(part, Change.DIED, self._clock.monotonic() - began, _how(part))
        return False

    async def _stop(self, part: Part) -> None:
        if not part.child.is_running:
            return
        began = self._clock.monotonic()
        self._report(part, Change.STOPPING, 0.0, "")
        await asyncio.to_thread(part.child.stop, part.stop_with, seconds=self._stop_seconds)
        self._report(part, Change.STOPPED, self._clock.monotonic() - began, _how(part))


def _pauses() -> Iterator[float]:
    """How long to wait before each new try, in seconds."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _how(part: Part) -> str:
    """With what it ended, in words."""
    code = part.child.returncode
    if code is None:
        return "not started"
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


def _words(part: Part) -> str:
    words = part.child.last_words()
    return f"; the end of {part.child.log}:\n{words}" if words else ""
