"""What the venue said: stored as heard, judged, delivered, by the report and delivery lanes."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import psycopg

from libs.postgres.arrays import Bigints, Octets, Texts
from services.exchange_gateway.domain import (
    TRADE_ID,
    Parked,
    Report,
    Standing,
    State,
)
from services.exchange_gateway.store.progress import Deposed, Seat, Step, advance, lock

# Whoever gave no answer to a commit may have stored them: then they are not the next ones.
_STORE = """
WITH locked AS MATERIALIZED (
    SELECT lane, next_seq FROM progress
    WHERE session_id = %(session_id)s AND lane IN ('stored', 'judged') AND term = %(term)s
    ORDER BY lane DESC FOR UPDATE
), stored AS (
    INSERT INTO venue_report (session_id, seq, trade_id, kind, execution_id, raw)
    SELECT %(session_id)s, i.seq, nullif(i.trade_id, '')::uuid, i.kind, i.execution_id, i.raw
    FROM unnest(%(seqs)b::bigint[], %(trade_ids)b::text[], %(kinds)b::smallint[],
                %(execution_ids)b::text[], %(raws)b::bytea[])
    AS i (seq, trade_id, kind, execution_id, raw)
    WHERE (SELECT next_seq FROM locked WHERE lane = 'stored') = %(first_seq)s
)
SELECT lane, next_seq FROM locked
"""

_STANDINGS = """
SELECT trade_id::text, customer_id, symbol, side, quantity, state, filled_quantity,
       exchange_order_id, filled_by_seq, limit_price_micros, stop_price_micros, is_cut,
       taken_back, held = 2
FROM venue_order WHERE trade_id = ANY(%(trade_ids)b::uuid[])
"""

_JUDGE = """
WITH judged AS (
    UPDATE venue_order o
    SET state = i.state, filled_quantity = i.filled_quantity,
        filled_by_seq = nullif(i.filled_by_seq, 0),
        exchange_order_id = i.exchange_order_id, updated_at = clock_timestamp()
    FROM unnest(%(trade_ids)b::uuid[], %(states)b::smallint[], %(filled_quantities)b::bigint[],
                %(filled_by_seqs)b::bigint[], %(exchange_order_ids)b::text[])
    AS i (trade_id, state, filled_quantity, filled_by_seq, exchange_order_id)
    WHERE o.trade_id = i.trade_id AND o.trade_id = ANY(%(trade_ids)b::uuid[])
), ended AS (
    DELETE FROM working_order WHERE trade_id = ANY(%(done)b::uuid[])
), taken AS (
    INSERT INTO working_order (trade_id, session_id)
    SELECT trade_id, %(session_id)s FROM unnest(%(working)b::uuid[]) AS i (trade_id)
    ON CONFLICT (trade_id) DO NOTHING
)
DELETE FROM unanswered_order WHERE trade_id = ANY(%(trade_ids)b::uuid[])
"""

_PARK = """
INSERT INTO parked_report (session_id, seq, breach, detail)
SELECT %(session_id)s, i.seq, i.breach, i.detail
FROM unnest(%(seqs)b::bigint[], %(breaches)b::text[], %(details)b::text[])
AS i (seq, breach, detail)
ON CONFLICT (session_id, seq) DO UPDATE
SET state = 1, breach = excluded.breach, detail = excluded.detail
"""

# What was retried counts, what is parked does not: a venue may correct itself under the same id.
_EXECUTIONS = """
SELECT r.trade_id::text, r.execution_id
FROM venue_report r
LEFT JOIN parked_report p ON p.session_id = r.session_id AND p.seq = r.seq AND p.state <> 2
WHERE r.trade_id = ANY(%(trade_ids)b::uuid[]) AND r.kind = 2
    AND r.session_id = %(session_id)s AND r.seq < %(before)s AND p.seq IS NULL
