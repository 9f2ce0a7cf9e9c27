"""A simulated operating-system process: it can be killed and stopped at any await."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_PRUNE_AT = 256


class Process:
    """One life of a service. A killed one never runs again, not even its `finally`."""

    def __init__(self, name: str, kind: str) -> None:
        self.name = name
        self.kind = kind
        self.is_dead = False
        self.is_stopped = False
        self.at_death: list[Callable[[], None]] = []
        self._kept: list[asyncio.Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._prune_at = _PRUNE_AT

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a task, so that the collector never ends a dead one's coroutine."""
        self._tasks.append(task)
        if len(self._tasks) > self._prune_at and not self.is_dead:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._prune_at = max(_PRUNE_AT, 2 * len(self._tasks))

    def may_run(self, handle: asyncio.Handle) -> bool:
        """Whether its callbacks run now; those of a stopped process are kept for later."""
        if self.is_stopped and not self.is_dead:
            self._kept.append(handle)
            return False
        return not self.is_dead

    def kill(self) -> None:
        """SIGKILL."""
        self.is_dead = True
        self._kept.clear()
        for say in self.at_death:
            say()

    def stop(self) -> None:
        """SIGSTOP."""
        self.is_stopped = True

    def go_on(self) -> list[asyncio.Handle]:
        """SIGCONT: what it has to catch up with."""
        self.is_stopped = False
        kept, self._kept = self._kept, []
        return kept

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """Its tasks that have not ended."""
        return [task for task in self._tasks if not task.done()]


current_process: ContextVar[Process | None] = ContextVar("current_process", default=None)
