"""Checkpoints as they are written, and found again for a statement."""

from psycopg import AsyncConnection

from libs.proof.checkpoint import Checkpoint
from services.ledger.store.stored import StoredBatch, checkpoint_from

_COLUMNS = """
    SELECT seq, last_transfer_seq, last_batch_seq, encode(last_batch_hash, 'hex'),
        encode(merkle_root, 'hex'), encode(previous_hash, 'hex'), micros_of(sealed_at), key_id,
        encode(signature, 'hex')
    FROM checkpoint
"""
_LATEST = "ORDER BY seq DESC LIMIT 1"
_TWO_FROM = "WHERE seq >= %(seq)s ORDER BY seq LIMIT 2"
_COVERING = "WHERE last_transfer_seq >= %(seq)s ORDER BY last_transfer_seq LIMIT 1"

READ_LATEST = _COLUMNS + _LATEST
READ_TWO_FROM = _COLUMNS + _TWO_FROM
READ_COVERING = _COLUMNS + _COVERING
READ_ENDS = "SELECT last_transfer_seq FROM checkpoint WHERE seq = %(seq)s"
READ_BATCH = "SELECT seq, first_seq, last_seq, hash FROM batch WHERE seq = %(seq)s"
READ_LAST = "SELECT batch_seq, pg_logical_emit_message(true, 'seal', '') FROM journal_head"
# The latest up to that one, unless the month of the first that is not sealed ended before it.
READ_NEXT_TO_SEAL = """
    SELECT b.seq, b.first_seq, b.last_seq, b.hash, b.seq = latest.seq
    FROM (
        SELECT seq, recorded_at FROM batch WHERE last_seq > %(sealed)s ORDER BY last_seq LIMIT 1
    ) AS first
    CROSS JOIN LATERAL (
        SELECT seq, first_seq, last_seq, hash, recorded_at FROM batch
        WHERE seq <= %(until)s ORDER BY seq DESC LIMIT 1
    ) AS latest
    CROSS JOIN LATERAL (
        SELECT seq, first_seq, last_seq, hash FROM batch
        WHERE last_seq = CASE month_of(first.recorded_at) WHEN month_of(latest.recorded_at)
            THEN latest.last_seq
            ELSE seq_at((date_trunc('month', first.recorded_at AT TIME ZONE 'UTC')
                + interval '1 month') AT TIME ZONE 'UTC' - interval '1 microsecond')
            END
    ) AS b
    WHERE first.seq <= %(until)s
"""

WRITE = """
    INSERT INTO checkpoint (seq, last_transfer_seq, last_batch_seq, last_batch_hash, merkle_root,
        previous_hash, sealed_at, key_id, signature)
    VALUES (%(seq)s, %(last_transfer_seq)s, %(last_batch_seq)s, %(last_batch_hash)s,
        %(merkle_root)s, %(previous_hash)s,
        'epoch'::timestamptz + %(sealed_at)s * interval '1 microsecond', %(key_id)s, %(signature)s)
"""


async def latest(connection: AsyncConnection) -> Checkpoint | None:
    """The last one, if there is any."""
    cursor = await connection.execute(READ_LATEST)
    row = await cursor.fetchone()
    return None if row is None else checkpoint_from(row)


async def two_from(connection: AsyncConnection, seq: int) -> list[Checkpoint]:
    """The first two from that number on, as of one moment."""
    cursor = await connection.execute(READ_TWO_FROM, {"seq": seq})
    return [checkpoint_from(row) for row in await cursor.fetchall()]


async def batch(connection: AsyncConnection, seq: int) -> StoredBatch | None:
    """A batch by its number, if it is there."""
    cursor = await connection.execute(READ_BATCH, {"seq": seq})
    row = await cursor.fetchone()
    return None if row is None else StoredBatch(*row)


async def last_batch(connection: AsyncConnection) -> int:
    """The number of the last batch; 0: there is none.

    It is lost no more once the transaction is committed: a batch can be seen before it is on the
    standbys that commits wait for, where its own commit no longer does. What is written here comes
    after it, and is waited for.
    """
    cursor = await connection.execute(READ_LAST)
    rows: list[tuple[int, str]] = await cursor.fetchall()
    return rows[0][0]


async def next_to_seal(
    connection: AsyncConnection, sealed: int, *, until: int
) -> tuple[StoredBatch, bool] | None:
    """The last batch of the month of the first above transfer `sealed`, and whether it is the last.

    Of batches up to the number `until`. None: there is no batch above.
    """
    cursor = await connection.execute(READ_NEXT_TO_SEAL, {"sealed": sealed, "until": until})
    row = await cursor.fetchone()
    return None if row is None else (StoredBatch(*row[:4]), row[4])


async def covering(connection: AsyncConnection, seq: int) -> tuple[Checkpoint, int]:
    """The checkpoint that covers the sealed transfer `seq`, and where the one before it ends."""
    cursor = await connection.execute(READ_COVERING, {"seq": seq})
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"transfer {seq} is not sealed")
    checkpoint = checkpoint_from(row)
    cursor = await connection.execute(READ_ENDS, {"seq": checkpoint.seq - 1})
    before = await cursor.fetchone()
    return checkpoint, 0 if before is None else before[0]


async def write(connection: AsyncConnection, checkpoint: Checkpoint) -> None:
    """Append one. UniqueViolation when another process did."""
    await connection.execute(
        WRITE,
        {
            "seq": checkpoint.seq,
            "last_transfer_seq": checkpoint.last_transfer_seq,
            "last_batch_seq": checkpoint.last_batch_seq,
            "last_batch_hash": bytes.fromhex(checkpoint.last_batch_hash),
            "merkle_root": bytes.fromhex(checkpoint.merkle_root),
            "previous_hash": bytes.fromhex(checkpoint.previous_hash),
            "sealed_at": checkpoint.sealed_at,
            "key_id": checkpoint.key_id,
            "signature": bytes.fromhex(checkpoint.signature),
        },
    )