"""

_LOAD = """
SELECT r.seq, r.raw FROM venue_report r
WHERE r.session_id = %(session_id)s AND r.seq >= %(start)s AND r.seq < %(end)s
ORDER BY r.seq
"""


class ReportStore:
    """Speaks within the caller's transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def lock(self, step: Step) -> int:
        """The number of the next report to take this step. Raises Deposed."""
        return await lock(self._connection, self._seat, step)

    async def advance(self, *steps: Step, to: int) -> None:
        """Say the number of the next report to take these steps. Raises Deposed."""
        await advance(self._connection, self._seat, *steps, to=to)

    async def store(self, first_seq: int, reports: Sequence[Report]) -> tuple[int, int]:
        """Keep reports as heard, numbered from `first_seq`, if that is the next one to store.

        Gives the next report to store, and to judge, as it was before; both steps are locked.
        Raises Deposed.
        """
        cursor = await self._connection.execute(
            _STORE,
            {
                "session_id": self._seat.session_id,
                "term": self._seat.term,
                "first_seq": first_seq,
                "seqs": Bigints(range(first_seq, first_seq + len(reports))),
                "trade_ids": Texts([r.trade_id if is_ours(r.trade_id) else "" for r in reports]),
                "kinds": Bigints([r.kind for r in reports]),
                "execution_ids": Texts([_storable(r.execution_id) for r in reports]),
                "raws": Octets([r.raw for r in reports]),
            },
        )
        found: dict[str, int] = dict(await cursor.fetchall())
        if len(found) != 2:
            raise Deposed
        return found[Step.STORED], found[Step.JUDGED]

    async def find_standings(self, trade_ids: Sequence[str]) -> dict[str, Standing]:
        """How these orders stand; what is not stored is left out."""
        cursor = await self._connection.execute(
            _STANDINGS, {"trade_ids": Texts(trade_ids)}, binary=True
        )
        return {row[0]: _standing(*row) for row in await cursor.fetchall()}

    async def find_executions(
        self, trade_ids: Sequence[str], *, before: int
    ) -> dict[str, set[str]]:
        """The ids of the executions of these orders in reports numbered lower than `before`."""
        cursor = await self._connection.execute(
            _EXECUTIONS,
            {
                "session_id": self._seat.session_id,
                "trade_ids": Texts(trade_ids),
                "before": before,
            },
            binary=True,
        )
        found: dict[str, set[str]] = {}
        for trade_id, execution_id in await cursor.fetchall():
            found.setdefault(trade_id, set()).add(execution_id)
        return found

    async def save_standings(self, standings: Sequence[Standing]) -> None:
        """Write how orders stand now; the venue has answered them."""
        await self._connection.execute(
            _JUDGE,
            {
                "trade_ids": Texts([s.trade_id for s in standings]),
                "states": Bigints([s.state for s in standings]),
                "filled_quantities": Bigints([s.filled_quantity for s in standings]),
                "filled_by_seqs": Bigints([s.filled_by_seq or 0 for s in standings]),
                "exchange_order_ids": Texts([_storable(s.exchange_order_id) for s in standings]),
                "session_id": self._seat.session_id,
                "done": Texts([s.trade_id for s in standings if s.state == State.DONE]),
                "working": Texts([s.trade_id for s in standings if s.state == State.ACCEPTED]),
            },
        )

    async def park(self, parked: Sequence[Parked]) -> None:
        """Keep reports for an operator: those here before too. Safe to repeat."""
        await self._connection.execute(
            _PARK,
            {
                "session_id": self._seat.session_id,
                "seqs": [p.seq for p in parked],
                "breaches": [p.breach for p in parked],
                "details": [_storable(p.detail) for p in parked],
            },
        )

    async def load(self, start: int, end: int, decode: Callable[[bytes], Report]) -> list[Report]:
        """The stored reports numbered start <= seq < end, in order."""
        cursor = await self._connection.execute(
            _LOAD, {"session_id": self._seat.session_id, "start": start, "end": end}, binary=True
        )
        return [decode(row[1]) for row in await cursor.fetchall()]


def _standing(trade_id: str, customer_id: str, symbol: str, *rest: Any) -> Standing:
    side, quantity, state, *more = rest
    return Standing(trade_id, customer_id, symbol, side, quantity, State(state), *more)


@lru_cache(4096)
def is_ours(trade_id: str) -> bool:
    """Whether it can be a trade's id."""
    return TRADE_ID.fullmatch(trade_id) is not None


def _storable(text: str) -> str:
    """PostgreSQL's text holds no zero character; the raw bytes keep it."""
    return text.replace("\0", "")
