"""What fills and their corrections moved for customers, read from the journal."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from psycopg import AsyncConnection

from libs.fills import Fill, day_of
from libs.postgres import Pool
from services.ledger.domain.books import CASH, CUSTOMER, Kind
from services.ledger.domain.corrections import correction_named, execution_named
from services.ledger.store.arrays import integers
from services.ledger.store.horizon import read_horizon

_END = "SELECT transfer_seq FROM journal_head"

LIST_TRANSFERS = """
    SELECT seq, id::text, kind::text, reference, hold_id::text, reverses::text, effective_at
    FROM transfer
    WHERE seq > %(after)s AND seq <= %(until)s AND reason = 0
        AND kind IN ('execution', 'reversal', 'bust', 'correction', 'transfer')
    ORDER BY seq
"""

# Of what corrects a correction: what that corrects.
READ_UNDONE = """
    WITH RECURSIVE undone AS (
        SELECT id AS by_id, kind, reference, hold_id, reverses
        FROM transfer WHERE id = ANY(%(ids)s::uuid[])
        UNION ALL
        SELECT undone.by_id, t.kind, t.reference, t.hold_id, t.reverses
        FROM undone
        CROSS JOIN LATERAL (SELECT * FROM transfer WHERE id = undone.reverses OFFSET 0) AS t
        WHERE undone.kind IN ('bust', 'correction')
    )
    SELECT by_id::text, kind::text, reference, hold_id::text
    FROM undone WHERE kind NOT IN ('bust', 'correction')
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
    SELECT transfer_seq, account_id, amount
    FROM entry
    WHERE transfer_seq > %(after)s AND transfer_seq <= %(until)s AND amount <> 0
"""

# Each account once, however many of the movements are its.
READ_CUSTOMERS = """
    SELECT a.id, substr(a.name, length(%(customers)s) + 1), a.asset
    FROM unnest(%(ids)s::integer[]) AS named(id)
    CROSS JOIN LATERAL (
        SELECT id, name, asset FROM account
        WHERE id = named.id AND starts_with(name, %(customers)s)
        OFFSET 0
    ) AS a
"""
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_BOTH = 2  # movements of a fill: of cash, and of shares


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
    is_archived: bool = False  # what it moved is: there are no movements


class Booked(NamedTuple):
    """Some bookings, up to which transfer all are told, and where the journal ends.

    `fills`: those of `venue` that moved cash and shares of one customer, if they were asked for as
    such; they are not among `bookings`.
    """

    bookings: list[Booking]
    venue: str
    fills: list[Fill]
    until: int
    end: int
    archived_seq: int  # entries of transfers up to it are archived


class Bookings:
    """Reads by number, so a page costs the same however long the journal."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def between(self, after: int, until: int, *, apart: bool = False) -> Booked:
        """Those of transfers after < seq <= until, in order; `apart`: fills told as such.

        Nothing is told of those that are archived. Raises Unavailable.
        """
        while True:
            booked = await self._between(after, until, apart=apart)
            async with self._pool.connection() as connection:
                horizon = await read_horizon(connection)
            if horizon.seq == booked.archived_seq:
                return booked

    async def archived(self, after: int, until: int) -> Booked:
        """Those of archived transfers after < seq <= until, without what they moved.

        Transfers never change. Raises Unavailable.
        """
        async with self._pool.connection() as connection:
            archived_seq = (await read_horizon(connection)).seq
            cursor = await connection.execute(_END)
            end: int = (await cursor.fetchall())[0][0]
            bounds = {"after": after, "until": min(until, archived_seq)}
            transfers, page = await _read(connection, bounds)
        found = [page.booking(transfer) for transfer in transfers]
        told = [replace(each, is_archived=True) for each in found if each is not None]
        return Booked(told, "", [], bounds["until"], end, archived_seq)

    async def _between(self, after: int, until: int, *, apart: bool) -> Booked:
        """The same; some may have been archived meanwhile."""
        async with self._pool.connection() as connection:
            archived_seq = (await read_horizon(connection)).seq
            cursor = await connection.execute(_END)
            end: int = (await cursor.fetchall())[0][0]
            until = max(until, archived_seq)
            bounds = {"after": max(after, archived_seq), "until": min(until, end)}
            transfers, page = await _read(connection, bounds)
            if transfers:
                page = page._replace(movements=await _movements(connection, bounds))
        venue, fills, others = _parted(transfers, page) if apart else ("", [], transfers)
        found = [page.booking(transfer) for transfer in others]
        told = [each for each in found if each is not None]
        return Booked(told, venue, fills, until, end, archived_seq)


