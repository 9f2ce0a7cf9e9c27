"""Executions and their amendments among the stored reports, for books to be compared with."""

from collections.abc import Callable
from datetime import datetime

import msgspec

from libs.postgres import Pool
from services.exchange_gateway.domain import Report
from services.exchange_gateway.domain.reports import AMENDMENTS

_LAST = """
SELECT next_seq - 1 FROM progress WHERE session_id = %(session_id)s AND lane = 'stored'
"""

_BETWEEN = """
SELECT r.seq, s.venue, coalesce(o.customer_id, ''), r.received_at, p.seq IS NOT NULL, r.raw
FROM venue_report r
JOIN venue_session s ON s.session_id = r.session_id
LEFT JOIN venue_order o ON o.trade_id = r.trade_id
LEFT JOIN parked_report p ON p.session_id = r.session_id AND p.seq = r.seq AND p.state <> 2
WHERE r.session_id = %(session_id)s AND r.seq > %(after)s AND r.seq <= %(until)s
    AND r.kind IN (2, 9, 10)
ORDER BY r.seq
"""


class StoredExecution(msgspec.Struct, frozen=True):
    """A fill, or its bust or correction, as it is stored.

    `customer_id` is empty where no order of ours has its trade id.
    """

    seq: int
    venue: str
    customer_id: str
    received_at: datetime
    is_parked: bool
    report: Report

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
        found = []
        for seq, venue, customer_id, received_at, is_parked, raw in rows:
            report = self._decode(raw)
            found.append(StoredExecution(seq, venue, customer_id, received_at, is_parked, report))
        return found, last
