"""New trades: the trade, its first event and its place in the queue, in one statement."""

from collections.abc import Collection, Sequence

import psycopg

from libs.partition import partition_of
from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Octets, Texts
from services.order.store.later import Later

_NOT_QUEUED, _FIRST, _BEHIND = 0, 1, 2


class Placed:
    """Written under the lock of the customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def add(
        self, trades: Sequence[Trade], decisions: Sequence[bytes], over: Collection[str]
    ) -> Later[list[str]]:
        """Record new trades as placed, ordered by seq per customer, at the end of their queues.

        `decisions`: what each was decided by; empty: by nothing. Those with ids in `over` are not
        queued. The customers who had no open trade before.
        """
        terms = [trade.terms for trade in trades]
        customer_ids = [trade.customer_id for trade in trades]
        cursor = await self._connection.execute(
            """
            WITH i AS MATERIALIZED (
                SELECT *
                FROM unnest(%(trade_ids)s::uuid[], %(client_order_ids)s::text[],
                    %(customer_ids)s::text[], %(seqs)s::bigint[], %(symbols)s::text[],
                    %(sides)s::bigint[], %(quantities)s::bigint[], %(order_types)s::bigint[],
                    %(limits)s::bigint[], %(stops)s::bigint[], %(times_in_force)s::bigint[],
                    %(decisions)s::bytea[], %(partitions)s::bigint[], %(turns)s::bigint[])
                    AS i (trade_id, client_order_id, customer_id, seq, symbol, side, quantity,
                        order_type, limit_price_micros, stop_price_micros, time_in_force,
                        decision, partition, turn)
            ), placed AS (
                INSERT INTO trade (trade_id, client_order_id, customer_id, placed_seq, created_at,
                    symbol, side, quantity, order_type, limit_price_micros, stop_price_micros,
                    time_in_force, status, reason, reason_text, in_doubt, filled_quantity,
                    filled_notional_micros, exchange_order_id, executed_at, updated_at, seq,
                    decision)
                SELECT i.trade_id, i.client_order_id, i.customer_id, i.seq, %(at)s,
                    i.symbol, i.side, i.quantity, i.order_type, i.limit_price_micros,
                    i.stop_price_micros, i.time_in_force, 1, 0, '', false, 0,
                    0, '', NULL, %(at)s, i.seq, nullif(i.decision, '')
                FROM i
            ), told AS (
                INSERT INTO trade_event (customer_id, seq, previous_seq, trade_id, kind, cause,
                    occurred_at, status, reason, reason_text, in_doubt, filled_quantity,
                    filled_notional_micros, exchange_order_id)
                SELECT i.customer_id, i.seq, 0, i.trade_id, 1, 'customer',
                    %(at)s, 1, 0, '', false, 0,
                    0, ''
                FROM i
            ), queued AS (
                INSERT INTO open_trade
                    (customer_id, placed_seq, trade_id, partition, placed_at, is_head)
                SELECT i.customer_id, i.seq, i.trade_id, i.partition, %(at)s,
                    i.turn = 1 AND older.is_open IS NULL
                FROM i
                LEFT JOIN LATERAL (
                    SELECT true AS is_open FROM open_trade WHERE customer_id = i.customer_id LIMIT 1
                ) AS older ON true
                WHERE i.turn > 0
                RETURNING customer_id, is_head
            )
            SELECT customer_id FROM queued WHERE is_head
            """,
            {
                "at": trades[0].created_at,
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "client_order_ids": Texts([trade.client_order_id for trade in trades]),
                "customer_ids": Texts(customer_ids),
                "seqs": Bigints([trade.placed_seq for trade in trades]),
                "symbols": Texts([each.symbol for each in terms]),
                "sides": Bigints([each.side for each in terms]),
                "quantities": Bigints([each.quantity for each in terms]),
                "order_types": Bigints([each.order_type for each in terms]),
                "limits": Bigints([each.limit_price_micros for each in terms]),
                "stops": Bigints([each.stop_price_micros for each in terms]),
                "times_in_force": Bigints([each.time_in_force for each in terms]),
                "decisions": Octets(decisions),
                "partitions": Bigints(list(map(partition_of, customer_ids))),
                "turns": Bigints(_turns(trades, over)),
            },
            binary=True,
        )
        return Later(cursor, lambda rows: [customer_id for (customer_id,) in rows])


def _turns(trades: Sequence[Trade], over: Collection[str]) -> list[int]:
    """Of each trade whether it is queued, and whether it is its customer's first of the batch."""
    seen: set[str] = set()
    turns = []
    for trade in trades:
        if trade.trade_id in over:
            turns.append(_NOT_QUEUED)
            continue
        turns.append(_BEHIND if trade.customer_id in seen else _FIRST)
        seen.add(trade.customer_id)
    return turns
