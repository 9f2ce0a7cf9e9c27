"""The fills on record and what became of them, in order, for books to be compared with."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import psycopg

# All of it and the oldest transaction in progress are of one snapshot, so nothing slips between.
_AFTER = """
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, f.*
FROM (SELECT) AS one
LEFT JOIN LATERAL (
    (SELECT e.venue, e.execution_id, e.trade_id::text, e.quantity, e.price_micros, e.executed_at,
        e.transaction_id, coalesce(t.customer_id, '') AS customer_id,
        coalesce(t.side, 0) AS side, coalesce(t.symbol, '') AS symbol, NULL AS amendment_id,
        0 AS number
    FROM execution AS e
    LEFT JOIN LATERAL (
        SELECT customer_id, side, symbol FROM trade WHERE trade_id = e.trade_id LIMIT 1
    ) AS t ON true
    WHERE (e.transaction_id, e.venue, e.execution_id)
        > (%(transaction_id)s::bigint, %(venue)s, %(execution_id)s)
    ORDER BY e.transaction_id, e.venue, e.execution_id
    LIMIT %(limit)s)
    UNION ALL
    (SELECT a.venue, a.execution_id, a.trade_id::text, a.quantity, a.price_micros, a.amended_at,
        a.transaction_id, coalesce(t.customer_id, ''), coalesce(t.side, 0),
        coalesce(t.symbol, ''), a.amendment_id, a.number
    FROM execution_amendment AS a
    LEFT JOIN LATERAL (
        SELECT customer_id, side, symbol FROM trade WHERE trade_id = a.trade_id LIMIT 1
    ) AS t ON true
    WHERE (a.transaction_id, a.venue, a.execution_id)
        > (%(transaction_id)s::bigint, %(venue)s, %(execution_id)s)
    ORDER BY a.transaction_id, a.venue, a.execution_id
    FETCH FIRST (%(limit)s) ROWS WITH TIES)
) AS f ON true
"""


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a fill stands; everything before one that was told as `next` is final."""

    transaction_id: int
    venue: str
    execution_id: str


class Recorded(msgspec.Struct, frozen=True):
    """A fill and the terms of its trade; empty where there is no such trade."""

    venue: str
    execution_id: str
    trade_id: str
    quantity: int
    price_micros: int
    executed_at: datetime
    transaction_id: int
    customer_id: str
    side: int
    symbol: str

    @property
    def place(self) -> Place:
        """Where it stands."""
        return Place(self.transaction_id, self.venue, self.execution_id)


class RecordedAmendment(msgspec.Struct, frozen=True):
    """What a fill is instead, no shares if it never was, and the terms of its trade, as above."""

    venue: str
    execution_id: str
    trade_id: str
    quantity: int
    price_micros: int
    amended_at: datetime
    transaction_id: int
    customer_id: str
    side: int
    symbol: str
    amendment_id: str
    number: int  # 1, 2, ... for each fill

    @property
    def place(self) -> Place:
        """Where it stands, among the fills."""
        return Place(self.transaction_id, self.venue, self.execution_id)


class Page(msgspec.Struct, frozen=True):
    """Some fills, and some of what became of fills, each in the order of places."""

    executions: list[Recorded]
    amendments: list[RecordedAmendment]
    next: Place
    reaches_end: bool


class Executions:
    """Reads by place, so a page costs the same however long the history."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def after(self, place: Place, *, limit: int) -> Page:
        """At most `limit` fills behind `place`, and as many amendments with those at one place."""
        cursor = await self._connection.execute(
            _AFTER, {**msgspec.structs.asdict(place), "limit": limit}, binary=True
        )
        rows = await cursor.fetchall()
        told = [row for row in rows if row[1] is not None]
        fills = [Recorded(*row[1:11]) for row in told if row[11] is None]
        amendments = [RecordedAmendment(*row[1:]) for row in told if row[11] is not None]
        return page(fills, amendments, oldest_in_progress=rows[0][0], limit=limit)


def page(
    fills: list[Recorded],
    amendments: list[RecordedAmendment],
    *,
    oldest_in_progress: int,
    limit: int,
) -> Page:
    """What to go on with: up to where both are whole, and no transaction may still add to it."""
    settled = Place(oldest_in_progress, "", "")
    told: Sequence[Sequence[Recorded | RecordedAmendment]] = (fills, amendments)
    cuts = [each[-1].place for each in told if len(each) >= limit]
    return Page(fills, amendments, min([*cuts, settled]), reaches_end=not cuts)
