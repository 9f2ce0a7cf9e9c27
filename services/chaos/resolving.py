"""An operator of the house: what the exchange never answers is said to be unknown to it."""

import asyncio
import contextlib

from libs.clock import Clock
from libs.tasks import end
from services.chaos.neighbours import Away, Operator, Refused
from services.chaos.record import Record

_IN_DOUBT_SECONDS = 0.5
_LOOK_SECONDS = 0.3


class Resolving:
    """For `with`; `resolved`: trades that were. Only what customers see in doubt is looked at."""

    def __init__(self, operator: Operator, record: Record, clock: Clock) -> None:
        self.resolved: set[str] = set()
        self._operator = operator
        self._record = record
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Resolving":
        self._task = asyncio.create_task(self._resolve_on())
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._task is not None:
            await end(self._task)

    async def _resolve_on(self) -> None:
        while True:
            for trade_id in self._record.silent(seconds=_IN_DOUBT_SECONDS):
                with contextlib.suppress(Away, Refused):
                    await self._operator.resolve(trade_id)
                    self.resolved.add(trade_id)
            await self._clock.sleep(_LOOK_SECONDS)
