"""What can be traded, as last heard of, and the key of page tokens."""

from collections.abc import Sequence
from datetime import datetime

import psycopg

from services.order.domain.instrument import Instrument
from services.order.store.arrays import Bigints, Texts


class InstrumentShelf:
    """The list of instruments kept over restarts."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def all(self) -> list[Instrument]:
        """Every instrument ever heard of."""
        cursor = await self._connection.execute("SELECT symbol, name, is_tradable FROM instrument")
        return [Instrument(*row) async for row in cursor]

    async def replace(self, instruments: Sequence[Instrument], *, at: datetime) -> None:
        """Keep this list; what is no longer on it stays known and is not tradable."""
        await self._connection.execute(
            """
            WITH heard AS (
                INSERT INTO instrument (symbol, name, is_tradable, updated_at)
                SELECT symbol, name, is_tradable = 1, %(at)s
                FROM unnest(%(symbols)s::text[], %(names)s::text[], %(tradables)s::bigint[])
                    AS i (symbol, name, is_tradable)
                ORDER BY symbol
                ON CONFLICT (symbol) DO UPDATE
                SET name = excluded.name, is_tradable = excluded.is_tradable,
                    updated_at = excluded.updated_at
                WHERE (instrument.name, instrument.is_tradable)
                    IS DISTINCT FROM (excluded.name, excluded.is_tradable)
            )
            UPDATE instrument
            SET is_tradable = false, updated_at = %(at)s
            WHERE is_tradable AND NOT symbol = ANY (%(symbols)s::text[])
            """,
            {
                "at": at,
                "symbols": Texts([each.symbol for each in instruments]),
                "names": Texts([each.name for each in instruments]),
                "tradables": Bigints([each.is_tradable for each in instruments]),
            },
        )


async def page_token_key(connection: psycopg.AsyncConnection) -> bytes:
    """The 32 secret bytes all processes of this service share."""
    cursor = await connection.execute("SELECT key FROM page_token_key")
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("the page token key is gone from the database")
    return bytes(row[0])
