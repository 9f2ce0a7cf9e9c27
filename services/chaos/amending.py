"""The exchange's operator: now and then a fill of an ended order never was, or was another.

It takes back shares, never cash: an order at the market may hold all the cash there is, and then
what would be taken has to wait for an operator of the house.
"""

import asyncio
import contextlib
import random
from dataclasses import replace

from libs.tasks import end
from services.chaos.domain.history import Fill
from services.chaos.neighbours import Operator, Refused, insist
from services.chaos.store import Away, Databases

_EVERY_SECONDS = (1.0, 4.0)
_AGAIN = 0.3  # of all amendments are of what was corrected before
_CENT = 10_000


class Amending:
    """Amends fills until it is stopped; `answered`: the ids that the exchange gave to that."""

    def __init__(self, operator: Operator, databases: Databases, rng: random.Random) -> None:
        self.answered: set[str] = set()
        self._operator = operator
        self._databases = databases
        self._rng = rng
        self._amended: set[str] = set()
        self._corrected: list[Fill] = []  # as they are now, by the names of their corrections
        self._has_stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """From now on."""
        self._task = asyncio.create_task(self._amend_on())

    async def stop(self, *, seconds: float) -> None:
        """Nothing new; wait so long at most until what was begun is answered."""
        self._has_stopped.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)
            await end(self._task)

    async def _amend_on(self) -> None:
        while not await self._rests(self._rng.uniform(*_EVERY_SECONDS)):
            with contextlib.suppress(Away, Refused):
                if self._corrected and self._rng.random() < _AGAIN:
                    await self._amend(self._corrected.pop())
                    continue
                fills = await self._databases.latest_buys()
                fresh = [fill for fill in fills if fill.execution_id not in self._amended]
                if fresh:
                    await self._amend(self._rng.choice(fresh))

    async def _amend(self, fill: Fill) -> None:
        self._amended.add(fill.execution_id)
        quantity = self._rng.choice((0, fill.quantity, fill.quantity // 2 + 1))
        cents = self._rng.choice((-2, -1))
        now = replace(fill, quantity=quantity, price_micros=fill.price_micros + cents * _CENT)
        amendment_id = await insist(lambda: self._operator.amend(now))
        self.answered.add(amendment_id)
        if quantity:
            self._corrected.append(replace(now, execution_id=amendment_id))

    async def _rests(self, seconds: float) -> bool:
        """Wait; whether it was told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._has_stopped.wait()
        return self._has_stopped.is_set()
