"""The trades whose reports are delivered again, in memory: which of them are due, and when."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from libs.clock import Clock
from services.exchange_gateway.domain.answers import Postponed, pause_after
from services.exchange_gateway.store.later import Late


@dataclass(slots=True)
class Trade:
    """A trade with reports that wait. `is_alone`: execution fails over them, so none go along."""

    trade_id: str
    since: float
    due_at: float
    attempts: int = 0
    seqs: set[int] = field(default_factory=set)
    is_alone: bool = False


class WaitingRoom:
    """Trades by id. A trade that is in here has no report delivered but from here."""

    def __init__(self, clock: Clock, *, most_seconds: float) -> None:
        self._clock = clock
        self._most_seconds = most_seconds
        self._trades: dict[str, Trade] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._trades)

    def __contains__(self, trade_id: str) -> bool:
        return trade_id in self._trades

    @property
    def reports(self) -> int:
        """How many reports wait."""
        return sum(len(trade.seqs) for trade in self._trades.values())

    @property
    def oldest_seconds(self) -> float:
        """How long the oldest has waited; 0 when none waits."""
        now = self._clock.monotonic()
        return max((now - trade.since for trade in self._trades.values()), default=0.0)

    def find(self, found: Sequence[Late]) -> None:
        """What waited before this process came: it is due at once."""
        now = self._clock.monotonic()
        for late in found:
            trade = self._enter(late.trade_id)
            trade.seqs.add(late.seq)
            trade.since = min(trade.since, now - late.age_seconds)
            trade.attempts = max(trade.attempts, late.attempts)
            trade.due_at = now
        self._changed.set()

    def add(self, postponed: Sequence[Postponed], *, alone: bool = False) -> None:
        """These wait now, or were tried once more in vain."""
        tried: dict[str, None] = {}
        for one in postponed:
            trade = self._enter(one.trade_id)
            trade.seqs.add(one.seq)
            trade.is_alone = trade.is_alone or alone
            if one.was_tried:
                tried[one.trade_id] = None
        now = self._clock.monotonic()
        for trade_id in tried:
            trade = self._trades[trade_id]
            trade.attempts += 1
            trade.due_at = now + pause_after(trade.attempts, most=self._most_seconds)
        self._changed.set()

    def leave(self, seqs: Iterable[int]) -> None:
        """These were answered; what is left of their trades is due at once."""
        gone, now = set(seqs), self._clock.monotonic()
        for trade in [t for t in self._trades.values() if t.seqs & gone]:
            trade.seqs -= gone
            trade.attempts, trade.due_at, trade.is_alone = 0, now, False
            if not trade.seqs:
                del self._trades[trade.trade_id]
        self._changed.set()

    def hurry(self) -> None:
        """Everything is due: what failed before may go well now."""
        now = self._clock.monotonic()
        for trade in self._trades.values():
            trade.due_at = min(trade.due_at, now)
        self._changed.set()

    async def due(self, most: int) -> list[Trade]:
        """Trades whose time has come, with at most `most` reports unless one alone has more."""
        while True:
            self._changed.clear()
            chosen = self._choose(most)
            if chosen:
                return chosen
            await self._wait()

    def _choose(self, most: int) -> list[Trade]:
        now = self._clock.monotonic()
        ready = sorted(
            (t for t in self._trades.values() if t.due_at <= now), key=lambda t: t.due_at
        )
        if ready and ready[0].is_alone:
            return ready[:1]
        chosen: list[Trade] = []
        size = 0
        for trade in ready:
            size += len(trade.seqs)
            if trade.is_alone or (chosen and size > most):
                break
            chosen.append(trade)
        return chosen

    async def _wait(self) -> None:
        """Until a trade is due or something has changed."""
        soonest = min((trade.due_at for trade in self._trades.values()), default=None)
        pause = None if soonest is None else max(0.0, soonest - self._clock.monotonic())
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _enter(self, trade_id: str) -> Trade:
        now = self._clock.monotonic()
        return self._trades.setdefault(trade_id, Trade(trade_id, since=now, due_at=now))
