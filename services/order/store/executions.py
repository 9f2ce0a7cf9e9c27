"""The fills on record, one after the other, for books to be compared with."""

from typing import Any

import msgspec
import psycopg

from services.order.domain.trade import Execution
from services.order.store.rows import execution_from

# The fills and the oldest transaction in progress are of one snapshot, so none slips between.
_AFTER = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, f.*
FROM (SELECT) AS one
LEFT JOIN LATERAL (
    SELECT e.venue, e.execution_id, e.trade_id::text, e.quantity, e.price_micros, e.executed_at,
        e.transaction_id, t.customer_id, t.side, t.symbol
    FROM execution AS e
    LEFT JOIN LATERAL (
        SELECT customer_id, side, symbol FROM trade WHERE trade_id = e.trade_id LIMIT 1
    ) AS t ON true
    WHERE (e.transaction_id, e.venue, e.execution_id)
        > (%(transaction_id)s::bigint, %(venue)s, %(execution_id)s)
    ORDER BY e.transaction_id, e.venue, e.execution_id
    LIMIT %(limit)s
) AS f ON true
"""


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a fill stands; everything before one that was told as `next` is final."""

    transaction_id: int
    venue: str
    execution_id: str


class Recorded(msgspec.Struct, frozen=True):
    """A fill and the terms of its trade; empty where there is no such trade."""

    execution: Execution
    transaction_id: int
    customer_id: str
    side: int
    symbol: str

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.transaction_id, self.execution.venue, self.execution.execution_id)


class Page(msgspec.Struct, frozen=True):
    """Some fills, in the order of places."""

    executions: list[Recorded]
    next: Place
    reaches_end: bool


class Executions:
    """Reads by place, so a page costs the same however long the history."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def after(self, place: Place, *, limit: int) -> Page:
        """At most `limit` fills behind `place`."""
        cursor = await self._connection.execute(
            _AFTER, {**msgspec.structs.asdict(place), "limit": limit}
        )
        rows = await cursor.fetchall()
        found = [_recorded(row[1:]) for row in rows if row[1] is not None]
        return page(found, oldest_in_progress=rows[0][0], limit=limit)


def page(found: list[Recorded], *, oldest_in_progress: int, limit: int) -> Page:
    """What to go on with: the last one told, but nothing a transaction may still add to."""
    settled = Place(oldest_in_progress, "", "")
    is_full = len(found) == limit
    next_place = min(found[-1].place, settled) if is_full else settled
    return Page(found, next_place, reaches_end=not is_full)


def _recorded(row: tuple[Any, ...]) -> Recorded:
    *execution, transaction_id, customer_id, side, symbol = row
    return Recorded(
        execution_from(execution), transaction_id, customer_id or "", side or 0, symbol or ""
    )
