"""Which open trades a customer has: those in the queue, and those that rest at the exchange."""

from collections.abc import Sequence

import psycopg

from services.order.domain.trade import Trade
from services.order.store.arrays import Texts


class Resting:
    """Trades that rest. Changed only under the lock of their customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def add(self, trades: Sequence[Trade]) -> None:
        """These rest, now or since before."""
        await self._connection.execute(
            """
            INSERT INTO resting_trade (customer_id, trade_id)
            SELECT customer_id, trade_id
            FROM unnest(%(customer_ids)s::text[], %(trade_ids)s::uuid[])
                AS i (customer_id, trade_id)
            ON CONFLICT DO NOTHING
            """,
            _keys(trades),
        )

    async def remove(self, trades: Sequence[Trade]) -> None:
        """These rest no more, if they ever did."""
        await self._connection.execute(
            """
            DELETE FROM resting_trade
            WHERE ctid = ANY (ARRAY(
                SELECT over.ctid
                FROM unnest(%(customer_ids)s::text[], %(trade_ids)s::uuid[])
                    AS i (customer_id, trade_id)
                CROSS JOIN LATERAL (
                    SELECT ctid FROM resting_trade
                    WHERE customer_id = i.customer_id AND trade_id = i.trade_id
                    LIMIT 1
                ) AS over
            ))
            """,
            _keys(trades),
        )

    async def open_trades(self, customer_id: str, symbol: str) -> list[str]:
        """Ids of the customer's open trades, newest first; empty symbol: in all."""
        cursor = await self._connection.execute(
            """
            SELECT t.trade_id::text
            FROM (
                SELECT trade_id FROM open_trade WHERE customer_id = %(customer_id)s
                UNION
                SELECT trade_id FROM resting_trade WHERE customer_id = %(customer_id)s
            ) AS o
            CROSS JOIN LATERAL (
                SELECT trade_id, placed_seq, symbol FROM trade
                WHERE trade_id = o.trade_id
                LIMIT 1
            ) AS t
            WHERE %(symbol)s = '' OR t.symbol = %(symbol)s
            ORDER BY t.placed_seq DESC
            """,
            {"customer_id": customer_id, "symbol": symbol},
            binary=True,
        )
        return [row[0] async for row in cursor]


def _keys(trades: Sequence[Trade]) -> dict[str, Texts]:
    return {
        "customer_ids": Texts([trade.customer_id for trade in trades]),
        "trade_ids": Texts([trade.trade_id for trade in trades]),
    }
