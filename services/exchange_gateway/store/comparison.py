"""Orders as they are compared with the venue's, and the differences found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import TupleRow

from services.exchange_gateway.domain import State
from services.exchange_gateway.domain.comparison import Break, Ours

_OPEN = """
SELECT o.trade_id::text FROM venue_order o
JOIN (SELECT trade_id FROM unanswered_order WHERE session_id = %(session_id)s
      UNION SELECT trade_id FROM working_order WHERE session_id = %(session_id)s) open
    ON open.trade_id = o.trade_id
WHERE o.command_seq <= %(kept_seq)s AND o.held <> 1
ORDER BY o.command_seq
"""

_OURS = """
SELECT o.trade_id::text, o.symbol, o.side, o.quantity, o.filled_quantity - o.taken_back, o.state,
       o.command_seq,
       EXISTS (SELECT FROM operator_action a WHERE a.trade_id = o.trade_id)
       OR o.trade_id IN (
           SELECT r.trade_id FROM parked_report p
           JOIN venue_report r ON r.session_id = p.session_id AND r.seq = p.seq
           WHERE p.session_id = %(session_id)s AND p.state <> 2 AND r.trade_id IS NOT NULL),
       o.limit_price_micros, o.stop_price_micros
FROM venue_order o WHERE o.trade_id = ANY(%(trade_ids)s::uuid[])
"""

_KEEP = """
INSERT INTO order_break AS b (session_id, trade_id, kind, detail)
SELECT %(session_id)s, i.trade_id, i.kind, i.detail
FROM unnest(%(trade_ids)s::text[], %(kinds)s::text[], %(details)s::text[])
AS i (trade_id, kind, detail)
WHERE NOT EXISTS (
    SELECT FROM order_break d WHERE d.trade_id = i.trade_id AND d.kind = i.kind
        AND d.detail = i.detail AND d.session_id = %(session_id)s AND d.state = 3)
ON CONFLICT (session_id, trade_id, kind) WHERE state = 1 DO UPDATE SET detail = excluded.detail
"""

_CLEAR = """
UPDATE order_break b SET state = 2
WHERE b.session_id = %(session_id)s AND b.state = 1 AND b.trade_id = ANY(%(compared)s::text[])
    AND NOT EXISTS (
        SELECT FROM unnest(%(trade_ids)s::text[], %(kinds)s::text[]) AS i (trade_id, kind)
        WHERE i.trade_id = b.trade_id AND i.kind = b.kind)
"""

_LIST = """
SELECT id, trade_id, kind, detail, state, found_at,
       extract(epoch FROM clock_timestamp() - found_at)::bigint
FROM order_break
WHERE session_id = %(session_id)s AND id > %(after)s AND (state = 1 OR %(with_settled)s)
ORDER BY id LIMIT %(most)s
"""


_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class KeptBreak:
    """A difference as it is kept. `state`: 1 open, 2 cleared, 3 dismissed."""

    id: int
    trade_id: str
    kind: str
    detail: str
    state: int
    found_at: datetime
    age_seconds: int


class ComparisonStore:
    """Speaks within the caller's transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, session_id: str) -> None:
        self._connection = connection
        self._session_id = session_id

    async def list_open(self, *, kept_seq: int) -> Sequence[str]:
        """Orders the venue keeps and has not ended, as far as is known here; oldest first."""
        cursor = await self._connection.execute(
            _OPEN, {"session_id": self._session_id, "kept_seq": kept_seq}
        )
        return [row[0] for row in await cursor.fetchall()]

    async def find(self, trade_ids: Sequence[str]) -> dict[str, Ours]:
        """How these orders stand; what is not stored is left out."""
        cursor = await self._connection.execute(
            _OURS, {"session_id": self._session_id, "trade_ids": list(trade_ids)}
        )
        return {row[0]: _ours(row) for row in await cursor.fetchall()}

    async def keep(self, breaks: Sequence[Break], *, compared: Sequence[str]) -> None:
        """Keep what was found of the orders compared; what is found no more is cleared."""
        details = {(_name(one.trade_id), str(one.kind)): one.detail for one in breaks}
        found = {
            "session_id": self._session_id,
            "trade_ids": [trade_id for trade_id, _ in details],
            "kinds": [kind for _, kind in details],
            "details": [detail.replace("\0", "") for detail in details.values()],
            "compared": [_name(trade_id) for trade_id in compared],
        }
        await self._connection.execute(_KEEP, found)
        await self._connection.execute(_CLEAR, found)

    async def count(self) -> int:
        """How many are open."""
        cursor = await self._connection.execute(
            "SELECT count(*) FROM order_break WHERE session_id = %s AND state = 1",
            [self._session_id],
        )
        row = await cursor.fetchone()
        return int(row[0]) if row is not None else 0

    async def list(self, after: int, most: int, *, with_settled: bool) -> Sequence[KeptBreak]:
        """At most `most` with a higher id than `after`, in order."""
        cursor = await self._connection.execute(
            _LIST,
            {
                "session_id": self._session_id,
                "after": after,
                "most": most,
                "with_settled": with_settled,
            },
        )
        return [KeptBreak(*row) for row in await cursor.fetchall()]

    async def dismiss(self, break_id: int) -> str | None:
        """Lay an open one aside: its trade's id; None: it is not open."""
        cursor = await self._connection.execute(
            "UPDATE order_break SET state = 3 WHERE session_id = %s AND id = %s AND state = 1"
            " RETURNING trade_id",
            [self._session_id, break_id],
        )
        row = await cursor.fetchone()
        return str(row[0]) if row is not None else None


def _name(trade_id: str) -> str:
    """An id as it can be kept, and found again: a venue may tell any."""
    return trade_id.replace("\0", "")[:_LONGEST_NAME]


def _ours(row: TupleRow) -> Ours:
    trade_id, symbol, side, quantity, filled, state, *rest = row
    return Ours(trade_id, symbol, side, quantity, filled, State(state), *rest)
