"""How the journal is read: what is written there never changes, so no reader needs a lock."""

from collections import Counter as Tally
from collections.abc import Collection, Sequence

from msgspec.structs import replace
from psycopg import AsyncConnection

from libs.postgres import Pool
from libs.proof.checkpoint import Checkpoint
from services.ledger.domain.books import AccountKey
from services.ledger.domain.transfers import Moved
from services.ledger.store.horizon import Horizon, check_archived, read_horizon
from services.ledger.store.stored import (
    End,
    ReversalRequest,
    StoredBatch,
    StoredTransfer,
    checkpoint_from,
    transfers_from,
)

# What is sealed later must not be told by one who began to read before: the rest would be missing.
READ_HEAD = """
    SELECT transfer_seq, (SELECT coalesce(max(seq), 0) FROM checkpoint) FROM journal_head
"""

# Without its batch, when a transfer was recorded is not known: the proof of it is broken then.
_TRANSFER = """
    SELECT seq, id::text, kind::text, reason, coalesce(amount, 0), encode(fingerprint, 'hex'),
        coalesce(hold_id, CASE WHEN kind = 'hold' THEN id END)::text, reverses::text, reference,
        coalesce(actor, ''), terms, micros_of(coalesce(effective_at, recorded_at)),
        micros_of(recorded_at), hash
    FROM transfer
    CROSS JOIN LATERAL (
        SELECT coalesce((
            SELECT recorded_at FROM batch WHERE last_seq >= transfer.seq ORDER BY last_seq LIMIT 1
        ), 'epoch') AS recorded_at OFFSET 0
    ) AS b
"""
_BY_IDS = "WHERE id = ANY(%(ids)s::uuid[])"
_IN_RANGE = "WHERE seq > %(after)s AND seq <= %(until)s ORDER BY seq"

# In the order that the hash of their transfer has them. The links are looked up one by one.
_ENTRY = """
    SELECT e.transfer_seq, e.account_id, a.name, a.asset, a.has_floor, e.version, e.amount,
        e.balance_after, coalesce(e.held_after, 0), coalesce(e.cost_after, 0), e.hash,
        (
            SELECT hash FROM entry
            WHERE entry_key(account_id, version) = entry_key(e.account_id, e.version - 1)
                AND account_id = e.account_id
        )
    FROM entry e
    CROSS JOIN LATERAL (
        SELECT name, asset, has_floor FROM account WHERE id = e.account_id OFFSET 0
    ) AS a
"""
_OF_TRANSFERS = """
    WHERE e.transfer_seq = ANY(%(seqs)s::bigint[])
    ORDER BY e.transfer_seq, e.account_id, e.version
"""
_OF_RANGE = """
    WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
    ORDER BY e.transfer_seq, e.account_id, e.version
"""

READ_TRANSFERS = _TRANSFER + _BY_IDS
READ_ENTRIES = _ENTRY + _OF_TRANSFERS
LIST_TRANSFERS = _TRANSFER + _IN_RANGE
LIST_ENTRIES = _ENTRY + _OF_RANGE

# Each of these transfers and what corrected it, one after the other, as each was undone once.
LIST_CORRECTIONS = """
    WITH RECURSIVE line AS (
        SELECT id AS first_id, id, seq FROM transfer WHERE id = ANY(%(ids)s::uuid[])
        UNION ALL
        SELECT line.first_id, t.id, t.seq
        FROM line
        CROSS JOIN LATERAL (
            SELECT id, seq, kind FROM transfer
            WHERE reverses = line.id AND kind <> 'reversal_request' AND reason = 0
            OFFSET 0
        ) AS t
        WHERE t.kind IN ('bust', 'correction')
    )
    SELECT first_id::text, id::text FROM line ORDER BY seq
"""

# Asked for, and the transfer is not reversed, and can be: what it moved is not archived.
LIST_REVERSAL_REQUESTS = """
    SELECT id::text, reverses::text, coalesce(actor, ''), reference, micros_of(recorded_at)
    FROM transfer AS asked
    CROSS JOIN LATERAL (
        SELECT coalesce((
            SELECT recorded_at FROM batch WHERE last_seq >= asked.seq ORDER BY last_seq LIMIT 1
        ), 'epoch') AS recorded_at OFFSET 0
    ) AS b
    WHERE kind = 'reversal_request' AND reason = 0 AND NOT EXISTS (
        SELECT FROM transfer AS done
        WHERE done.reverses = asked.reverses AND done.kind <> 'reversal_request' AND done.reason = 0
    ) AND EXISTS (
        SELECT FROM transfer AS meant
        WHERE meant.id = asked.reverses AND meant.seq > archived_seq()
    )
    ORDER BY seq
    LIMIT 1000
"""

# By how much transfers changed what the shares cost.
READ_COSTS = """
    SELECT e.transfer_seq, a.name, a.asset,
        sum(coalesce(e.cost_after, 0) - coalesce(before.cost_after, 0))::bigint
    FROM entry e
    CROSS JOIN LATERAL (
        SELECT name, asset FROM account WHERE id = e.account_id OFFSET 0
    ) AS a
    LEFT JOIN LATERAL (
        SELECT cost_after FROM entry
        WHERE entry_key(account_id, version) = entry_key(e.account_id, e.version - 1)
            AND account_id = e.account_id
        OFFSET 0
    ) AS before ON true
    WHERE e.transfer_seq = ANY(%(seqs)s::bigint[])
    GROUP BY 1, 2, 3
"""

