"""The queue of open trades, and who may take them up."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from libs.partition import partition_of
from services.order.domain.trade import Trade
from services.order.domain.turns import Claimed, Waiting
from services.order.store.arrays import Bigints, Texts
from services.order.store.later import Later
from services.order.store.rows import current_trade_from


class Queue:
    """Open trades, each customer's oldest first. Changed only under the lock of their customers.

    The table is never partitioned: a ctid names a row within a statement.
    """

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def claim(
        self, customer_ids: Sequence[str], epochs: Mapping[int, int]
    ) -> Later[list[tuple[Claimed, Trade]]]:
        """Take up the oldest open trade of each customer whose partition still has the epoch given.

        `epochs`: by partition. A trade claimed under the same epoch or an older one is given again;
        one claimed under a newer epoch, or parked, is not. The trades are without what replaces
        made of them; see History.
        """
        partitions = [partition_of(customer_id) for customer_id in customer_ids]
        cursor = await self._connection.execute(
            """
            WITH claimed AS (
                UPDATE open_trade AS o
                SET claimed_epoch = p.epoch, attempts = o.attempts + 1
                FROM execution_partition AS p
                WHERE p.partition = o.partition
                    AND p.partition = ANY (%(partitions)s::bigint[])
                    AND o.claimed_epoch <= p.epoch
                    AND o.ctid = ANY (ARRAY(
                        SELECT head.ctid
                        FROM unnest(%(customer_ids)s::text[], %(partitions)s::bigint[],
                            %(epochs)s::bigint[]) AS i (customer_id, partition, epoch)
                        CROSS JOIN LATERAL (
                            SELECT FROM execution_partition AS led
                            WHERE led.partition = i.partition AND led.epoch = i.epoch
                            LIMIT 1
                        ) AS fence
                        CROSS JOIN LATERAL (
                            SELECT ctid FROM open_trade
                            WHERE customer_id = i.customer_id
                            ORDER BY placed_seq
                            LIMIT 1
                        ) AS head
                    ))
                    AND o.parked_at IS NULL
                RETURNING o.trade_id, o.partition, o.claimed_epoch, o.attempts
            )
            SELECT t.trade_id::text, t.client_order_id, t.customer_id, t.placed_seq, t.created_at,
                t.symbol, t.side, coalesce(t.placed_quantity, t.quantity), t.order_type,
                coalesce(t.placed_limit_price_micros, t.limit_price_micros),
                coalesce(t.placed_stop_price_micros, t.stop_price_micros), t.time_in_force,
                t.status, t.reason, t.reason_text, t.in_doubt, t.filled_quantity,
                t.filled_notional_micros, t.exchange_order_id, t.executed_at, t.in_doubt_since,
                t.updated_at, t.seq, t.placed_quantity IS NOT NULL, t.taken_back,
                c.partition, c.claimed_epoch, c.attempts
            FROM claimed AS c
            CROSS JOIN LATERAL (SELECT * FROM trade WHERE trade_id = c.trade_id LIMIT 1) AS t
            """,
            {
                "customer_ids": Texts(customer_ids),
                "partitions": Bigints(partitions),
                "epochs": Bigints([epochs[partition] for partition in partitions]),
            },
            binary=True,
        )
        return Later(cursor, lambda rows: list(map(_claimed, rows)))

    async def remove(self, trades: Sequence[Trade]) -> None:
        """Take trades that are over out of the queue."""
        await self._connection.execute(
            """
            DELETE FROM open_trade
            WHERE ctid = ANY (ARRAY(
                SELECT over.ctid
                FROM unnest(%(customer_ids)s::text[], %(seqs)s::bigint[])
                    AS i (customer_id, placed_seq)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM open_trade
                    WHERE customer_id = i.customer_id AND placed_seq = i.placed_seq
                    LIMIT 1
                ) AS over
            ))
            """,
            {
                "customer_ids": Texts([trade.customer_id for trade in trades]),
                "seqs": Bigints([trade.placed_seq for trade in trades]),
            },
        )

    async def advance(self, customer_ids: Sequence[str]) -> Later[list[Waiting]]:
        """Mark each customer's oldest open trade as the head, after heads were taken out.

        Those of them that nobody has taken up yet.
        """
        cursor = await self._connection.execute(
            """
            WITH head AS MATERIALIZED (
                SELECT i.customer_id, oldest.*
                FROM unnest(%(customer_ids)s::text[]) AS i (customer_id)
                CROSS JOIN LATERAL (
                    SELECT ctid AS place, is_head, partition, trade_id, claimed_epoch
                    FROM open_trade
                    WHERE customer_id = i.customer_id
                    ORDER BY placed_seq
                    LIMIT 1
                ) AS oldest
            ), promoted AS (
                UPDATE open_trade
                SET is_head = true
                WHERE ctid = ANY (ARRAY(SELECT place FROM head WHERE NOT is_head))
            )
            SELECT customer_id, partition, trade_id::text, claimed_epoch
            FROM head
            WHERE claimed_epoch = 0
            """,
            {"customer_ids": Texts(customer_ids)},
            binary=True,
        )
        return Later(cursor, lambda rows: [Waiting(*row) for row in rows])

    async def waiting(
        self, partitions: Sequence[int], *, placed_before: datetime, now: datetime, limit: int
    ) -> list[Waiting]:
        """Customers whose oldest open trade is that old and not parked, longest waiting first.

        One that is of a time to come counts too: the clock was set back, and it may be of any age.
        """
        cursor = await self._connection.execute(
            """
            SELECT head.customer_id, head.partition, head.trade_id::text, head.claimed_epoch
            FROM unnest(%(partitions)s::bigint[]) AS i (partition)
            CROSS JOIN LATERAL (
                (
                    SELECT customer_id, partition, trade_id, claimed_epoch, placed_at
                    FROM open_trade
                    WHERE partition = i.partition AND is_head AND placed_at < %(placed_before)s
                        AND parked_at IS NULL
                    ORDER BY placed_at
                    LIMIT %(limit)s
                )
                UNION ALL
                (
                    SELECT customer_id, partition, trade_id, claimed_epoch, placed_at
                    FROM open_trade
                    WHERE partition = i.partition AND is_head AND placed_at > %(now)s
                        AND parked_at IS NULL
                    ORDER BY placed_at
                    LIMIT %(limit)s
                )
            ) AS head
            ORDER BY head.placed_at
            LIMIT %(limit)s
            """,
            {
                "partitions": Bigints(partitions),
                "placed_before": placed_before,
                "now": now,
                "limit": limit,
            },
            binary=True,
        )
        return [Waiting(*row) async for row in cursor]

    async def of_the_day(self, *, placed_before: datetime, limit: int) -> list[str]:
        """DAY trades that nobody has taken up, placed before then; each customer's in order."""
        cursor = await self._connection.execute(
            """
            SELECT o.trade_id::text
            FROM open_trade AS o
            CROSS JOIN LATERAL (
                SELECT FROM trade
                WHERE trade_id = o.trade_id AND time_in_force = 1 AND status = 1
                LIMIT 1
            ) AS placed
            WHERE o.claimed_epoch = 0 AND o.placed_at < %(placed_before)s
            ORDER BY o.customer_id, o.placed_seq
            LIMIT %(limit)s
            """,
            {"placed_before": placed_before, "limit": limit},
            binary=True,
        )
        return [row[0] async for row in cursor]

    async def backlog(self, share: int) -> int:
        """How many trades are open, of each customer's `share` at most."""
        cursor = await self._connection.execute(
            """
            SELECT coalesce(sum(least(queue.length, %(share)s)), 0)::bigint
            FROM (SELECT count(*) AS length FROM open_trade GROUP BY customer_id) AS queue
            """,
            {"share": share},
            binary=True,
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else 0


class Partitions:
    """Who leads which partition."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def lead(self, partitions: Sequence[int], worker: str, *, at: datetime) -> dict[int, int]:
        """Raise the epoch of each partition by one and give it to the worker. The new epochs."""
        cursor = await self._connection.execute(
            """
            WITH locked AS (
                SELECT partition FROM execution_partition
                WHERE partition = ANY (%(partitions)s::bigint[])
                ORDER BY partition
                FOR NO KEY UPDATE
            )
            UPDATE execution_partition AS p
            SET epoch = p.epoch + 1, worker = %(worker)s, led_at = %(at)s
            FROM locked
            WHERE p.partition = locked.partition
                AND p.partition = ANY (%(partitions)s::bigint[])
            RETURNING p.partition, p.epoch
            """,
            {"partitions": Bigints(partitions), "worker": worker, "at": at},
            binary=True,
        )
        return dict(await cursor.fetchall())

    async def hold(self, partitions: Sequence[int]) -> Later[dict[int, int]]:
        """The epochs, which stay as they are until the transaction ends."""
        cursor = await self._connection.execute(
            """
            SELECT partition, epoch FROM execution_partition
            WHERE partition = ANY (%(partitions)s::bigint[])
            ORDER BY partition
            FOR SHARE
            """,
            {"partitions": Bigints(partitions)},
            binary=True,
        )
        return Later(cursor, dict)


def _claimed(row: Sequence[Any]) -> tuple[Claimed, Trade]:
    """A trade's columns, then the three of its claim."""
    trade = current_trade_from(row)
    return Claimed(trade.trade_id, *row[25:28]), trade
