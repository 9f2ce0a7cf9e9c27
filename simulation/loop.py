"""An event loop whose time is virtual and whose order of events comes from a seed.

Nothing ever waits: when nobody can run, time leaps to the next timer. Of all callbacks that could
run at a moment a random one does, so every order that asyncio allows is met sooner or later.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple

from simulation.process import current_process

_MOST_AT_ONCE = 100_000
_Given = TypeVarTuple("_Given")
_Result = TypeVar("_Result")


class StuckForEver(RuntimeError):
    """Nobody can run and no timer is set; or somebody runs without end and no time passes."""


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set depends on its number, not on where it lies in memory."""

    def __init__(self, number: int, coroutine: Coroutine[Any, Any, Any], **options: Any) -> None:
        self._number = number
        super().__init__(coroutine, **options)

    def __hash__(self) -> int:
        return self._number


class SeededLoop(asyncio.BaseEventLoop):
    """Runs callbacks of live processes; those of dead ones never, of stopped ones later."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._seconds = 0.0
        self._count = 0
        self._ready: list[asyncio.Handle] = []
        self._scheduled: list[asyncio.TimerHandle]
        self.steps = 0
        self._steps_before = 0
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._seconds

    def _make_task(
        self,
        _: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any],
        context: Context | None = None,
        **options: Any,
    ) -> NumberedTask:
        self._count += 1
        task = NumberedTask(self._count, coroutine, loop=self, context=context, **options)
        process = current_process.get() if context is None else context.get(current_process)
        if process is not None:
            process.keep(task)
        return task

    def _run_once(self) -> None:
        self._take_due()
        while not self._ready:
            if not self._scheduled:
                raise StuckForEver
            self._seconds = max(self._seconds, self._scheduled[0].when())
            self._steps_before = self.steps
            self._take_due()
        if self.steps - self._steps_before > _MOST_AT_ONCE:
            raise StuckForEver(f"{_MOST_AT_ONCE} steps at {self._seconds:.6f}")
        handle = self._draw()
        process = handle._context.get(current_process)  # type: ignore[attr-defined]
        if process is not None and not process.may_run(handle):
            return
        if not handle.cancelled():
            self.steps += 1
            handle._run()

    def _take_due(self) -> None:
        while self._scheduled and self._scheduled[0].when() <= self._seconds:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            self._ready.append(timer)

    def _draw(self) -> asyncio.Handle:
        ready = self._ready
        index = int(self._rng.random() * len(ready))
        ready[index], ready[-1] = ready[-1], ready[index]
        return ready.pop()

    def again(self, handles: list[asyncio.Handle]) -> None:
        """Callbacks of a process that was stopped and goes on."""
        self._ready.extend(handles)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer simply comes due and does nothing."""

    def run_in_executor(
        self, _: Executor | None, func: Callable[[*_Given], _Result], *args: *_Given
    ) -> asyncio.Future[_Result]:
        """There are no threads, which would take time that is not virtual: it is done at once."""
        done: asyncio.Future[_Result] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def _write_to_self(self) -> None:
        """There is nobody to wake."""

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no sockets."""
