"""What happened: one row per event and one per fill, written once and never changed."""

from collections.abc import Sequence
from datetime import datetime

import psycopg

from services.order.domain.event import Execution, TradeEvent
from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Moments, Packed, Texts
from services.order.store.later import Later
from services.order.store.rows import execution_from


class Events:
    """The customers' event sequences and the fills they tell of."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def executions(
        self, keys: Sequence[tuple[str, str]]
    ) -> Later[dict[tuple[str, str], Execution]]:
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
        return Later(cursor, lambda rows: {each.key: each for each in map(execution_from, rows)})

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

    async def record(self, events: Sequence[TradeEvent]) -> None:
        """Record events, where they leave their trades, and the heads of their customers.

        Of a trade and of a customer in sequence.
        """
        trades = [event.trade for event in events]
        standings = [trade.standing for trade in trades]
        fills = [event.fill_key for event in events]
        columns: dict[str, Packed | datetime] = {
            "at": events[0].occurred_at,
            "customer_ids": Texts([trade.customer_id for trade in trades]),
            "seqs": Bigints([trade.seq for trade in trades]),
            "previous": Bigints([event.previous_seq for event in events]),
            "trade_ids": Texts([trade.trade_id for trade in trades]),
            "kinds": Bigints([event.kind for event in events]),
            "causes": Texts([event.cause for event in events]),
            "statuses": Bigints([each.status for each in standings]),
            "quantities": Bigints([each.filled_quantity for each in standings]),
            "notionals": Bigints([each.filled_notional_micros for each in standings]),
            "exchange_order_ids": Texts([each.exchange_order_id for each in standings]),
            "executed_ats": Moments([each.executed_at for each in standings]),
            "venues": Texts([venue for venue, _ in fills]),
            "execution_ids": Texts([execution_id for _, execution_id in fills]),
            "lasts": Bigints(_lasts(trades)),
        }
        if all(map(_is_plain, events)):
            await self._connection.execute(_RECORD_PLAIN, columns)
            return
        columns |= {
            "reasons": Bigints([each.reason for each in standings]),
            "texts": Texts([each.reason_text for each in standings]),
            "doubted_ats": Moments([each.in_doubt_since for each in standings]),
            "refusals": Bigints([event.refusal for event in events]),
        }
        await self._connection.execute(_RECORD, columns)


def _lasts(trades: Sequence[Trade]) -> list[int]:
    """Of each event 2 if it is its customer's last, 1 if it is but its trade's last, else 0."""
    of_trade = {trade.trade_id: trade.seq for trade in trades}
    of_customer = {trade.customer_id: trade.seq for trade in trades}
    return [
        (of_trade[trade.trade_id] == trade.seq) + (of_customer[trade.customer_id] == trade.seq)
        for trade in trades
    ]


def _is_plain(event: TradeEvent) -> bool:
    """Whether it gives no reason and has no doubt: most are so, and need fewer columns."""
    standing = event.trade.standing
    return not (standing.reason or standing.reason_text or standing.in_doubt or event.refusal)


# One pass over the events: each statement of its own would look the same rows up once more.
_RECORDING = """
WITH i AS MATERIALIZED (
    SELECT *
    FROM unnest(%(customer_ids)s::text[], %(seqs)s::bigint[], %(previous)s::bigint[],
        %(trade_ids)s::uuid[], %(kinds)s::bigint[], %(causes)s::text[],
        %(statuses)s::bigint[], %(quantities)s::bigint[], %(notionals)s::bigint[],
        %(exchange_order_ids)s::text[], %(executed_ats)s::timestamptz[],
        %(venues)s::text[], %(execution_ids)s::text[], %(lasts)s::bigint[]{arrays})
        AS i (customer_id, seq, previous_seq, trade_id, kind, cause, status, filled_quantity,
            filled_notional_micros, exchange_order_id, executed_at, venue, execution_id,
            last{names})
), counted AS (
    UPDATE customer_head AS h
    SET head_seq = i.seq
    FROM i
    WHERE h.customer_id = i.customer_id
        AND h.customer_id = ANY (%(customer_ids)s::text[])
        AND i.last = 2
), stands AS (
    UPDATE trade AS t
    SET status = i.status, reason = {reason}, reason_text = {text}, in_doubt = {is_doubted},
        filled_quantity = i.filled_quantity,
        filled_notional_micros = i.filled_notional_micros,
        exchange_order_id = i.exchange_order_id, executed_at = i.executed_at,
        in_doubt_since = {doubted_at}, updated_at = %(at)s, seq = i.seq
    FROM i
    WHERE t.trade_id = i.trade_id AND t.trade_id = ANY (%(trade_ids)s::uuid[])
        AND i.last > 0
)
INSERT INTO trade_event (customer_id, seq, previous_seq, trade_id, kind, cause,
    occurred_at, status, reason, reason_text, in_doubt, filled_quantity,
    filled_notional_micros, exchange_order_id, executed_at, in_doubt_since,
    refusal, venue, execution_id)
SELECT i.customer_id, i.seq, i.previous_seq, i.trade_id, i.kind, i.cause,
    %(at)s, i.status, {reason}, {text}, {is_doubted}, i.filled_quantity,
    i.filled_notional_micros, i.exchange_order_id, i.executed_at, {doubted_at},
    {refusal}, nullif(i.venue, ''), nullif(i.execution_id, '')
FROM i
"""

_RECORD_PLAIN = _RECORDING.format(
    arrays="",
    names="",
    reason="0",
    text="''",
    is_doubted="false",
    doubted_at="NULL::timestamptz",
    refusal="0",
)

_RECORD = _RECORDING.format(
    arrays=""",
        %(reasons)s::bigint[], %(texts)s::text[], %(doubted_ats)s::timestamptz[],
        %(refusals)s::bigint[]""",
    names=", reason, reason_text, in_doubt_since, refusal",
    reason="i.reason",
    text="i.reason_text",
    is_doubted="i.in_doubt_since IS NOT NULL",
    doubted_at="i.in_doubt_since",
    refusal="i.refusal",
)
