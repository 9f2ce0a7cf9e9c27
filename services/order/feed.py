"""A customer's events as a stream, read from the database page by page.

The bell only says when to read: what is sent, and in which order, comes from the database alone, so
a lost or doubled bell can neither lose nor double an event.
"""

from collections.abc import AsyncGenerator, Sequence

from libs.batcher import Batcher
from services.order import refusals
from services.order.database import Database
from services.order.domain.trade import Heartbeat, TradeEvent
from services.order.store.customers import Customers
from services.order.store.lists import Lists
from services.order.watchers import Watchers

_PAGE = 100
_PAGES_AT_ONCE = 64
_MAX_READERS = 100_000


class Feed:
    """Streams of events. Reads of all streams that are due go to the database together."""

    def __init__(self, database: Database, watchers: Watchers, *, heartbeat_seconds: float) -> None:
        self._database = database
        self._watchers = watchers
        self._heartbeat_seconds = heartbeat_seconds
        self._pages: Batcher[tuple[str, int], list[TradeEvent]] = Batcher(
            self._read, max_items=_PAGES_AT_ONCE, max_queued=_MAX_READERS
        )

    async def follow(
        self, customer_id: str, after_seq: int
    ) -> AsyncGenerator[TradeEvent | Heartbeat, None]:
        """Every event after `after_seq`, then live ones; a heartbeat once all are told, and when
        it is quiet. Raises Invalid when `after_seq` is not of the past, Unavailable when the
        database is away or the process stops.
        """
        with self._watchers.watch(customer_id) as watch:
            await self._check(customer_id, after_seq)
            seq, is_heartbeat_due = after_seq, True
            while True:
                watch.quiet()
                page = await self._pages.submit((customer_id, seq))
                for event in page:
                    seq = event.seq
                    yield event
                if len(page) == _PAGE:
                    continue
                if is_heartbeat_due:
                    yield Heartbeat(seq)
                is_heartbeat_due = not await watch.rings(self._heartbeat_seconds)

    async def _check(self, customer_id: str, after_seq: int) -> None:
        if after_seq == 0:
            return
        async with self._database.connection() as connection:
            heads = await Customers(connection).heads([customer_id])
        if not 0 < after_seq <= heads.get(customer_id, 0):
            raise refusals.invalid_sequence()

    async def _read(self, positions: Sequence[tuple[str, int]]) -> list[list[TradeEvent]]:
        async with self._database.connection() as connection:
            return await Lists(connection).events_after(positions, limit=_PAGE)
