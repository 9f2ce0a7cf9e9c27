"""Reports that are delivered again, kept by the delivery lane."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from services.exchange_gateway.domain.answers import Postponed
from services.exchange_gateway.store.progress import Seat, Step, lock

_KEEP = """
INSERT INTO later_report AS l (session_id, seq, trade_id, attempts, detail)
SELECT %(session_id)s, i.seq, i.trade_id, i.attempts, i.detail
FROM unnest(%(seqs)b::bigint[], %(trade_ids)b::uuid[], %(attempts)b::integer[],
            %(details)b::text[])
AS i (seq, trade_id, attempts, detail)
ON CONFLICT (session_id, seq) DO UPDATE
SET attempts = l.attempts + excluded.attempts,
    detail = CASE WHEN excluded.attempts > 0 THEN excluded.detail ELSE l.detail END
"""

_DROP = "DELETE FROM later_report WHERE session_id = %(session_id)s AND seq = ANY(%(seqs)b)"

_LIST = """
SELECT seq, trade_id::text, attempts,
       extract(epoch FROM clock_timestamp() - since)::double precision
FROM later_report WHERE session_id = %(session_id)s ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Late:
    """A report that waits, and for how long it has."""

    seq: int
    trade_id: str
    attempts: int
    age_seconds: float


class LaterStore:
    """Speaks within the caller's transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def lock(self) -> None:
        """Nobody else delivers until the end. Raises Deposed."""
        await lock(self._connection, self._seat, Step.DELIVERED)

    async def keep(self, postponed: Sequence[Postponed]) -> None:
        """These are delivered again; one that waits already was tried once more."""
        await self._connection.execute(
            _KEEP,
            {
                "session_id": self._seat.session_id,
                "seqs": [p.seq for p in postponed],
                "trade_ids": [p.trade_id for p in postponed],
                "attempts": [int(p.was_tried) for p in postponed],
                "details": [p.detail.replace("\0", "") for p in postponed],
            },
        )

    async def drop(self, seqs: Sequence[int]) -> None:
        """These wait no more."""
        await self._connection.execute(
            _DROP, {"session_id": self._seat.session_id, "seqs": list(seqs)}
        )

    async def list(self) -> Sequence[Late]:
        """All that wait, in order."""
        cursor = await self._connection.execute(_LIST, {"session_id": self._seat.session_id})
        return [Late(*row) for row in await cursor.fetchall()]
