"""Reports that cannot be true, and what operators did about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from services.exchange_gateway.domain import Report
from services.exchange_gateway.domain.operators import Settlement

_COLUMNS = """
SELECT p.seq, p.breach, p.detail, p.state, coalesce(o.customer_id, ''), r.received_at,
       extract(epoch FROM clock_timestamp() - r.received_at)::bigint, r.author, r.raw
FROM parked_report p
JOIN venue_report r ON r.session_id = p.session_id AND r.seq = p.seq
LEFT JOIN venue_order o ON o.trade_id = r.trade_id
"""
_LIST_OPEN = (
    _COLUMNS
    + """
WHERE p.session_id = %(session_id)s AND p.seq > %(after)s AND p.state = 1
ORDER BY p.seq LIMIT %(most)s
"""
)
_LIST_ALL = (
    _COLUMNS
    + """
WHERE p.session_id = %(session_id)s AND p.seq > %(after)s
ORDER BY p.seq LIMIT %(most)s
"""
)
_FIND = _COLUMNS + "WHERE p.session_id = %(session_id)s AND p.seq = %(seq)s"

_SETTLE = """
UPDATE parked_report SET state = %(state)s, breach = %(breach)s, detail = %(detail)s
WHERE session_id = %(session_id)s AND seq = %(seq)s
"""

_COUNT = "SELECT count(*) FROM parked_report WHERE session_id = %(session_id)s AND state = 1"


@dataclass(frozen=True, slots=True)
class ParkedReport:
    """A report that cannot be true, as an operator sees it."""

    seq: int
    breach: str
    detail: str
    state: Settlement
    customer_id: str
    received_at: datetime
    age_seconds: int
    author: str
    report: Report


class ParkedStore:
    """Speaks within the caller's transaction. Raw bytes are read by `decode`."""

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        session_id: str,
        decode: Callable[[bytes], Report],
    ) -> None:
        self._connection = connection
        self._session_id = session_id
        self._decode = decode

    async def list(self, after: int, most: int, *, with_settled: bool) -> Sequence[ParkedReport]:
        """At most `most` numbered above `after`, in order."""
        cursor = await self._connection.execute(
            _LIST_ALL if with_settled else _LIST_OPEN,
            {"session_id": self._session_id, "after": after, "most": most},
        )
        return [self._read(*row) for row in await cursor.fetchall()]

    async def find(self, seq: int) -> ParkedReport | None:
        """The parked report of that number."""
        cursor = await self._connection.execute(_FIND, {"session_id": self._session_id, "seq": seq})
        row = await cursor.fetchone()
        return self._read(*row) if row is not None else None

    async def settle(self, seq: int, state: Settlement, *, breach: str, detail: str) -> None:
        """How a parked report stands now."""
        await self._connection.execute(
            _SETTLE,
            {
                "session_id": self._session_id,
                "seq": seq,
                "state": state,
                "breach": breach,
                "detail": detail.replace("\0", ""),
            },
        )

    async def count(self) -> int:
        """How many nobody has settled."""
        cursor = await self._connection.execute(_COUNT, {"session_id": self._session_id})
        row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0

    def _read(self, seq: int, breach: str, detail: str, state: int, *rest: Any) -> ParkedReport:
        customer_id, received_at, age_seconds, author, raw = rest
        return ParkedReport(
            seq,
            breach,
            detail,
            Settlement(state),
            customer_id,
            received_at,
            age_seconds,
            author,
            self._decode(raw),
        )
