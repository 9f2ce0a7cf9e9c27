"""What fills and their corrections moved for customers, read from the journal."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from psycopg import AsyncConnection

from libs.postgres import Pool
from services.ledger.domain.books import CUSTOMER, Kind
from services.ledger.domain.corrections import execution_named

_END = "SELECT transfer_seq FROM journal_head"

LIST_TRANSFERS = """
    SELECT seq, id::text, kind::text, reference, hold_id::text, reverses::text, effective_at
    FROM transfer
    WHERE seq > %(after)s AND seq <= %(until)s AND reason = 0
        AND kind IN ('execution', 'reversal', 'bust', 'correction', 'transfer')
    ORDER BY seq
"""

READ_UNDONE = """
    SELECT id::text, kind::text, reference, hold_id::text
    FROM transfer WHERE id = ANY(%(ids)s::uuid[])
"""

# The last of them may reach beyond the page.
LIST_BATCHES = """
    SELECT last_seq, recorded_at FROM batch
    WHERE last_seq > %(after)s AND last_seq <= coalesce(
        (SELECT last_seq FROM batch WHERE last_seq >= %(until)s ORDER BY last_seq LIMIT 1),
        %(until)s
    )
    ORDER BY last_seq
"""

# By the range alone: to look for each transfer in a list takes longer than to read them all.
LIST_MOVEMENTS = """
    SELECT e.transfer_seq, a.name, a.asset, e.amount
    FROM entry e
    CROSS JOIN LATERAL (
        SELECT name, asset FROM account
        WHERE id = e.account_id AND starts_with(name, %(customers)s)
        OFFSET 0
    ) AS a
    WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s AND e.amount <> 0
"""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Movement(msgspec.Struct, frozen=True):
    """By how much a customer's balance changed."""

    customer_id: str
    asset: str
    amount: int


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer that is about an execution."""

    seq: int
    transfer_id: str
    is_fill: bool
    venue: str
    execution_id: str
    trade_id: str
    movements: list[Movement]
    effective_at: datetime
    recorded_at: datetime
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
            cursor = await connection.execute(LIST_TRANSFERS, bounds, binary=True)
            transfers = [_Transfer(*row) for row in await cursor.fetchall()]
            if not transfers:
                return [], end
            undone = await _undone(connection, transfers)
            cursor = await connection.execute(LIST_BATCHES, bounds, binary=True)
            batches = await cursor.fetchall()
            asked = {**bounds, "customers": CUSTOMER}
            cursor = await connection.execute(LIST_MOVEMENTS, asked, binary=True)
            movements = _movements(await cursor.fetchall())
        page = _Page(undone, [last for last, _ in batches], [at for _, at in batches], movements)
        found = (page.booking(transfer) for transfer in transfers)
        return [booking for booking in found if booking is not None], end


class _Transfer(NamedTuple):
    seq: int
    id: str
    kind: str
    reference: str
    hold_id: str | None
    reverses: str | None
    effective_at: datetime | None  # None: when it was recorded


async def _undone(
    connection: AsyncConnection, transfers: Iterable[_Transfer]
) -> dict[str, tuple[str, str, str | None]]:
    """Kind, reference and hold of what was reversed or corrected, by id."""
    ids = [transfer.reverses for transfer in transfers if transfer.reverses is not None]
    if not ids:
        return {}
    cursor = await connection.execute(READ_UNDONE, {"ids": ids})
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


def _movements(rows: Iterable[tuple[int, str, str, int]]) -> dict[int, list[Movement]]:
    """By transfer; those of one, by customer and asset."""
    sums: dict[tuple[int, str, str], int] = {}
    for seq, name, asset, amount in rows:
        key = seq, name, asset
        sums[key] = sums.get(key, 0) + amount
    found: dict[int, list[Movement]] = {}
    for (seq, name, asset), amount in sorted(sums.items()):
        if amount:
            moved = Movement(name.removeprefix(CUSTOMER), asset, amount)
            found.setdefault(seq, []).append(moved)
    return found


class _Page(NamedTuple):
    """What the bookings of a page are made of, beside their transfers."""

    undone: Mapping[str, tuple[str, str, str | None]]
    last_seqs: Sequence[int]  # of batches
    recorded_ats: Sequence[datetime]  # of the same
    movements: Mapping[int, list[Movement]]

    def booking(self, transfer: _Transfer) -> Booking | None:
        """None: it is about no execution. A reversal or correction is of what it undoes."""
        about = transfer.kind, transfer.reference, transfer.hold_id
        if transfer.reverses is not None:
            about = self.undone.get(transfer.reverses, ("", "", None))
        kind, reference, hold_id = about
        named = execution_named(kind=kind, reference=reference)
        if named is None:
            return None
        recorded_at = self._recorded_at(transfer.seq)
        own_kind = Kind(transfer.kind)
        is_correction = own_kind in (Kind.BUST, Kind.CORRECTION)
        return Booking(
            seq=transfer.seq,
            transfer_id=transfer.id,
            is_fill=own_kind is Kind.EXECUTION,
            venue=named[0],
            execution_id=named[1],
            trade_id=transfer.hold_id or hold_id or "",
            movements=self.movements.get(transfer.seq, []),
            effective_at=transfer.effective_at or recorded_at,
            recorded_at=recorded_at,
            kind=own_kind,
            correction_id=transfer.reference.partition("/")[2] if is_correction else "",
        )

    def _recorded_at(self, seq: int) -> datetime:
        """When the transfer's batch was; without it that is not known."""
        place = bisect_left(self.last_seqs, seq)
        return self.recorded_ats[place] if place < len(self.recorded_ats) else _NEVER
