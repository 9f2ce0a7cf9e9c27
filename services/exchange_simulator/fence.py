"""One run of the exchange writes at a time: a newer one fences the older ones off."""

from psycopg import AsyncConnection


class Superseded(Exception):
    """The sessions are not where this process left them, or a newer process runs the exchange."""


async def hold(connection: AsyncConnection, epoch: int) -> None:
    """Let no newer run begin before this transaction is over. Raises Superseded."""
    cursor = await connection.execute("SELECT FROM venue WHERE epoch = %s FOR SHARE", [epoch])
    if await cursor.fetchone() is None:
        raise Superseded
