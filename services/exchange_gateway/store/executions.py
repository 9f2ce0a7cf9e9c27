"""Executions and their amendments among the stored reports, for books to be compared with."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from msgspec.structs import replace

from libs.postgres import Pool
from services.exchange_gateway.domain import Report
from services.exchange_gateway.domain.reports import AMENDMENTS
from services.exchange_gateway.store.reports import is_ours

_LAST = """
SELECT next_seq - 1 FROM progress WHERE session_id = %(session_id)s AND lane = 'stored'
"""

_BETWEEN = """
SELECT r.seq, s.venue, coalesce(o.customer_id, ''), r.received_at, p.seq IS NOT NULL, r.raw,
    coalesce(e.first_execution_id, e.execution_id)
FROM venue_report r
JOIN venue_session s ON s.session_id = r.session_id
LEFT JOIN venue_order o ON o.trade_id = r.trade_id
LEFT JOIN parked_report p ON p.session_id = r.session_id AND p.seq = r.seq AND p.state <> 2
LEFT JOIN amended_execution e ON e.session_id = r.session_id AND e.seq = r.seq
WHERE r.session_id = %(session_id)s AND r.seq > %(after)s AND r.seq <= %(until)s
    AND r.kind IN (2, 9, 10)
ORDER BY r.seq
"""

# The fills that these amendments of orders are of.
_FIRST = """
SELECT r.trade_id::text, r.execution_id, coalesce(a.first_execution_id, a.execution_id)
FROM amended_execution a
JOIN venue_report r ON r.session_id = a.session_id AND r.seq = a.seq
WHERE a.session_id = %(session_id)s AND a.trade_id = ANY(%(trade_ids)s::uuid[])
    AND r.execution_id = ANY(%(amendment_ids)s::text[])
"""


class StoredExecution(msgspec.Struct, frozen=True):
    """A fill, or its bust or correction, as it is stored.

    `customer_id` is empty where no order of ours has its trade id. `execution_id` names the fill,
    or what the venue names where no fill is known of it.
    """

    seq: int
    venue: str
    customer_id: str
    received_at: datetime
    is_parked: bool
    report: Report
    execution_id: str

    @property
    def is_amendment(self) -> bool:
        """Whether it is a bust or a correction."""
        return self.report.kind in AMENDMENTS


class Executions:
    """Reads by number, so a page costs the same however long the history."""

    def __init__(self, pool: Pool, *, session_id: str, decode: Callable[[bytes], Report]) -> None:
        self._pool = pool
        self._session_id = session_id
        self._decode = decode

    async def between(self, after: int, until: int) -> tuple[list[StoredExecution], int]:
        """Those numbered after < seq <= until, in order, and the number of the latest report.

        Raises Unavailable.
        """
        session = {"session_id": self._session_id}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_LAST, session)
            row = await cursor.fetchone()
            last = row[0] if row is not None else 0
            bounds = {**session, "after": after, "until": min(until, last)}
            cursor = await connection.execute(_BETWEEN, bounds, binary=True)
            rows = await cursor.fetchall()
            found = [self._stored(*row) for row in rows]
            return await self._of_fills(connection, found), last

    def _stored(self, seq: int, venue: str, *rest: Any) -> StoredExecution:
        customer_id, received_at, is_parked, raw, first_id = rest
        report = self._decode(raw)
        named = first_id or report.amends or report.execution_id
        return StoredExecution(seq, venue, customer_id, received_at, is_parked, report, named)

    async def _of_fills(
        self, connection: psycopg.AsyncConnection, found: list[StoredExecution]
    ) -> list[StoredExecution]:
        """The same, those that name an amendment with the fill that it is of."""
        names = {
            (each.report.trade_id, each.execution_id)
            for each in found
            if each.is_amendment and each.is_parked and is_ours(each.report.trade_id)
        }
        if not names:
            return found
        asked = {
            "session_id": self._session_id,
            "trade_ids": [trade_id for trade_id, _ in names],
            "amendment_ids": [amendment_id for _, amendment_id in names],
        }
        cursor = await connection.execute(_FIRST, asked)
        first = {(row[0], row[1]): row[2] for row in await cursor.fetchall()}
        return [
            replace(each, execution_id=first[name])
            if each.is_amendment and (name := (each.report.trade_id, each.execution_id)) in first
            else each
            for each in found
        ]
