"""A customer's events as a stream, read from the database page by page.

The bell only says when to read: what is sent, and in which order, comes from the database alone, so
a lost or doubled bell can neither lose nor double an event.
"""

from collections.abc import AsyncGenerator, Sequence

from libs.batcher import Batcher
from libs.refusals import Archived
from services.order import refusals
from services.order.database import Database
from services.order.domain.event import Heartbeat, TradeEvent
from services.order.store.archived import Extent, Extents
from services.order.store.lists import Lists
from services.order.watchers import Watchers

_PAGE = 100
_PAGES_AT_ONCE = 64
_MAX_READERS = 100_000
Page = tuple[list[TradeEvent], int]  # if there is none, up to which seq events are archived


class Feed:
    """Streams of events. Reads of all streams that are due go to the database together."""

    def __init__(self, database: Database, watchers: Watchers, *, heartbeat_seconds: float) -> None:
        self._database = database
        self._watchers = watchers
        self._heartbeat_seconds = heartbeat_seconds
        self._pages: Batcher[tuple[str, int], Page] = Batcher(
            self._read, max_items=_PAGES_AT_ONCE, max_queued=_MAX_READERS
        )

    async def follow(
        self, customer_id: str, after_seq: int
    ) -> AsyncGenerator[TradeEvent | Heartbeat, None]:
        """Every event after `after_seq`, then live ones; a heartbeat once all are told, and when
        it is quiet. Raises Invalid when `after_seq` is not of the past, Archived when an event
        after it is archived, Throttled when the customer has too many streams, Unavailable when the
        database is away or the process stops.
        """
        with self._watchers.watch(customer_id) as watch:
            head_seq = await self._check(customer_id, after_seq)
            seq, is_heartbeat_due = after_seq, True
            while True:
                watch.quiet()
                page, archived_through_seq = await self._pages.submit((customer_id, seq))
                if seq < archived_through_seq:
                    raise refusals.history_archived(archived_through_seq)
                for event in page:
                    if event.seq != seq + 1:
                        raise await self._archived(customer_id, event.seq - 1)
                    seq = event.seq
                    yield event
                if len(page) == _PAGE:
                    continue
                if seq < head_seq:
                    raise await self._archived(customer_id, head_seq)
                if is_heartbeat_due:
                    yield Heartbeat(seq)
                is_heartbeat_due = not await watch.rings(self._heartbeat_seconds)

    async def _check(self, customer_id: str, after_seq: int) -> int:
        """The seq of the latest event."""
        extent = await self._extent(customer_id)
        if not 0 <= after_seq <= extent.head_seq:
            raise refusals.invalid_sequence()
        if after_seq < extent.archived_through_seq:
            raise refusals.history_archived(extent.archived_through_seq)
        return extent.head_seq

    async def _archived(self, customer_id: str, missing_seq: int) -> Archived:
        """An event is missing: it was archived while the stream was read.

        One that came while its month went is said to be archived a moment after it is gone.
        """
        extent = await self._extent(customer_id)
        return refusals.history_archived(max(missing_seq, extent.archived_through_seq))

    async def _extent(self, customer_id: str) -> Extent:
        async with self._database.connection() as connection:
            return await Extents(connection).extent(customer_id)

    async def _read(self, positions: Sequence[tuple[str, int]]) -> list[Page]:
        """Where nothing is there: up to where events are archived, which is said before they go."""
        async with self._database.connection() as connection:
            pages = await Lists(connection).events_after(positions, limit=_PAGE)
            quiet = [who for (who, _), page in zip(positions, pages, strict=True) if not page]
            archived = await Extents(connection).archived_through(quiet) if quiet else {}
        return [
            (page, archived.get(who, 0)) for (who, _), page in zip(positions, pages, strict=True)
        ]
