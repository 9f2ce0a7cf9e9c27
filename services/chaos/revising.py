"""Other terms for orders that rest: one replace after the other, now and then against a cancel."""

import asyncio
import contextlib
import random

from services.chaos.domain.history import Order, ReplaceAck, Terms
from services.chaos.domain.wishes import Wishes
from services.chaos.neighbours import Away, Customer, Refused
from services.chaos.record import Record

_MOST = 3
_CHANCE_OF_HURRY = 0.3
_CHANCE_OF_REPEAT = 0.3
_CHANCE_OF_CANCEL = 0.15
_PATIENCE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1


class Revising:
    """Of one customer's orders."""

    def __init__(
        self, customer: Customer, record: Record, wishes: Wishes, rng: random.Random
    ) -> None:
        self._customer = customer
        self._record = record
        self._wishes = wishes
        self._rng = rng
        self._asked = 0

    async def revise(self, trade_id: str, order: Order) -> None:
        """One to three replaces of a trade, each with an id of its own.

        They do not always wait for the answer to the one before, and a cancel may come between.
        """
        for _ in range(self._rng.randint(1, _MOST)):
            if not self._record.is_open(trade_id):
                return
            self._asked += 1
            name, asked = f"r-{self._asked}", self._wishes.next_terms(order)
            is_taken = await self._ask(trade_id, name, asked)
            if is_taken and self._rng.random() < _CHANCE_OF_REPEAT:
                await self._repeat(trade_id, name, asked)
            if self._rng.random() < _CHANCE_OF_CANCEL:
                with contextlib.suppress(Away, Refused):
                    await self._customer.cancel(trade_id)
            if self._rng.random() >= _CHANCE_OF_HURRY:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PATIENCE_SECONDS):
                        await self._record.until_settled(trade_id)

    async def _ask(self, trade_id: str, name: str, asked: Terms) -> bool:
        """Until it is answered; whether it was taken. The same id makes it one replace."""
        while True:
            try:
                await self._customer.replace(trade_id, name, asked)
            except Away as away:
                self._record.unanswered(str(away))
                await asyncio.sleep(_PAUSE_SECONDS)
            except Refused as refused:
                if not refused.is_passed:
                    self._record.refused(self._customer.name, name, str(refused))
                return False
            else:
                ack = ReplaceAck(self._customer.name, name, trade_id, asked)
                self._record.replaced(ack)
                return True

    async def _repeat(self, trade_id: str, name: str, asked: Terms) -> None:
        """Once more: whatever became of it since, it is taken already."""
        if not await self._ask(trade_id, name, asked):
            self._record.refused(self._customer.name, name, "it had been taken")
