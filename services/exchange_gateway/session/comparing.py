"""After each logon: the venue's word on all orders that matter, held against these books."""

import asyncio
from collections.abc import Sequence
from itertools import islice
from typing import NoReturn

import psycopg
import structlog

from libs.postgres import Lane, Pool
from services.exchange_gateway.domain.comparison import Comparison, Theirs, compare
from services.exchange_gateway.session.floor import Floor
from services.exchange_gateway.session.lapsing import Lapsing
from services.exchange_gateway.session.reporting import Reporting
from services.exchange_gateway.store.comparison import ComparisonStore
from services.exchange_gateway.store.progress import Step
from services.exchange_gateway.store.reports import ReportStore, is_ours
from services.exchange_gateway.venues import LoggedOn, VenueAway

_AT_ONCE = 500
_LATELY = 1000
_log = structlog.get_logger()


class Comparing:
    """Compares what is open here, what is open there, and what the venue reported of lately.

    Compared is only what stands still: the venue is asked, its reports up to then are judged, the
    books are read, the venue is asked again, and an order counts if both answers are the same. An
    order the venue does not know and never answered is sent again; reports that have not come are
    asked for by a new logon; what nothing explains is kept as a break.
    """

    def __init__(
        self, floor: Floor, pool: Pool, lane: Lane, reporting: Reporting, lapsing: Lapsing
    ) -> None:
        self._floor = floor
        self._pool = pool
        self._lane = lane
        self._reporting = reporting
        self._lapsing = lapsing

    async def run(self, said: LoggedOn) -> NoReturn:
        """Compare once; then nothing, until the connection ends."""
        try:
            orders, breaks = await self._compare_all(said)
            _log.info("orders_compared", orders=orders, breaks=breaks)
        except VenueAway as error:
            _log.warning("comparison_unanswered", error=str(error))
        while True:
            await asyncio.Event().wait()

    async def _compare_all(self, said: LoggedOn) -> tuple[int, int]:
        """How many orders were compared, and how many differences were found."""
        await self._caught_up(said.next_report_seq - 1)
        async with self._pool.connection() as connection:
            open_ids = await self._store(connection).list_open(kept_seq=said.next_command_seq - 1)
        orders = breaks = 0
        left = iter(open_ids)
        while chunk := list(islice(left, _AT_ONCE)):
            breaks += await self._compare(chunk)
            orders += len(chunk)
        since, after = max(1, said.next_report_seq - _LATELY), ""
        while True:
            page, after = await self._floor.venue.list_orders(since, after)
            breaks += await self._compare([their.trade_id for their in page]) if page else 0
            orders += len(page)
            if not after:
                return orders, breaks

    async def _compare(self, trade_ids: Sequence[str]) -> int:
        """How many differences were found."""
        before = await self._floor.venue.find_orders(trade_ids)
        await self._caught_up(max((t.last_report_seq for t in before.values() if t), default=0))
        async with self._pool.connection() as connection:
            ours = await self._store(connection).find([i for i in trade_ids if is_ours(i)])
        after = await self._floor.venue.find_orders(trade_ids)
        steady: dict[str, Theirs | None] = {
            trade_id: their for trade_id, their in after.items() if before[trade_id] == their
        }
        found = compare(ours, steady, kept_seq=self._floor.board.kept_seq)
        if found.lost:
            await self._lapsing.send_again(found.lost)
        await self._keep(found, list(steady))
        return len(found.breaks)

    async def _keep(self, found: Comparison, compared: Sequence[str]) -> None:
        async def keep(connection: psycopg.AsyncConnection) -> int:
            await ReportStore(connection, self._floor.seat).lock(Step.JUDGED)
            store = self._store(connection)
            await store.keep(found.breaks, compared=compared)
            return await store.count()

        self._floor.alarms.set_breaks(await self._lane.run(keep))
        for one in found.breaks:
            _log.error("order_break", trade_id=one.trade_id, kind=one.kind, detail=one.detail)

    async def _caught_up(self, venue_seq: int) -> None:
        """Wait until that report of the venue is judged; if it does not come, log on again."""
        patience = self._floor.rhythm.query_after_seconds
        while True:
            head = venue_seq + 1 + self._reporting.sequence.offset
            try:
                async with asyncio.timeout(patience):
                    await self._floor.deliveries.reaches(head)
                    return
            except TimeoutError:
                silent_for = self._floor.clock.monotonic() - self._floor.board.heard_at
                if silent_for >= patience:
                    self._floor.board.log_on_again("the exchange has reports that have not come")

    def _store(self, connection: psycopg.AsyncConnection) -> ComparisonStore:
        return ComparisonStore(connection, self._floor.seat.session_id)
