"""Trades and events to be shown, page by page."""

from collections.abc import Sequence

import psycopg

from services.order.domain.asking import Filters
from services.order.domain.event import TradeEvent
from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Texts
from services.order.store.history import History
from services.order.store.rows import event_from, trade_from


class Lists:
    """Reads only; needs no lock, because a customer's events are committed in sequence."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def page(
        self, customer_id: str, filters: Filters, *, before_seq: int, limit: int
    ) -> list[Trade]:
        """At most `limit` trades placed before the event `before_seq`, newest first."""
        cursor = await self._connection.execute(
            """
            SELECT trade_id::text, client_order_id, customer_id, placed_seq, created_at,
                symbol, side, coalesce(placed_quantity, quantity), order_type,
                coalesce(placed_limit_price_micros, limit_price_micros),
                coalesce(placed_stop_price_micros, stop_price_micros), time_in_force,
                status, reason, reason_text, in_doubt, filled_quantity, filled_notional_micros,
                exchange_order_id, executed_at, in_doubt_since, updated_at, seq,
                placed_quantity IS NOT NULL
            FROM trade
            WHERE customer_id = %(customer_id)s AND placed_seq < %(before_seq)s
                AND (cardinality(%(statuses)s::bigint[]) = 0
                    OR status = ANY (%(statuses)s::bigint[]))
                AND (%(symbol)s = '' OR symbol = %(symbol)s)
            ORDER BY placed_seq DESC
            LIMIT %(limit)s
            """,
            {
                "customer_id": customer_id,
                "before_seq": before_seq,
                "statuses": Bigints(filters.statuses),
                "symbol": filters.symbol,
                "limit": limit,
            },
            binary=True,
        )
        trades = [trade_from(row) async for row in cursor]
        return await History(self._connection).trades(trades)

    async def events_after(
        self, positions: Sequence[tuple[str, int]], *, limit: int
    ) -> list[list[TradeEvent]]:
        """For each (customer_id, seq) the next events after it, at most `limit`, in sequence."""
        cursor = await self._connection.execute(
            """
            SELECT t.trade_id::text, t.client_order_id, t.customer_id, t.placed_seq, t.created_at,
                t.symbol, t.side, coalesce(t.placed_quantity, t.quantity), t.order_type,
                coalesce(t.placed_limit_price_micros, t.limit_price_micros),
                coalesce(t.placed_stop_price_micros, t.stop_price_micros), t.time_in_force,
                e.status, e.reason, e.reason_text, e.in_doubt, e.filled_quantity,
                e.filled_notional_micros, e.exchange_order_id, e.executed_at, e.in_doubt_since,
                e.occurred_at, e.seq, t.placed_quantity IS NOT NULL, e.kind, e.cause, e.refusal,
                e.previous_seq,
                x.venue, x.execution_id, x.quantity, x.price_micros, x.executed_at,
                a.amendment_id, a.quantity, a.price_micros, a.amended_at, a.reason_text,
                a.previous_id, coalesce(a.old_quantity, x.quantity),
                coalesce(a.old_price_micros, x.price_micros), i.number
            FROM unnest(%(customer_ids)s::text[], %(seqs)s::bigint[])
                WITH ORDINALITY AS i (customer_id, seq, number)
            CROSS JOIN LATERAL (
                SELECT * FROM trade_event
                WHERE customer_id = i.customer_id AND seq > i.seq
                ORDER BY seq
                LIMIT %(limit)s
            ) AS e
            CROSS JOIN LATERAL (SELECT * FROM trade WHERE trade_id = e.trade_id LIMIT 1) AS t
            LEFT JOIN LATERAL (
                SELECT * FROM execution
                WHERE venue = e.venue AND execution_id = e.execution_id
                LIMIT 1
            ) AS x ON true
            LEFT JOIN LATERAL (
                SELECT * FROM execution_amendment
                WHERE e.kind IN (15, 16) AND venue = e.venue AND execution_id = e.execution_id
                    AND event_seq IN (0, e.seq)
                ORDER BY event_seq DESC
                LIMIT 1
            ) AS a ON true
            ORDER BY i.number, e.seq
            """,
            {
                "customer_ids": Texts([customer_id for customer_id, _ in positions]),
                "seqs": Bigints([seq for _, seq in positions]),
                "limit": limit,
            },
            binary=True,
        )
        rows = await cursor.fetchall()
        events = await History(self._connection).events([event_from(row) for row in rows])
        pages: list[list[TradeEvent]] = [[] for _ in positions]
        for row, event in zip(rows, events, strict=True):
            pages[row[-1] - 1].append(event)
        return pages

    async def story(self, trade_id: str) -> list[TradeEvent]:
        """All events of a trade that are here, oldest first.

        Follows previous_seq back from the latest: no index is needed for it. With the trade's id
        only the partition of its month is looked at.
        """
        cursor = await self._connection.execute(
            """
            WITH RECURSIVE story AS (
                SELECT e.*
                FROM trade AS t
                CROSS JOIN LATERAL (
                    SELECT * FROM trade_event
                    WHERE customer_id = t.customer_id AND seq = t.seq AND trade_id = t.trade_id
                    LIMIT 1
                ) AS e
                WHERE t.trade_id = %(trade_id)s::uuid
                UNION ALL
                SELECT e.*
                FROM story AS s
                CROSS JOIN LATERAL (
                    SELECT * FROM trade_event
                    WHERE customer_id = s.customer_id AND seq = s.previous_seq
                        AND trade_id = s.trade_id
                    LIMIT 1
                ) AS e
            )
            SELECT t.trade_id::text, t.client_order_id, t.customer_id, t.placed_seq, t.created_at,
                t.symbol, t.side, coalesce(t.placed_quantity, t.quantity), t.order_type,
                coalesce(t.placed_limit_price_micros, t.limit_price_micros),
                coalesce(t.placed_stop_price_micros, t.stop_price_micros), t.time_in_force,
                e.status, e.reason, e.reason_text, e.in_doubt, e.filled_quantity,
                e.filled_notional_micros, e.exchange_order_id, e.executed_at, e.in_doubt_since,
                e.occurred_at, e.seq, t.placed_quantity IS NOT NULL, e.kind, e.cause, e.refusal,
                e.previous_seq,
                x.venue, x.execution_id, x.quantity, x.price_micros, x.executed_at,
                a.amendment_id, a.quantity, a.price_micros, a.amended_at, a.reason_text,
                a.previous_id, coalesce(a.old_quantity, x.quantity),
                coalesce(a.old_price_micros, x.price_micros)
            FROM story AS e
            CROSS JOIN LATERAL (SELECT * FROM trade WHERE trade_id = e.trade_id LIMIT 1) AS t
            LEFT JOIN LATERAL (
                SELECT * FROM execution
                WHERE venue = e.venue AND execution_id = e.execution_id
                LIMIT 1
            ) AS x ON true
            LEFT JOIN LATERAL (
                SELECT * FROM execution_amendment
                WHERE e.kind IN (15, 16) AND venue = e.venue AND execution_id = e.execution_id
                    AND event_seq IN (0, e.seq)
                ORDER BY event_seq DESC
                LIMIT 1
            ) AS a ON true
            ORDER BY e.seq
            """,
            {"trade_id": trade_id},
            binary=True,
        )
        return await History(self._connection).events([event_from(row) async for row in cursor])
