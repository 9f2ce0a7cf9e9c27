"""Events in months: which table that is, and what there is to know before a month leaves it."""

from typing import Any

import psycopg
from psycopg import sql

from libs.months import BY_UUID7, Month, MonthlyTable

TRADE_EVENTS = MonthlyTable("trade_event", "trade_id", BY_UUID7)


class Months:
    """Asked by who archives, on a connection of its own."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def open_trades(self, *, before: Month, limit: int) -> list[str]:
        """Trades placed before that month that are not over, at most `limit`."""
        cursor = await self._connection.execute(
            """
            SELECT trade_id::text
            FROM (SELECT trade_id FROM open_trade UNION SELECT trade_id FROM resting_trade) AS o
            WHERE trade_id < %s::uuid
            ORDER BY trade_id
            LIMIT %s
            """,
            [BY_UUID7.first(before), limit],
        )
        return [trade_id for (trade_id,) in await cursor.fetchall()]

    async def facts(self, schema: str, partition: str) -> dict[str, Any]:
        """How many trades and customers a partition tells of, and from when to when."""
        cursor = await self._connection.execute(
            sql.SQL(
                """
                SELECT count(*) FILTER (WHERE previous_seq = 0), count(DISTINCT customer_id),
                    min(occurred_at)::text, max(occurred_at)::text
                FROM {}
                """
            ).format(sql.Identifier(schema, partition))
        )
        row = await cursor.fetchone()
        return dict(zip(("trades", "customers", "first_at", "last_at"), row or (), strict=True))

    async def say_archived(self, schema: str, partition: str) -> None:
        """Say of the customers up to where their events are archived with that partition."""
        await self._connection.execute(
            sql.SQL(
                """
                INSERT INTO archived_history AS h (customer_id, through_seq)
                SELECT customer_id, max(seq) FROM {} GROUP BY customer_id
                ON CONFLICT (customer_id) DO UPDATE SET through_seq = excluded.through_seq
                WHERE h.through_seq < excluded.through_seq
                """
            ).format(sql.Identifier(schema, partition))
        )
