"""A month of entries on its way out: whether it may go, what is to be known of it, what it leaves.

A month that is over is never written to again: the time that batches are recorded at never falls.
"""

from datetime import datetime

import msgspec
from psycopg import AsyncConnection
from tenacity import AsyncRetrying, RetryError, retry_if_result, stop_after_delay, wait_fixed

from libs.months import Month
from libs.postgres.leaves import make_like
from services.ledger.store.months import ENTRIES

NEXT_BEFORE = "entry_before_next"  # becomes the partition "before"
_LOOK_SECONDS = 0.2
_GIVE_UP_SECONDS = 300.0

# Where the journal stood at the end of a month: its last batch by then, and the checkpoint that
# ends with it. Before it, what was archived with the months before.
READ_SPAN = """
    SELECT coalesce(earlier.last_transfer_seq, 0), coalesce(b.last_seq, 0), coalesce(b.seq, 0),
        coalesce(b.hash, decode(repeat('00', 32), 'hex')), coalesce(b.recorded_at, 'epoch'),
        coalesce(earlier.effective_until, 'epoch'), coalesce(c.seq, 0),
        (SELECT coalesce(max(last_transfer_seq), 0) FROM checkpoint), h.recorded_at
    FROM journal_head h
    LEFT JOIN batch b ON b.last_seq = seq_at(%(ends)s::timestamptz - interval '1 microsecond')
    LEFT JOIN checkpoint c ON c.last_transfer_seq = b.last_seq
    LEFT JOIN LATERAL (
        SELECT last_transfer_seq, effective_until FROM archived_month
        WHERE month < %(month)s ORDER BY month DESC LIMIT 1
    ) AS earlier ON true
"""

# Entries that lie in another month than their transfer was recorded in.
READ_MISPLACED = """
    SELECT EXISTS (SELECT FROM entry WHERE month < %(end)s AND transfer_seq > %(last)s)
        OR EXISTS (SELECT FROM entry WHERE month >= %(end)s AND transfer_seq <= %(last)s)
"""

READ_EFFECTIVE_UNTIL = """
    SELECT greatest(%(recorded_until)s, %(effective_until)s, (
        SELECT max(effective_at) FROM transfer
        WHERE seq > %(after)s AND seq <= %(last)s AND reason = 0
    ))
"""

# Of each account the last entry by the end of the month.
KEEP_LAST = """
    INSERT INTO entry_before_next
    SELECT DISTINCT ON (account_id) * FROM entry
    WHERE month < %(end)s
    ORDER BY account_id, version DESC
"""

# An account of whose entries by then none is kept, and an asset that does not cancel out.
READ_UNKEPT = """
    SELECT format('account %%s', account_id) FROM (
        SELECT DISTINCT account_id FROM entry WHERE month < %(end)s
        EXCEPT SELECT account_id FROM entry_before_next
    ) AS e
    UNION ALL
    SELECT format('balances of %%s', a.asset)
    FROM entry_before_next e JOIN account a ON a.id = e.account_id
    GROUP BY a.asset HAVING sum(e.balance_after) <> 0
    LIMIT 5
"""

# Whether a transaction is in progress that reads here and may not see what was just committed.
READ_IS_OLD = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND datname = current_database()
            AND backend_type <> 'autovacuum worker'
            AND age(backend_xmin) >= age(%(xid)s::text::xid)
    )
"""

DECLARE = """
    INSERT INTO archived_month (month, last_transfer_seq, recorded_until, effective_until)
    VALUES (%(month)s, %(last)s, %(recorded_until)s, %(effective_until)s)
    ON CONFLICT (month) DO NOTHING
"""

SAY_MOVING = "INSERT INTO moved_month (month, entries) VALUES (%(month)s, %(entries)s)"


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What of the journal goes with a month: transfers above `after` up to `last_seq`."""

    after: int
    last_seq: int
    batch_seq: int  # of the last batch
    batch_hash: bytes
    recorded_until: datetime  # when that was recorded
    effective_before: datetime  # the latest that anything of the months before was effective
    checkpoint_seq: int  # of the checkpoint that ends with it; 0: none does
    sealed_seq: int  # the last transfer that any checkpoint covers
    latest_at: datetime | None  # when the latest of all transfers was recorded


async def read_span(connection: AsyncConnection, ends: Month) -> Span:
    """What goes with the months before `ends` that is not archived yet."""
    cursor = await connection.execute(
        READ_SPAN, {"ends": ends.start, "month": ends.plus(-1).number}
    )
    ((*row,),) = await cursor.fetchall()
    return Span(**dict(zip(Span.__struct_fields__, row, strict=True)))


async def say_moving(connection: AsyncConnection, month: Month, entries: int) -> None:
    """Say that so many entries of a month are about to be moved out of `entry_default`.

    Not in the transaction that moves them: the server counts what is removed also where that is
    given up.
    """
    await connection.execute(SAY_MOVING, {"month": month.number, "entries": entries})


async def is_misplaced(connection: AsyncConnection, span: Span, ends: Month) -> bool:
    """Whether entries lie in another month than their transfer was recorded in."""
    asked = {"end": ends.number, "last": span.last_seq}
    cursor = await connection.execute(READ_MISPLACED, asked)
    return await cursor.fetchone() == (True,)


async def keep_last(connection: AsyncConnection, ends: Month) -> list[str]:
    """Make the table of each account's last entry by then; what is wrong with it.

    Once it is made, everybody sees what is in it. Raises TimeoutError.
    """
    asked = {"end": ends.number}
    async with connection.transaction():
        await connection.execute("DROP TABLE IF EXISTS entry_before_next")
        await make_like(connection, ENTRIES, NEXT_BEFORE)
        await connection.execute(KEEP_LAST, asked)
        cursor = await connection.execute("SELECT pg_current_xact_id()::xid::text")
        ((xid,),) = await cursor.fetchall()
    await connection.execute("VACUUM (ANALYZE) entry_before_next")  # its summaries of pages, too
    await _all_see(connection, xid)
    cursor = await connection.execute(READ_UNKEPT, asked)
    return [words for (words,) in await cursor.fetchall()]


async def _all_see(connection: AsyncConnection, xid: str) -> None:
    """Wait until whoever reads sees what that transaction wrote. Raises TimeoutError."""

    async def is_old() -> bool:
        cursor = await connection.execute(READ_IS_OLD, {"xid": xid})
        return await cursor.fetchone() == (True,)

    patience = AsyncRetrying(
        retry=retry_if_result(bool),
        wait=wait_fixed(_LOOK_SECONDS),
        stop=stop_after_delay(_GIVE_UP_SECONDS),
    )
    try:
        await patience(is_old)
    except RetryError:
        raise TimeoutError("an old transaction does not end: entries stay for it") from None


async def effective_until(connection: AsyncConnection, span: Span) -> datetime:
    """The latest that anything archived is effective, once the span is."""
    asked = {
        "after": span.after,
        "last": span.last_seq,
        "recorded_until": span.recorded_until,
        "effective_until": span.effective_before,
    }
    cursor = await connection.execute(READ_EFFECTIVE_UNTIL, asked)
    rows: list[tuple[datetime]] = await cursor.fetchall()
    return rows[0][0]


async def declare(
    connection: AsyncConnection, span: Span, ends: Month, effective: datetime
) -> None:
    """Say that the entries of a month are archived: readers turn to what is left from now on."""
    asked = {
        "month": ends.plus(-1).number,
        "last": span.last_seq,
        "recorded_until": span.recorded_until,
        "effective_until": effective,
    }
    await connection.execute(DECLARE, asked)
