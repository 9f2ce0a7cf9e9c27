"""Cancels on their way to the exchange, and who has taken them up."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import psycopg

from libs.partition import partition_of
from services.order.domain.trade import Trade
from services.order.domain.turns import Claimed, Waiting
from services.order.store.arrays import Bigints, Texts


class Cancels:
    """Changed only under the lock of their customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def add(self, trades: Sequence[Trade], *, at: datetime) -> None:
        """Cancels that were asked for just now."""
        await self._connection.execute(
            """
            INSERT INTO open_cancel (customer_id, trade_id, partition, asked_at)
            SELECT i.customer_id, i.trade_id, i.partition, %(at)s
            FROM unnest(%(customer_ids)s::text[], %(trade_ids)s::uuid[], %(partitions)s::bigint[])
                AS i (customer_id, trade_id, partition)
            """,
            {
                "at": at,
                "customer_ids": Texts([trade.customer_id for trade in trades]),
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "partitions": Bigints([partition_of(trade.customer_id) for trade in trades]),
            },
        )

    async def remove(self, trades: Sequence[Trade]) -> None:
        """Cancels that were answered."""
        await self._connection.execute(
            """
            DELETE FROM open_cancel
            WHERE ctid = ANY (ARRAY(
                SELECT answered.ctid
                FROM unnest(%(customer_ids)s::text[], %(trade_ids)s::uuid[])
                    AS i (customer_id, trade_id)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM open_cancel
                    WHERE customer_id = i.customer_id AND trade_id = i.trade_id
                    LIMIT 1
                ) AS answered
            ))
            """,
            {
                "customer_ids": Texts([trade.customer_id for trade in trades]),
                "trade_ids": Texts([trade.trade_id for trade in trades]),
            },
        )

    async def claim(self, customer_ids: Sequence[str], epochs: Mapping[int, int]) -> list[Claimed]:
        """Take up all cancels of these customers, whose partitions have the epochs given."""
        partitions = [partition_of(customer_id) for customer_id in customer_ids]
        cursor = await self._connection.execute(
            """
            UPDATE open_cancel AS o
            SET claimed_epoch = i.epoch
            FROM unnest(%(customer_ids)s::text[], %(epochs)s::bigint[]) AS i (customer_id, epoch)
            WHERE o.customer_id = i.customer_id
                AND o.customer_id = ANY (%(customer_ids)s::text[])
            RETURNING o.trade_id::text, o.partition, o.claimed_epoch, 1
            """,
            {
                "customer_ids": Texts(customer_ids),
                "epochs": Bigints([epochs[partition] for partition in partitions]),
            },
            binary=True,
        )
        return [Claimed(*row) async for row in cursor]

    async def waiting(
        self, partitions: Sequence[int], *, asked_before: datetime, limit: int
    ) -> list[Waiting]:
        """Cancels that old, longest waiting first."""
        cursor = await self._connection.execute(
            """
            SELECT c.customer_id, c.partition, c.trade_id::text, c.claimed_epoch
            FROM unnest(%(partitions)s::bigint[]) AS i (partition)
            CROSS JOIN LATERAL (
                SELECT * FROM open_cancel
                WHERE partition = i.partition AND asked_at < %(asked_before)s
                ORDER BY asked_at
                LIMIT %(limit)s
            ) AS c
            ORDER BY c.asked_at
            LIMIT %(limit)s
            """,
            {"partitions": Bigints(partitions), "asked_before": asked_before, "limit": limit},
            binary=True,
        )
        return [Waiting(*row) async for row in cursor]
