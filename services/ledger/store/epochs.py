"""How the database tells who is the writer."""

from psycopg import AsyncConnection

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


async def take(connection: AsyncConnection, seconds: float) -> int | None:
    """The new epoch, if the writer was not seen for `seconds`; a time ahead of now is none."""
    cursor = await connection.execute(TAKE, {"seconds": seconds})
    row = await cursor.fetchone()
    return None if row is None else int(row[0])


async def stay(connection: AsyncConnection, epoch: int) -> bool:
    """Whether the epoch still is the latest; if so its writer was seen now."""
    cursor = await connection.execute(STAY, {"epoch": epoch})
    return cursor.rowcount == 1


async def leave(connection: AsyncConnection, epoch: int) -> None:
    """The epoch's writer is seen no more."""
    await connection.execute(LEAVE, {"epoch": epoch})
