"""Which events of a customer are here."""

from collections.abc import Sequence

import msgspec
import psycopg

from services.order.store.arrays import Texts


class Extent(msgspec.Struct, frozen=True):
    """Of a customer's sequence of events."""

    archived_through_seq: int  # the latest event that is archived; 0: none
    head_seq: int  # the latest event; 0 before the first


class Extents:
    """Reads only."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def extent(self, customer_id: str) -> Extent:
        """From where to where events are here: all those between the two."""
        cursor = await self._connection.execute(
            """
            SELECT (SELECT through_seq FROM archived_history WHERE customer_id = %(customer_id)s),
                (SELECT head_seq FROM customer_head WHERE customer_id = %(customer_id)s)
            """,
            {"customer_id": customer_id},
            binary=True,
        )
        row = await cursor.fetchone()
        archived, head = row or (None, None)
        return Extent(archived or 0, head or 0)

    async def archived_through(self, customer_ids: Sequence[str]) -> dict[str, int]:
        """The latest event that is archived, of those customers of whom any is."""
        cursor = await self._connection.execute(
            """
            SELECT customer_id, through_seq FROM archived_history
            WHERE customer_id = ANY (%(customer_ids)s::text[])
            """,
            {"customer_ids": Texts(customer_ids)},
            binary=True,
        )
        return dict(await cursor.fetchall())
