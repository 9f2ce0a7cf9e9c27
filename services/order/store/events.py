"""What happened: one row per event and one per fill, written once and never changed."""

from collections.abc import Sequence

import psycopg

from services.order.domain.trade import Execution, TradeEvent
from services.order.store.arrays import Bigints, Moments, Texts
from services.order.store.rows import execution_from


class Events:
    """The customers' event sequences and the fills they tell of."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def executions(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Execution]:
        """The fills with these (venue, execution_id), those that are recorded, by key."""
        cursor = await self._connection.execute(
            """
            SELECT venue, execution_id, trade_id::text, quantity, price_micros, executed_at
            FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS i (v, x)
            CROSS JOIN LATERAL (
                SELECT * FROM execution WHERE venue = i.v AND execution_id = i.x LIMIT 1
            ) AS e
            """,
            {
                "venues": Texts([venue for venue, _ in keys]),
                "execution_ids": Texts([execution_id for _, execution_id in keys]),
            },
            binary=True,
        )
        executions = [execution_from(row) async for row in cursor]
        return {execution.key: execution for execution in executions}

    async def add_executions(self, executions: Sequence[Execution]) -> None:
        """Record fills that are not recorded yet."""
        await self._connection.execute(
            """
            INSERT INTO execution
                (venue, execution_id, trade_id, quantity, price_micros, executed_at)
            SELECT venue, execution_id, trade_id, quantity, price_micros, executed_at
            FROM unnest(%(venues)s::text[], %(execution_ids)s::text[], %(trade_ids)s::uuid[],
                %(quantities)s::bigint[], %(prices)s::bigint[], %(executed_ats)s::timestamptz[])
                AS i (venue, execution_id, trade_id, quantity, price_micros, executed_at)
            """,
            {
                "venues": Texts([each.venue for each in executions]),
                "execution_ids": Texts([each.execution_id for each in executions]),
                "trade_ids": Texts([each.trade_id for each in executions]),
                "quantities": Bigints([each.quantity for each in executions]),
                "prices": Bigints([each.price_micros for each in executions]),
                "executed_ats": Moments([each.executed_at for each in executions]),
            },
        )

    async def add(self, events: Sequence[TradeEvent]) -> None:
        """Record events."""
        trades = [event.trade for event in events]
        standings = [trade.standing for trade in trades]
        fills = [event.fill_key for event in events]
        await self._connection.execute(
            """
            INSERT INTO trade_event (customer_id, seq, previous_seq, trade_id, kind, cause,
                occurred_at, status, reason, reason_text, in_doubt, filled_quantity,
                filled_notional_micros, exchange_order_id, executed_at, in_doubt_since,
                refusal, venue, execution_id)
            SELECT i.customer_id, i.seq, i.previous_seq, i.trade_id, i.kind, i.cause,
                %(at)s, i.status, i.reason, i.reason_text, i.in_doubt = 1, i.filled_quantity,
                i.filled_notional_micros, i.exchange_order_id, i.executed_at, i.in_doubt_since,
                i.refusal, nullif(i.venue, ''), nullif(i.execution_id, '')
            FROM unnest(%(customer_ids)s::text[], %(seqs)s::bigint[], %(previous)s::bigint[],
                %(trade_ids)s::uuid[], %(kinds)s::bigint[], %(causes)s::text[],
                %(statuses)s::bigint[], %(reasons)s::bigint[], %(texts)s::text[],
                %(doubts)s::bigint[], %(quantities)s::bigint[], %(notionals)s::bigint[],
                %(exchange_order_ids)s::text[], %(executed_ats)s::timestamptz[],
                %(doubted_ats)s::timestamptz[], %(refusals)s::bigint[],
                %(venues)s::text[], %(execution_ids)s::text[])
                AS i (customer_id, seq, previous_seq, trade_id, kind, cause, status, reason,
                    reason_text, in_doubt, filled_quantity, filled_notional_micros,
                    exchange_order_id, executed_at, in_doubt_since, refusal, venue, execution_id)
            """,
            {
                "at": events[0].occurred_at,
                "customer_ids": Texts([trade.customer_id for trade in trades]),
                "seqs": Bigints([trade.seq for trade in trades]),
                "previous": Bigints([event.previous_seq for event in events]),
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "kinds": Bigints([event.kind for event in events]),
                "causes": Texts([event.cause for event in events]),
                "statuses": Bigints([each.status for each in standings]),
                "reasons": Bigints([each.reason for each in standings]),
                "texts": Texts([each.reason_text for each in standings]),
                "doubts": Bigints([each.in_doubt for each in standings]),
                "quantities": Bigints([each.filled_quantity for each in standings]),
                "notionals": Bigints([each.filled_notional_micros for each in standings]),
                "exchange_order_ids": Texts([each.exchange_order_id for each in standings]),
                "executed_ats": Moments([each.executed_at for each in standings]),
                "doubted_ats": Moments([each.in_doubt_since for each in standings]),
                "refusals": Bigints([event.refusal for event in events]),
                "venues": Texts([venue for venue, _ in fills]),
                "execution_ids": Texts([execution_id for _, execution_id in fills]),
            },
        )
