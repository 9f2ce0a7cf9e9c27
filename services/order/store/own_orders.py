"""What the controls need to know of a customer's other orders."""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import psycopg

from services.order.domain.controls.gate import Likeness, Recent, Resting, likeness
from services.order.domain.terms import Side
from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Texts

Key = tuple[str, int]
BEGINNING: Key = ("", 0)


class OwnOrders:
    """Customers' other orders. Changed only under the lock of their customers, but for `forget`."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def recent(self, likenesses: Sequence[Likeness]) -> dict[Likeness, Recent]:
        """The latest guarded order of each likeness that is not rejected, where there is one."""
        cursor = await self._connection.execute(
            """
            SELECT t.customer_id, t.symbol, t.side, t.quantity, t.limit_price_micros,
                t.stop_price_micros, t.trade_id::text, t.created_at
            FROM unnest(%(customer_ids)s::text[], %(hashes)s::bigint[])
                AS i (customer_id, likeness)
            CROSS JOIN LATERAL (
                SELECT trade_id FROM recent_order
                WHERE customer_id = i.customer_id AND likeness = i.likeness
                LIMIT 1
            ) AS r
            CROSS JOIN LATERAL (
                SELECT * FROM trade WHERE trade_id = r.trade_id AND status <> 8 LIMIT 1
            ) AS t
            """,
            {
                "customer_ids": Texts([each[0] for each in likenesses]),
                "hashes": Bigints([_hash(each) for each in likenesses]),
            },
            binary=True,
        )
        return {
            (row[0], row[1], Side(row[2]), *row[3:6]): Recent(row[6], row[7])
            async for row in cursor
        }

    async def remember(self, trades: Sequence[Trade]) -> None:
        """These went through under a guard; the last of each likeness is kept."""
        latest = {likeness(trade.customer_id, trade.terms): trade.trade_id for trade in trades}
        await self._connection.execute(
            """
            INSERT INTO recent_order (customer_id, likeness, trade_id)
            SELECT customer_id, likeness, trade_id
            FROM unnest(%(customer_ids)s::text[], %(hashes)s::bigint[], %(trade_ids)s::uuid[])
                AS i (customer_id, likeness, trade_id)
            ON CONFLICT (customer_id, likeness) DO UPDATE SET trade_id = excluded.trade_id
            """,
            {
                "customer_ids": Texts([each[0] for each in latest]),
                "hashes": Bigints([_hash(each) for each in latest]),
                "trade_ids": Texts(list(latest.values())),
            },
        )

    async def forget(self, after: Key, *, before: datetime, most: int) -> tuple[Key | None, int]:
        """Of the next `most` guarded orders behind a key, forget those placed before then.

        The last of them, None at the end, and how many are forgotten. One that somebody else has
        locked is left to the next time: so nobody waits for this, nor this for anybody.
        """
        cursor = await self._connection.execute(
            """
            WITH page AS MATERIALIZED (
                SELECT customer_id, likeness FROM recent_order
                WHERE (customer_id, likeness) > (%(customer_id)s, %(likeness)s)
                ORDER BY customer_id, likeness
                LIMIT %(most)s
            ), old AS MATERIALIZED (
                SELECT r.ctid FROM page
                CROSS JOIN LATERAL (
                    SELECT ctid FROM recent_order
                    WHERE customer_id = page.customer_id AND likeness = page.likeness
                        AND trade_id < %(before)s::uuid
                    LIMIT 1
                    FOR UPDATE SKIP LOCKED
                ) AS r
            ), forgotten AS (
                DELETE FROM recent_order WHERE ctid = ANY (ARRAY(SELECT ctid FROM old))
                RETURNING 1
            )
            SELECT customer_id, likeness, (SELECT count(*) FROM forgotten)
            FROM page
            ORDER BY customer_id DESC, likeness DESC
            LIMIT 1
            """,
            {
                "customer_id": after[0],
                "likeness": after[1],
                "before": str(UUID(int=int(before.timestamp() * 1000) << 80)),
                "most": most,
            },
        )
        row = await cursor.fetchone()
        return (None, 0) if row is None else ((row[0], row[1]), row[2])

    async def open_limits(
        self, pairs: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], list[Resting]]:
        """Open LIMIT orders that may wait on the book, by customer and symbol.

        One that is being replaced is given at both limits: the exchange may have it at either.
        """
        cursor = await self._connection.execute(
            """
            SELECT t.customer_id, t.symbol, t.trade_id::text, t.side, t.limit_price_micros,
                coalesce(asked.limit_price_micros, t.limit_price_micros)
            FROM unnest(%(customer_ids)s::text[], %(symbols)s::text[]) AS i (customer_id, symbol)
            CROSS JOIN LATERAL (
                SELECT trade_id FROM open_limit_order
                WHERE customer_id = i.customer_id AND symbol = i.symbol
                OFFSET 0 -- looked up by its key for each pair, whatever the tables hold
            ) AS o
            CROSS JOIN LATERAL (
                SELECT * FROM trade WHERE trade_id = o.trade_id LIMIT 1
            ) AS t
            LEFT JOIN LATERAL (
                SELECT limit_price_micros, answered_seq FROM trade_replace
                WHERE trade_id = o.trade_id
                ORDER BY asked_seq DESC
                LIMIT 1
            ) AS asked ON asked.answered_seq IS NULL
            """,
            {
                "customer_ids": Texts([customer_id for customer_id, _ in pairs]),
                "symbols": Texts([symbol for _, symbol in pairs]),
            },
            binary=True,
        )
        found: dict[tuple[str, str], list[Resting]] = {}
        async for customer_id, symbol, trade_id, side, *limits in cursor:
            resting = [Resting(trade_id, Side(side), limit) for limit in limits]
            found.setdefault((customer_id, symbol), []).extend(resting)
        return found

    async def add_open_limits(self, trades: Sequence[Trade]) -> None:
        """These may wait on the book from now on."""
        await self._connection.execute(
            """
            INSERT INTO open_limit_order (customer_id, symbol, trade_id)
            SELECT customer_id, symbol, trade_id
            FROM unnest(%(customer_ids)s::text[], %(symbols)s::text[], %(trade_ids)s::uuid[])
                AS i (customer_id, symbol, trade_id)
            """,
            _places(trades),
        )

    async def remove_open_limits(self, trades: Sequence[Trade]) -> None:
        """These have ended."""
        await self._connection.execute(
            """
            DELETE FROM open_limit_order
            WHERE ctid = ANY (ARRAY(
                SELECT ended.ctid
                FROM unnest(%(customer_ids)s::text[], %(symbols)s::text[], %(trade_ids)s::uuid[])
                    AS i (customer_id, symbol, trade_id)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM open_limit_order
                    WHERE customer_id = i.customer_id AND symbol = i.symbol
                        AND trade_id = i.trade_id
                    LIMIT 1
                ) AS ended
            ))
            """,
            _places(trades),
        )

    async def decision(self, trade_id: str) -> bytes:
        """What the trade was decided by, as it was packed; empty when there is none."""
        cursor = await self._connection.execute(
            "SELECT decision FROM trade WHERE trade_id = %(trade_id)s", {"trade_id": trade_id}
        )
        row = await cursor.fetchone()
        return bytes(row[0]) if row is not None and row[0] is not None else b""


def _places(trades: Sequence[Trade]) -> Mapping[str, Texts]:
    return {
        "customer_ids": Texts([trade.customer_id for trade in trades]),
        "symbols": Texts([trade.terms.symbol for trade in trades]),
        "trade_ids": Texts([trade.trade_id for trade in trades]),
    }


def _hash(likeness: Likeness) -> int:
    """The same number for the same terms, by every process; the customer is a column of its own."""
    text = "/".join(map(str, (likeness[1], int(likeness[2]), *likeness[3:])))
    (number,) = struct.unpack(">q", hashlib.blake2b(text.encode(), digest_size=8).digest())
    return int(number)
