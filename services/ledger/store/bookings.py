"""What fills and their corrections moved for customers, read from the journal."""

from collections.abc import Sequence
from typing import Any

import msgspec

from libs.postgres import Pool
from services.ledger.domain.books import CUSTOMER, Kind
from services.ledger.domain.corrections import execution_named

_END = "SELECT transfer_seq FROM journal_head"

# A reversal or correction is of what it undoes.
_TRANSFERS = """
    SELECT t.seq, t.id::text, t.kind = 'execution',
        CASE WHEN t.reverses IS NULL THEN t.reference ELSE r.reference END,
        CASE WHEN t.reverses IS NULL THEN t.kind ELSE r.kind END::text,
        coalesce(t.hold_id, r.hold_id)::text,
        micros_of(coalesce(t.effective_at, b.recorded_at)), micros_of(b.recorded_at),
        t.kind::text, t.reference
    FROM transfer t
    CROSS JOIN LATERAL (
        SELECT coalesce((
            SELECT recorded_at FROM batch WHERE last_seq >= t.seq ORDER BY last_seq LIMIT 1
        ), 'epoch') AS recorded_at OFFSET 0
    ) AS b
    LEFT JOIN LATERAL (
        SELECT kind, reference, hold_id FROM transfer WHERE id = t.reverses LIMIT 1
    ) AS r ON true
    WHERE t.seq > %(after)s AND t.seq <= %(until)s AND t.reason = 0
        AND t.kind IN ('execution', 'reversal', 'bust', 'correction', 'transfer')
    ORDER BY t.seq
"""

_MOVEMENTS = """
    SELECT e.transfer_seq, a.name, a.asset, sum(e.amount)::bigint
    FROM entry e
    CROSS JOIN LATERAL (
        SELECT name, asset FROM account WHERE id = e.account_id OFFSET 0
    ) AS a
    WHERE e.transfer_seq >= %(first)s AND e.transfer_seq <= %(last)s
        AND e.transfer_seq = ANY(%(seqs)s) AND starts_with(a.name, %(customers)s)
    GROUP BY 1, 2, 3
    HAVING sum(e.amount) <> 0
    ORDER BY 1, 2, 3
"""


class Movement(msgspec.Struct, frozen=True):
    """By how much a customer's balance changed."""

    customer_id: str
    asset: str
    amount: int


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that is about an execution. Times are micros since 1970."""

    seq: int
    transfer_id: str
    is_fill: bool
    venue: str
    execution_id: str
    trade_id: str
    movements: list[Movement]
    effective_at: int
    recorded_at: int
    kind: Kind
    correction_id: str  # of a bust or correction, else empty


class Bookings:
    """Reads by number, so a page costs the same however long the journal."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def between(self, after: int, until: int) -> tuple[list[Booking], int]:
        """Those of transfers after < seq <= until, in order, and the number of the latest transfer.

        Raises Unavailable.
        """
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_END)
            end: int = (await cursor.fetchall())[0][0]
            bounds = {"after": after, "until": min(until, end)}
            cursor = await connection.execute(_TRANSFERS, bounds)
            found = {row[0]: row for row in await cursor.fetchall() if _names(row)}
            movements: dict[int, list[Movement]] = {}
            if found:
                asked = {
                    "first": min(found),
                    "last": max(found),
                    "seqs": list(found),
                    "customers": CUSTOMER,
                }
                cursor = await connection.execute(_MOVEMENTS, asked)
                for seq, name, asset, amount in await cursor.fetchall():
                    moved = Movement(name.removeprefix(CUSTOMER), asset, amount)
                    movements.setdefault(seq, []).append(moved)
        return [_booking(row, movements.get(seq, [])) for seq, row in found.items()], end


def _names(row: Sequence[Any]) -> bool:
    return execution_named(kind=row[4], reference=row[3] or "") is not None


def _booking(row: Sequence[Any], movements: list[Movement]) -> Booking:
    seq, transfer_id, is_fill, reference, kind, trade_id, effective_at, recorded_at, *own = row
    named = execution_named(kind=kind, reference=reference)
    assert named is not None
    own_kind, own_reference = Kind(own[0]), own[1]
    is_correction = own_kind in (Kind.BUST, Kind.CORRECTION)
    return Booking(
        seq=seq,
        transfer_id=transfer_id,
        is_fill=is_fill,
        venue=named[0],
        execution_id=named[1],
        trade_id=trade_id or "",
        movements=movements,
        effective_at=effective_at,
        recorded_at=recorded_at,
        kind=own_kind,
        correction_id=own_reference.partition("/")[2] if is_correction else "",
    )
