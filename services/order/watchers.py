"""Who waits for news of which customer, in this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from services.order import refusals

# An app that leaves its streams behind must not fill the memory; one whose connections die unseen,
# each second, for as long as TCP takes to notice, still gets in.
_MOST_OF_A_CUSTOMER = 1_000
_open = Gauge("order_watches", "Open WatchTrades streams")


class Watch:
    """One stream's bell: rung when there may be news of its customer."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()
        self.is_over = False

    def ring(self) -> None:
        """There may be news."""
        self._bell.set()

    def quiet(self) -> None:
        """What was rung for up to now is going to be read."""
        self._bell.clear()

    async def rings(self, seconds: float) -> bool:
        """Whether it rang within `seconds`. Raises Unavailable when the process is stopping."""
        try:
            async with asyncio.timeout(seconds):
                await self._bell.wait()
        except TimeoutError:
            return False
        if self.is_over:
            raise refusals.stopping()
        return True


class Watchers:
    """All open streams by customer. A ring carries nothing, so a slow stream holds no memory."""

    def __init__(self) -> None:
        self._watches: defaultdict[str, set[Watch]] = defaultdict(set)
        self._is_closed = False

    @contextmanager
    def watch(self, customer_id: str) -> Iterator[Watch]:
        """A bell for this customer. Raises Unavailable when the process is stopping, Throttled
        where the customer has too many.
        """
        if self._is_closed:
            raise refusals.stopping()
        if len(self._watches.get(customer_id, ())) >= _MOST_OF_A_CUSTOMER:
            raise refusals.too_many_streams()
        watch = Watch()
        self._watches[customer_id].add(watch)
        _open.inc()
        try:
            yield watch
        finally:
            _open.dec()
            self._watches[customer_id].discard(watch)
            if not self._watches[customer_id]:
                del self._watches[customer_id]

    def ring(self, customer_ids: Iterable[str]) -> None:
        """There may be news of these customers."""
        for customer_id in customer_ids:
            for watch in self._watches.get(customer_id, ()):
                watch.ring()

    def close(self) -> None:
        """End every stream; their readers resume elsewhere after the last seq they saw."""
        self._is_closed = True
        for watches in self._watches.values():
            for watch in watches:
                watch.is_over = True
                watch.ring()
