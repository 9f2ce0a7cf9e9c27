"""The lock under which everything of a customer changes, and where the sequence stands."""

from collections.abc import Mapping, Sequence

import psycopg

from services.order.store.arrays import Bigints, Texts


class Customers:
    """The heads of the customers' event sequences."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, customer_ids: Sequence[str]) -> None:
        """Lock customers until the end of the transaction, new ones too. Sorted, each once."""
        await self._connection.execute(
            """
            INSERT INTO customer_head (customer_id, head_seq)
            SELECT customer_id, 0 FROM unnest(%(customer_ids)s::text[]) AS i (customer_id)
            ON CONFLICT (customer_id) DO UPDATE SET head_seq = 0 WHERE false -- locks, no more
            """,
            {"customer_ids": Texts(customer_ids)},
        )

    async def lock_known(self, customer_ids: Sequence[str]) -> dict[str, int]:
        """Lock those of the customers that exist until the end of the transaction; their heads.

        A customer that is being added just now is not among them, and must be left alone.
        """
        cursor = await self._connection.execute(
            """
            SELECT customer_id, head_seq FROM customer_head
            WHERE customer_id = ANY (%(customer_ids)s::text[])
            ORDER BY customer_id
            FOR NO KEY UPDATE -- a row that was waited for is told as it is then
            """,
            {"customer_ids": Texts(customer_ids)},
            binary=True,
        )
        return dict(await cursor.fetchall())

    async def lock_owners(self, trade_ids: Sequence[str]) -> dict[str, int]:
        """Lock the customers of these trades until the end of the transaction; their heads."""
        cursor = await self._connection.execute(
            """
            SELECT customer_id, head_seq FROM customer_head
            WHERE customer_id = ANY (ARRAY(
                SELECT customer_id FROM trade WHERE trade_id = ANY (%(trade_ids)s::uuid[])
            ))
            ORDER BY customer_id
            FOR NO KEY UPDATE
            """,
            {"trade_ids": Texts(trade_ids)},
            binary=True,
        )
        return dict(await cursor.fetchall())

    async def heads(self, customer_ids: Sequence[str]) -> dict[str, int]:
        """The seq of the latest event of each customer that has a head."""
        cursor = await self._connection.execute(
            """
            SELECT customer_id, head_seq FROM customer_head
            WHERE customer_id = ANY (%(customer_ids)s::text[])
            """,
            {"customer_ids": Texts(customer_ids)},
            binary=True,
        )
        return dict(await cursor.fetchall())

    async def raise_heads(self, heads: Mapping[str, int]) -> None:
        """Set the seq of each customer's latest event."""
        await self._connection.execute(
            """
            UPDATE customer_head AS h
            SET head_seq = i.head_seq
            FROM unnest(%(customer_ids)s::text[], %(seqs)s::bigint[]) AS i (customer_id, head_seq)
            WHERE h.customer_id = i.customer_id
                AND h.customer_id = ANY (%(customer_ids)s::text[])
            """,
            {"customer_ids": Texts(list(heads)), "seqs": Bigints(list(heads.values()))},
        )
