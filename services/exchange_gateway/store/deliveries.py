"""Reports as they are delivered, read from what is stored."""

from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from msgspec.structs import replace

from services.exchange_gateway.domain import Delivery, Fill, Report
from services.exchange_gateway.domain.reports import as_accepted_before

# The limit of a replaced order is the one before its first replace that came later, or that of now.
_DELIVERIES = """
SELECT r.seq, r.raw, coalesce(o.customer_id, ''), coalesce(o.filled_by_seq = r.seq, false),
       {is_held},
       coalesce(CASE WHEN o.is_replaced THEN (
           SELECT v.old_limit_price_micros FROM venue_replace v
           WHERE v.trade_id = o.trade_id AND v.is_done AND v.since_seq > r.seq
           ORDER BY v.since_seq LIMIT 1) END, o.limit_price_micros, 0),
       coalesce(a.replace_id::text, ''), coalesce(a.filled_quantity, 0),
       e.quantity, e.price_micros, coalesce(e.first_execution_id, ''),
       (SELECT count(*) FROM operator_action x
        WHERE x.report_seq = r.seq AND x.action = 'RETRY_REPORT' AND p.seq IS NOT NULL),
       coalesce(o.held = 2, false)
FROM venue_report r
LEFT JOIN venue_order o ON o.trade_id = r.trade_id
LEFT JOIN parked_report p ON p.session_id = r.session_id AND p.seq = r.seq
LEFT JOIN venue_replace a ON a.answered_by_seq = r.seq AND a.trade_id = r.trade_id
    AND a.session_id = r.session_id
LEFT JOIN amended_execution e ON e.session_id = r.session_id AND e.seq = r.seq
WHERE r.session_id = %(session_id)s AND {which}
ORDER BY r.seq
"""
_BETWEEN = _DELIVERIES.format(
    is_held="p.seq IS NOT NULL OR coalesce(o.is_cut AND r.kind = 4, false)",
    which="r.seq >= %(start)s AND r.seq < %(end)s",
)
_NAMED = _DELIVERIES.format(is_held="false", which="r.seq = ANY(%(seqs)b)")

Decode = Callable[[bytes], Report]


class DeliveryStore:
    """Speaks within the caller's transaction. Raw bytes are read by `decode`."""

    def __init__(
        self, connection: psycopg.AsyncConnection, session_id: str, decode: Decode
    ) -> None:
        self._connection = connection
        self._session_id = session_id
        self._decode = decode

    async def between(self, start: int, end: int) -> list[Delivery]:
        """The judged reports numbered start <= seq < end, in order."""
        bounds = {"session_id": self._session_id, "start": start, "end": end}
        return await self._read(_BETWEEN, bounds)

    async def named(self, seqs: Sequence[int]) -> list[Delivery]:
        """Those reports, in order: what was parked before and holds now is delivered too."""
        return await self._read(_NAMED, {"session_id": self._session_id, "seqs": list(seqs)})

    async def _read(self, query: str, parameters: dict[str, object]) -> list[Delivery]:
        cursor = await self._connection.execute(query.encode(), parameters, binary=True)
        return [self._delivery(*row) for row in await cursor.fetchall()]

    def _delivery(self, seq: int, raw: bytes, *rest: Any) -> Delivery:
        *known, quantity, price_micros, first_id, retries, was_held = rest
        amended = None
        if quantity is not None:
            amended = Fill(quantity, price_micros, first_id=first_id)
        report = self._decode(raw)
        delivery = Delivery(seq, as_accepted_before(report) if was_held else report, *known)
        return replace(delivery, amended=amended, retries=retries)
