"""Executions that the venue amended, amendments among them, and those it may amend."""

from collections.abc import Callable, Sequence

import psycopg

from services.exchange_gateway.domain import Amended, Fill, Kind, Report, Standing
from services.exchange_gateway.store.progress import Seat

# Fills come last, and so have their names.
_FIND = """
SELECT r.trade_id::text, r.execution_id, n.seq, r.raw,
    coalesce(a.first_execution_id, a.execution_id) AS first_id
FROM amended_execution a
JOIN venue_report r ON r.session_id = a.session_id AND r.seq = a.seq
LEFT JOIN amended_execution n ON n.trade_id = a.trade_id AND n.execution_id = r.execution_id
    AND n.trade_id = ANY(%(trade_ids)b::uuid[])
WHERE a.trade_id = ANY(%(trade_ids)b::uuid[]) AND r.execution_id = ANY(%(execution_ids)b::text[])
    AND a.session_id = %(session_id)s AND a.seq < %(before)s
UNION ALL
SELECT r.trade_id::text, r.execution_id, a.seq, r.raw, NULL
FROM venue_report r
LEFT JOIN parked_report p ON p.session_id = r.session_id AND p.seq = r.seq AND p.state <> 2
LEFT JOIN amended_execution a ON a.trade_id = r.trade_id AND a.execution_id = r.execution_id
    AND a.trade_id = ANY(%(trade_ids)b::uuid[])
WHERE r.trade_id = ANY(%(trade_ids)b::uuid[]) AND r.execution_id = ANY(%(execution_ids)b::text[])
    AND r.kind = 2 AND r.session_id = %(session_id)s AND r.seq < %(before)s AND p.seq IS NULL
ORDER BY first_id NULLS LAST
"""

_KEEP = """
INSERT INTO amended_execution (trade_id, execution_id, session_id, seq, quantity, price_micros,
    first_execution_id)
SELECT i.trade_id, i.execution_id, %(session_id)s, i.seq, i.quantity, i.price_micros,
    nullif(i.first_id, '')
FROM unnest(%(trade_ids)b::uuid[], %(execution_ids)b::text[], %(seqs)b::bigint[],
            %(quantities)b::bigint[], %(prices)b::bigint[], %(first_ids)b::text[])
AS i (trade_id, execution_id, seq, quantity, price_micros, first_id)
"""

_TAKE_BACK = """
UPDATE venue_order o SET taken_back = i.taken_back, filled_quantity = i.filled_quantity,
    filled_by_seq = i.filled_by_seq
FROM unnest(%(trade_ids)b::uuid[], %(taken_back)b::bigint[], %(filled_quantities)b::bigint[],
            %(filled_by_seqs)b::bigint[])
AS i (trade_id, taken_back, filled_quantity, filled_by_seq)
WHERE o.trade_id = i.trade_id AND o.trade_id = ANY(%(trade_ids)b::uuid[])
"""


class AmendmentStore:
    """Speaks within the caller's transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def find(
        self,
        names: Sequence[tuple[str, str]],
        *,
        before: int,
        decode: Callable[[bytes], Report],
    ) -> dict[tuple[str, str], Fill]:
        """Executions and amendments of them by order and id, told in reports numbered lower than
        `before` that count.
        """
        cursor = await self._connection.execute(
            _FIND,
            {
                "session_id": self._seat.session_id,
                "trade_ids": [trade_id for trade_id, _ in names],
                "execution_ids": [execution_id for _, execution_id in names],
                "before": before,
            },
            binary=True,
        )
        found = {}
        for trade_id, execution_id, amended_by_seq, raw, first_id in await cursor.fetchall():
            said = decode(raw)
            found[trade_id, execution_id] = Fill(
                said.quantity,
                said.price_micros,
                amended_by_seq,
                first_id or "",
                said.kind == Kind.BUSTED,
            )
        return found

    async def keep(self, amended: Sequence[Amended], standings: Sequence[Standing]) -> None:
        """These are amended, and how far their orders are filled then."""
        await self._connection.execute(
            _KEEP,
            {
                "session_id": self._seat.session_id,
                "trade_ids": [one.trade_id for one in amended],
                "execution_ids": [one.execution_id for one in amended],
                "seqs": [one.seq for one in amended],
                "quantities": [one.fill.quantity for one in amended],
                "prices": [one.fill.price_micros for one in amended],
                "first_ids": [one.fill.first_id for one in amended],
            },
        )
        await self._connection.execute(
            _TAKE_BACK,
            {
                "trade_ids": [s.trade_id for s in standings],
                "taken_back": [s.taken_back for s in standings],
                "filled_quantities": [s.filled_quantity for s in standings],
                "filled_by_seqs": [s.filled_by_seq for s in standings],
            },
        )