LIST_BATCHES = """
    SELECT seq, first_seq, last_seq, hash
    FROM batch
    WHERE last_seq > %(after)s AND last_seq <= %(until)s
    ORDER BY seq
"""

LIST_CHECKPOINTS = """
    SELECT seq, last_transfer_seq, last_batch_seq, encode(last_batch_hash, 'hex'),
        encode(merkle_root, 'hex'), encode(previous_hash, 'hex'), micros_of(sealed_at), key_id,
        encode(signature, 'hex')
    FROM checkpoint
    WHERE last_transfer_seq > %(after)s AND last_transfer_seq <= %(until)s AND seq <= %(newest)s
    ORDER BY seq
"""


class History:
    """The journal, as it is on record."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def end(self) -> End:
        """Where the journal ends now."""
        async with self._pool.connection() as connection:
            return await read_end(connection)

    async def transfers(self, ids: Sequence[str]) -> dict[str, StoredTransfer]:
        """Those that are on record, by id."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_TRANSFERS, {"ids": list(ids)})
            rows = await cursor.fetchall()
            cursor = await connection.execute(READ_ENTRIES, {"seqs": [row[0] for row in rows]})
            found = transfers_from(rows, await cursor.fetchall())
            archived = await read_horizon(connection)
        return {each.record.id: _archived_by(archived, each) for each in found}

    async def corrections(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Each of these, if it is on record, and its busts and corrections in order; by its id."""
        found: dict[str, list[str]] = {id_: [] for id_ in ids}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LIST_CORRECTIONS, {"ids": list(ids)})
            for first_id, id_ in await cursor.fetchall():
                found[first_id].append(id_)
        return found

    async def moved(self, stored: Collection[StoredTransfer]) -> dict[str, list[Moved]]:
        """What each transfer changed, account by account; by its id.

        One whose entries are archived by now is not among them.
        """
        amounts: dict[str, Tally[AccountKey]] = {t.record.id: Tally() for t in stored}
        ids = {t.record.seq: t.record.id for t in stored}
        for transfer in stored:
            for row in transfer.entries:
                key = AccountKey(row.entry.account, row.entry.asset)
                amounts[transfer.record.id][key] += row.entry.amount
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_COSTS, {"seqs": list(ids)})
            costs = {
                (ids[seq], AccountKey(name, asset)): cost
                for seq, name, asset, cost in await cursor.fetchall()
            }
            archived = await read_horizon(connection)
        return {
            t.record.id: [
                Moved(key, amount, costs[t.record.id, key])
                for key, amount in amounts[t.record.id].items()
            ]
            for t in stored
            if not _archived_by(archived, t).is_archived
        }

    async def reversal_requests(self) -> list[ReversalRequest]:
        """Those not approved yet, oldest first."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LIST_REVERSAL_REQUESTS)
            return [ReversalRequest(*row) for row in await cursor.fetchall()]

    async def range(self, after: int, until: int) -> list[StoredTransfer]:
        """The transfers above `after` up to `until`, in order.

        Raises Archived when the entries of some are archived.
        """
        async with self._pool.connection() as connection:
            found = await read_range(connection, after, until)
            await check_archived(connection, after)
            return found

    async def batches(self, after: int, until: int) -> list[StoredBatch]:
        """Those whose last transfer is above `after` and up to `until`."""
        async with self._pool.connection() as connection:
            return await read_batches(connection, after, until)

    async def checkpoints(self, after: int, until: int, *, newest: int) -> list[Checkpoint]:
        """Up to `newest`, those whose last transfer is above `after` and up to `until`."""
        async with self._pool.connection() as connection:
            return await read_checkpoints(connection, after, until, newest=newest)


async def read_end(connection: AsyncConnection) -> End:
    """Where the journal ends now."""
    cursor = await connection.execute(READ_HEAD)
    rows = await cursor.fetchall()
    return End(*rows[0])


async def read_batches(connection: AsyncConnection, after: int, until: int) -> list[StoredBatch]:
    """Those whose last transfer is above `after` and up to `until`."""
    cursor = await connection.execute(LIST_BATCHES, {"after": after, "until": until})
    return [StoredBatch(*row) for row in await cursor.fetchall()]


async def read_checkpoints(
    connection: AsyncConnection, after: int, until: int, *, newest: int
) -> list[Checkpoint]:
    """Up to `newest`, those whose last transfer is above `after` and up to `until`."""
    asked = {"after": after, "until": until, "newest": newest}
    cursor = await connection.execute(LIST_CHECKPOINTS, asked)
    return [checkpoint_from(row) for row in await cursor.fetchall()]


async def read_range(connection: AsyncConnection, after: int, until: int) -> list[StoredTransfer]:
    """The transfers above `after` up to `until`, in order."""
    bounds = {"after": after, "until": until}
    cursor = await connection.execute(LIST_TRANSFERS, bounds)
    rows = await cursor.fetchall()
    cursor = await connection.execute(LIST_ENTRIES, bounds)
    return transfers_from(rows, await cursor.fetchall())


def _archived_by(horizon: Horizon, stored: StoredTransfer) -> StoredTransfer:
    """As it is known then: of what is archived without what may be left of its entries."""
    if stored.record.seq > horizon.seq:
        return stored
    return replace(stored, entries=(), is_archived=stored.own_hash is None)
