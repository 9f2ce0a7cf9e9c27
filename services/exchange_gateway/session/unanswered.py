"""Orders the venue has not said a word about, oldest first."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from libs.clock import Clock
from services.exchange_gateway.domain import Command


@dataclass(frozen=True, slots=True)
class Waiting:
    """An order without an answer: under which number it was sent last, and since when it waits."""

    trade_id: str
    command_seq: int
    since: float


class Unanswered:
    """The unanswered orders of the session, in memory."""

    def __init__(self, found: Mapping[str, int], clock: Clock) -> None:
        self._clock = clock
        now = clock.monotonic()
        self._orders = {key: Waiting(key, seq, now) for key, seq in found.items()}
        self._any = asyncio.Event()
        self._notice()

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, commands: Sequence[Command]) -> None:
        """These were given to the sender; one that waited already waits anew."""
        now = self._clock.monotonic()
        for command in commands:
            self._orders.pop(command.trade_id, None)
            self._orders[command.trade_id] = Waiting(command.trade_id, command.seq, now)
        self._notice()

    def answered(self, trade_ids: Iterable[str]) -> None:
        """The venue has said something of these."""
        for trade_id in trade_ids:
            self._orders.pop(trade_id, None)
        self._notice()

    def asked(self, orders: Sequence[Waiting]) -> None:
        """These were asked about; those still here wait anew."""
        now = self._clock.monotonic()
        for order in orders:
            if self._orders.get(order.trade_id) == order:
                del self._orders[order.trade_id]
                self._orders[order.trade_id] = Waiting(order.trade_id, order.command_seq, now)

    def before(self, moment: float, most: int) -> list[Waiting]:
        """At most `most` orders that have waited since `moment` or longer, oldest first."""
        overdue: list[Waiting] = []
        for order in self._orders.values():
            if order.since > moment or len(overdue) == most:
                break
            overdue.append(order)
        return overdue

    async def some(self) -> float:
        """Since when the oldest has waited, once there is one."""
        while not self._orders:
            await self._any.wait()
        return next(iter(self._orders.values())).since

    def _notice(self) -> None:
        if self._orders:
            self._any.set()
        else:
            self._any.clear()
