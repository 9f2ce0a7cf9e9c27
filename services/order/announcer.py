"""Tells others, after the commit, that customers have news: execution, and other order processes.

Nobody waits for it, and what cannot be told is dropped: the sweep finds the trades, and every
stream reads again at its next heartbeat.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice
from typing import Protocol

import structlog
from prometheus_client import Counter

from libs.broker import Broker, BrokerAway
from services.order.consumer import SUBJECT, pack
from services.order.watchers import Watchers

_MOST_WAITING = 100_000
_MOST_AT_ONCE = 1_000
_dropped = Counter("order_news_dropped", "Customers whose news could not be told to others")
_log = structlog.get_logger()


class Nudges(Protocol):
    """How execution is told; never raises."""

    async def publish(self, customer_ids: Iterable[str]) -> None:
        """Tell that these customers have a trade to take up."""


class Announcer:
    """Speaks for one process, `sender`."""

    def __init__(self, watchers: Watchers, nudges: Nudges, broker: Broker, *, sender: str) -> None:
        self._watchers = watchers
        self._broker = broker
        self._sender = sender
        self._to_execution = _Outlet(nudges.publish)
        self._to_peers = _Outlet(self._tell_peers)

    def wanted(self, customer_ids: Iterable[str]) -> None:
        """Execution has something to do for these customers."""
        self._to_execution.put(list(customer_ids))

    def wanted_and_changed(self, customer_ids: Iterable[str]) -> None:
        """Both."""
        customers = list(customer_ids)
        self.wanted(customers)
        self.changed(customers)

    def changed(self, customer_ids: Iterable[str]) -> None:
        """These customers have new events."""
        customers = list(customer_ids)
        self._watchers.ring(customers)
        self._to_peers.put(customers)

    async def close(self) -> None:
        """Tell what is still untold."""
        await self._to_execution.close()
        await self._to_peers.close()

    async def _tell_peers(self, customer_ids: Iterable[str]) -> None:
        customers = list(customer_ids)
        try:
            await self._broker.publish(SUBJECT, pack(self._sender, customers))
        except BrokerAway:
            _dropped.inc(len(customers))


class _Outlet:
    """Collects customers while the batch before is on its way."""

    def __init__(self, send: Callable[[Iterable[str]], Awaitable[None]]) -> None:
        self._send = send
        self._waiting: dict[str, None] = {}  # the order told in depends on no hash
        self._worker: asyncio.Task[None] | None = None

    def put(self, customer_ids: Sequence[str]) -> None:
        if len(self._waiting) + len(customer_ids) > _MOST_WAITING:
            _dropped.inc(len(customer_ids))
            return
        self._waiting |= dict.fromkeys(customer_ids)
        if self._waiting and (self._worker is None or self._worker.done()):
            self._worker = asyncio.create_task(self._work())

    async def close(self) -> None:
        if self._worker is not None:
            await self._worker

    async def _work(self) -> None:
        while self._waiting:
            batch = list(islice(self._waiting, _MOST_AT_ONCE))
            for customer_id in batch:
                del self._waiting[customer_id]
            try:
                await self._send(batch)
            except Exception:
                _log.exception("news_not_told", customers=len(batch))
                _dropped.inc(len(batch))
