"""What the venue has not answered, by order and oldest first: orders themselves, or replaces."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec.structs import replace

from libs.clock import Clock
from services.exchange_gateway.domain import Command
from services.exchange_gateway.store.lease import Pending


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What has no answer: under which number it was sent last, and since when it waits.

    `since` starts anew whenever it is sent or asked about, `first` does not.
    """

    trade_id: str
    command_seq: int
    since: float
    first: float


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of asking the venue for an order."""

    at: datetime
    words: str


class Unanswered:
    """All that is unanswered in the session, one per order, in memory."""

    def __init__(self, found: Iterable[Pending], clock: Clock) -> None:
        self._clock = clock
        now = clock.monotonic()
        self._orders = {
            one.trade_id: Waiting(one.trade_id, one.command_seq, now, now - one.age_seconds)
            for one in found
        }
        self._heard: dict[str, Heard] = {}
        self._any = asyncio.Event()
        self._notice()

    def __len__(self) -> int:
        return len(self._orders)

    def __contains__(self, trade_id: str) -> bool:
        return trade_id in self._orders

    def add(self, commands: Sequence[Command]) -> None:
        """These were given to the sender; one that waited already waits anew."""
        now = self._clock.monotonic()
        for command in commands:
            before = self._orders.pop(command.trade_id, None)
            first = before.first if before is not None else now
            self._orders[command.trade_id] = Waiting(command.trade_id, command.seq, now, first)
        self._notice()

    def watch(self, trade_id: str, command_seq: int) -> None:
        """This waits, unless it is known that it does."""
        if trade_id not in self._orders:
            now = self._clock.monotonic()
            self._orders[trade_id] = Waiting(trade_id, command_seq, now, now)
            self._notice()

    def answered(self, trade_ids: Iterable[str]) -> None:
        """The venue has said something of these."""
        for trade_id in trade_ids:
            self._orders.pop(trade_id, None)
            self._heard.pop(trade_id, None)
        self._notice()

    def asked(self, orders: Sequence[Waiting], words: Mapping[str, str]) -> None:
        """These were asked about, with what came of it; those still here wait anew."""
        now, at = self._clock.monotonic(), self._clock.now()
        for order in orders:
            if order.trade_id in self._orders:
                self._heard[order.trade_id] = Heard(at, words[order.trade_id])
            if self._orders.get(order.trade_id) == order:
                del self._orders[order.trade_id]
                self._orders[order.trade_id] = replace(order, since=now)

    def heard(self, trade_id: str) -> Heard | None:
        """What came of asking for it last; None: it was not asked for."""
        return self._heard.get(trade_id)

    @property
    def oldest_seconds(self) -> float:
        """Since when the oldest is without an answer; 0 when none is."""
        now = self._clock.monotonic()
        return max((now - order.first for order in self._orders.values()), default=0.0)

    def sent_from(self, command_seq: int) -> list[str]:
        """Orders whose last number is that or a later one."""
        return [one.trade_id for one in self._orders.values() if one.command_seq >= command_seq]

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
