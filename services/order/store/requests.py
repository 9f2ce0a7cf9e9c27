"""Cancels and replaces on their way to the exchange, and who has taken them up."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import psycopg

from libs.partition import partition_of
from services.order.domain.requests import Request
from services.order.domain.turns import Claimed, Requested, Waiting
from services.order.store.arrays import Bigints, Texts
from services.order.store.later import Later


class Requests:
    """Changed only under the lock of their customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def add(self, requests: Sequence[Request], *, at: datetime) -> None:
        """What was asked for just now."""
        await self._connection.execute(
            """
            INSERT INTO open_request (customer_id, trade_id, is_replace, partition, asked_at)
            SELECT i.customer_id, i.trade_id, i.is_replace = 1, i.partition, %(at)s
            FROM unnest(%(customer_ids)s::text[], %(trade_ids)s::uuid[], %(replaces)s::bigint[],
                %(partitions)s::bigint[]) AS i (customer_id, trade_id, is_replace, partition)
            """,
            {
                "at": at,
                **_keys(requests),
                "partitions": Bigints([partition_of(each.customer_id) for each in requests]),
            },
        )

    async def remove(self, requests: Sequence[Request]) -> None:
        """What was answered."""
        await self._connection.execute(
            """
            DELETE FROM open_request
            WHERE ctid = ANY (ARRAY(
                SELECT answered.ctid
                FROM unnest(%(customer_ids)s::text[], %(trade_ids)s::uuid[],
                    %(replaces)s::bigint[]) AS i (customer_id, trade_id, is_replace)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM open_request
                    WHERE customer_id = i.customer_id AND trade_id = i.trade_id
                        AND is_replace = (i.is_replace = 1)
                    LIMIT 1
                ) AS answered
            ))
            """,
            _keys(requests),
        )

    async def claim(
        self, customer_ids: Sequence[str], epochs: Mapping[int, int], *, most: int
    ) -> Later[list[Requested]]:
        """Take up requests of these customers, whose partitions have the epochs given.

        Of each customer at most `most`: first what was not taken up under the epoch, then cancels,
        oldest first. The sweep finds the others: one customer's many hold up nobody else.
        """
        partitions = [partition_of(customer_id) for customer_id in customer_ids]
        cursor = await self._connection.execute(
            """
            UPDATE open_request AS o
            SET claimed_epoch = (
                SELECT epoch
                FROM unnest(%(led)s::bigint[], %(led_epochs)s::bigint[]) AS l (partition, epoch)
                WHERE l.partition = o.partition
            )
            WHERE ctid = ANY (ARRAY(
                SELECT asked.ctid
                FROM unnest(%(customer_ids)s::text[], %(epochs)s::bigint[])
                    AS i (customer_id, epoch)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM open_request
                    WHERE customer_id = i.customer_id
                    ORDER BY claimed_epoch = i.epoch, is_replace, asked_at
                    LIMIT %(most)s
                ) AS asked
            ))
            RETURNING o.is_replace, o.asked_at, o.trade_id::text, o.partition,
                o.claimed_epoch, 1
            """,
            {
                "customer_ids": Texts(customer_ids),
                "epochs": Bigints([epochs[partition] for partition in partitions]),
                "led": Bigints(list(epochs)),
                "led_epochs": Bigints(list(epochs.values())),
                "most": most,
            },
            binary=True,
        )
        return Later(
            cursor, lambda rows: [Requested(row[0], row[1], Claimed(*row[2:])) for row in rows]
        )

    async def waiting(
        self, partitions: Sequence[int], *, asked_before: datetime, now: datetime, limit: int
    ) -> list[tuple[bool, Waiting]]:
        """Requests that old, longest waiting first; of each whether it is a replace.

        One that is of a time to come counts too, as in the queue.
        """
        cursor = await self._connection.execute(
            """
            SELECT c.is_replace, c.customer_id, c.partition, c.trade_id::text, c.claimed_epoch
            FROM unnest(%(partitions)s::bigint[]) AS i (partition)
            CROSS JOIN LATERAL (
                (
                    SELECT * FROM open_request
                    WHERE partition = i.partition AND asked_at < %(asked_before)s
                    ORDER BY asked_at
                    LIMIT %(limit)s
                )
                UNION ALL
                (
                    SELECT * FROM open_request
                    WHERE partition = i.partition AND asked_at > %(now)s
                    ORDER BY asked_at
                    LIMIT %(limit)s
                )
            ) AS c
            ORDER BY c.asked_at
            LIMIT %(limit)s
            """,
            {
                "partitions": Bigints(partitions),
                "asked_before": asked_before,
                "now": now,
                "limit": limit,
            },
            binary=True,
        )
        return [(row[0], Waiting(*row[1:])) async for row in cursor]


def _keys(requests: Sequence[Request]) -> dict[str, Texts | Bigints]:
    return {
        "customer_ids": Texts([each.customer_id for each in requests]),
        "trade_ids": Texts([each.trade_id for each in requests]),
        "replaces": Bigints([each.is_replace for each in requests]),
    }
