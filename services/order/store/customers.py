"""The lock under which everything of a customer changes, and where the sequence stands."""

from collections.abc import Mapping, Sequence

import psycopg

from services.order.store.arrays import Bigints, Texts
from services.order.store.later import Later


class Customers:
    """The heads of the customers' event sequences."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def reserve(self, counts: Mapping[str, int]) -> Later[dict[str, int]]:
        """Lock customers until the end of the transaction, new ones too, and raise their heads by
        `counts`, sorted by customer. The heads as they were.

        Where fewer or more events are recorded then, `set_heads` says so.
        """
        cursor = await self._connection.execute(
            """
            INSERT INTO customer_head AS h (customer_id, head_seq)
            SELECT customer_id, events
            FROM unnest(%(customer_ids)s::text[], %(counts)s::bigint[]) AS i (customer_id, events)
            ON CONFLICT (customer_id) DO UPDATE SET head_seq = h.head_seq + excluded.head_seq
            RETURNING customer_id, head_seq
            """,
            {"customer_ids": Texts(list(counts)), "counts": Bigints(list(counts.values()))},
            binary=True,
        )
        return Later(
            cursor, lambda rows: {customer: head - counts[customer] for customer, head in rows}
        )

    async def lock_known(self, customer_ids: Sequence[str]) -> Later[dict[str, int]]:
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
        return Later(cursor, dict)

    async def lock_owners(self, trade_ids: Sequence[str]) -> Later[dict[str, int]]:
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
        return Later(cursor, dict)

    async def set_heads(self, heads: Mapping[str, int]) -> None:
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