class _Transfer(NamedTuple):
    seq: int
    id: str
    kind: str
    reference: str
    hold_id: str | None
    reverses: str | None
    effective_at: datetime | None  # None: when it was recorded


async def _read(
    connection: AsyncConnection, bounds: Mapping[str, int]
) -> "tuple[list[_Transfer], _Page]":
    """The transfers of a range, and what they are about; not what they moved."""
    cursor = await connection.execute(LIST_TRANSFERS, bounds, binary=True)
    transfers = [_Transfer(*row) for row in await cursor.fetchall()]
    if not transfers:
        return [], _Page({}, [], [], {})
    undone = await _undone(connection, transfers)
    cursor = await connection.execute(LIST_BATCHES, bounds, binary=True)
    batches = await cursor.fetchall()
    return transfers, _Page(undone, [last for last, _ in batches], [at for _, at in batches], {})


async def _undone(
    connection: AsyncConnection, transfers: Iterable[_Transfer]
) -> dict[str, tuple[str, str, str | None]]:
    """Kind, reference and hold of what was reversed, or of the fill that was corrected, by the id
    that is named.
    """
    ids = [transfer.reverses for transfer in transfers if transfer.reverses is not None]
    if not ids:
        return {}
    cursor = await connection.execute(READ_UNDONE, {"ids": ids})
    return {row[0]: (row[1], row[2], row[3]) for row in await cursor.fetchall()}


Moved = tuple[str, str, int]  # customer, asset, by how much


async def _movements(
    connection: AsyncConnection, bounds: Mapping[str, int]
) -> dict[int, list[Moved]]:
    """What customers' accounts were changed by, by transfer; entry by entry."""
    cursor = await connection.execute(LIST_MOVEMENTS, bounds, binary=True)
    entries = await cursor.fetchall()
    asked = {"ids": integers(list({row[1] for row in entries})), "customers": CUSTOMER}
    cursor = await connection.execute(READ_CUSTOMERS, asked, binary=True)
    accounts = {id_: (customer, asset) for id_, customer, asset in await cursor.fetchall()}
    found: dict[int, list[Moved]] = {}
    for seq, account_id, amount in entries:
        if account_id in accounts:
            found.setdefault(seq, []).append((*accounts[account_id], amount))
    return found


def _parted(
    transfers: Iterable[_Transfer], page: "_Page"
) -> tuple[str, list[Fill], list[_Transfer]]:
    """A venue, its fills that can be told as such, and all other transfers."""
    venue, fills, others = "", [], []
    for transfer in transfers:
        fill = page.fill(transfer)
        own_venue = transfer.reference.partition("/")[0]
        if fill is not None and own_venue == (venue or own_venue):
            venue = own_venue
            fills.append(fill)
        else:
            others.append(transfer)
    return venue, fills, others


class _Page(NamedTuple):
    """What the bookings of a page are made of, beside their transfers."""

    undone: Mapping[str, tuple[str, str, str | None]]
    last_seqs: Sequence[int]  # of batches
    recorded_ats: Sequence[datetime]  # of the same
    movements: Mapping[int, list[Moved]]

    def fill(self, transfer: _Transfer) -> Fill | None:
        """A booking that moved cash and shares of one customer; None: it is no such."""
        moved = self.movements.get(transfer.seq, [])
        if transfer.kind != Kind.EXECUTION or transfer.hold_id is None or len(moved) != _BOTH:
            return None
        of_cash, of_shares = moved if moved[0][1] == CASH else reversed(moved)
        customer, symbol, shares = of_shares
        if of_cash[:2] != (customer, CASH) or symbol == CASH:
            return None
        at = transfer.effective_at or self._recorded_at(transfer.seq)
        execution_id = transfer.reference.partition("/")[2]
        named = transfer.seq, execution_id, transfer.hold_id
        return *named, customer, symbol, shares, of_cash[2], day_of(at)

    def _summed(self, seq: int) -> list[Movement]:
        """What a transfer moved, by customer and asset."""
        sums: dict[tuple[str, str], int] = {}
        for customer, asset, amount in self.movements.get(seq, ()):
            sums[customer, asset] = sums.get((customer, asset), 0) + amount
        return [Movement(*key, amount) for key, amount in sorted(sums.items()) if amount]

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
            movements=self._summed(transfer.seq),
            effective_at=transfer.effective_at or recorded_at,
            recorded_at=recorded_at,
            kind=own_kind,
            correction_id=correction_named(transfer.reference) if is_correction else "",
        )

    def _recorded_at(self, seq: int) -> datetime:
        """When the transfer's batch was; without it that is not known."""
        place = bisect_left(self.last_seqs, seq)
        return self.recorded_ats[place] if place < len(self.recorded_ats) else _NEVER
