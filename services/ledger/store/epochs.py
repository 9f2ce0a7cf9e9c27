"""How the database tells who is the writer."""

from datetime import datetime

from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable

# A process that froze, or whose network went, keeps the locks of the transaction it was in. Nothing
# is lost by ending that: nobody was told that it is committed. Who holds them for less than
# `seconds` is at work.
EVICT = """
    SELECT pg_terminate_backend(holder.pid, 1000)
    FROM (
        SELECT DISTINCT pid FROM pg_locks
        JOIN pg_stat_activity AS session USING (pid)
        WHERE relation IN ('writer'::regclass, 'journal_head'::regclass, 'checkpoint'::regclass)
            AND mode IN ('RowShareLock', 'RowExclusiveLock') AND granted
            AND datname = current_database() AND usename = current_user
            AND pid <> pg_backend_pid()
            AND xact_start < clock_timestamp() - make_interval(secs => %(seconds)s)
        OFFSET 0
    ) AS holder
    WHERE EXISTS (
        SELECT FROM writer
        WHERE seen_at < clock_timestamp() - make_interval(secs => %(seconds)s)
            OR seen_at > clock_timestamp() + make_interval(secs => %(seconds)s)
    )
"""
# The lock on journal_head waits for the batch in progress of the writer before.
TAKE = """
    WITH taken AS (
        UPDATE writer
        SET epoch = epoch + 1, seen_at = clock_timestamp()
        WHERE seen_at < clock_timestamp() - make_interval(secs => %(seconds)s)
            OR seen_at > clock_timestamp() + make_interval(secs => %(seconds)s)
        RETURNING epoch
    )
    UPDATE journal_head SET writer_epoch = epoch FROM taken RETURNING writer_epoch
"""
STAY = "UPDATE writer SET seen_at = clock_timestamp() WHERE epoch = %(epoch)s"
LEAVE = "UPDATE writer SET seen_at = '-infinity' WHERE epoch = %(epoch)s"


async def database_now(connection: AsyncConnection) -> datetime:
    """The time by the database's clock."""
    cursor = await connection.execute("SELECT clock_timestamp()")
    rows: list[tuple[datetime]] = await cursor.fetchall()
    return rows[0][0]


async def take(connection: AsyncConnection, seconds: float) -> int | None:
    """The new epoch, if the writer was not seen for `seconds`; a time ahead of now is none.

    Ends what the writer before left locked. None as well where that was locked a moment ago only:
    the connection's lock_timeout says how long that is waited for.
    """
    await connection.execute(EVICT, {"seconds": seconds})
    try:
        async with connection.transaction():
            cursor = await connection.execute(TAKE, {"seconds": seconds})
            row = await cursor.fetchone()
    except LockNotAvailable:
        return None
    return None if row is None else int(row[0])


async def stay(connection: AsyncConnection, epoch: int) -> bool:
    """Whether the epoch still is the latest; if so its writer was seen now."""
    cursor = await connection.execute(STAY, {"epoch": epoch})
    return cursor.rowcount == 1


async def leave(connection: AsyncConnection, epoch: int) -> None:
    """The epoch's writer is seen no more."""
    await connection.execute(LEAVE, {"epoch": epoch})
