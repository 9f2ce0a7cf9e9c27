"""Replaces on record, and what they do to the terms of trades."""

from collections.abc import Sequence
from typing import Any

import psycopg

from services.order.domain.event import TradeEvent, TradeEventKind
from services.order.domain.replacing import Known
from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Texts
from services.order.store.rows import replace_from


class Replaces:
    """Changed only under the lock of their customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def by_ids(self, replace_ids: Sequence[str]) -> dict[str, Known]:
        """The replaces with these ids, those that exist, by id."""
        cursor = await self._connection.execute(
            """
            SELECT replace_id::text, client_order_id, orig_client_order_id,
                asked_quantity, asked_limit_price_micros, asked_stop_price_micros,
                old_quantity, old_limit_price_micros, old_stop_price_micros,
                old_filled_quantity, quantity, limit_price_micros, stop_price_micros,
                trade_id::text, answered_seq IS NOT NULL, replaced_seq IS NOT NULL
            FROM trade_replace
            WHERE replace_id = ANY (%(replace_ids)s::uuid[])
            """,
            {"replace_ids": Texts(replace_ids)},
            binary=True,
        )
        return {row[0]: _known(row) async for row in cursor}

    async def by_client_order_ids(self, keys: Sequence[tuple[str, str]]) -> dict[str, Known]:
        """The replaces with these (customer_id, client_order_id), by replace id."""
        cursor = await self._connection.execute(
            """
            SELECT replace_id::text, client_order_id, orig_client_order_id,
                asked_quantity, asked_limit_price_micros, asked_stop_price_micros,
                old_quantity, old_limit_price_micros, old_stop_price_micros,
                old_filled_quantity, quantity, limit_price_micros, stop_price_micros,
                trade_id::text, answered_seq IS NOT NULL, replaced_seq IS NOT NULL
            FROM trade_replace
            WHERE customer_id || '/' || client_order_id = ANY (%(keys)s::text[])
            """,
            {"keys": Texts(["/".join(key) for key in keys])},
            binary=True,
        )
        return {row[0]: _known(row) async for row in cursor}

    async def add(self, events: Sequence[TradeEvent]) -> None:
        """Record the replaces that these events ask for."""
        found = [(event, event.replace) for event in events if event.replace is not None]
        await self._connection.execute(
            """
            INSERT INTO trade_replace (replace_id, customer_id, trade_id, client_order_id,
                orig_client_order_id, asked_quantity, asked_limit_price_micros,
                asked_stop_price_micros, old_quantity, old_limit_price_micros,
                old_stop_price_micros, old_filled_quantity, quantity, limit_price_micros,
                stop_price_micros, asked_seq)
            SELECT * FROM unnest(%(replace_ids)s::uuid[], %(customer_ids)s::text[],
                %(trade_ids)s::uuid[], %(client_order_ids)s::text[], %(orig_ids)s::text[],
                %(asked_quantities)s::bigint[], %(asked_limits)s::bigint[],
                %(asked_stops)s::bigint[], %(old_quantities)s::bigint[], %(old_limits)s::bigint[],
                %(old_stops)s::bigint[], %(old_filled)s::bigint[], %(quantities)s::bigint[],
                %(limits)s::bigint[], %(stops)s::bigint[], %(seqs)s::bigint[])
            """,
            {
                "replace_ids": Texts([each.replace_id for _, each in found]),
                "customer_ids": Texts([event.trade.customer_id for event, _ in found]),
                "trade_ids": Texts([event.trade.trade_id for event, _ in found]),
                "client_order_ids": Texts([each.client_order_id for _, each in found]),
                "orig_ids": Texts([each.orig_client_order_id for _, each in found]),
                "asked_quantities": Bigints([each.asked.quantity for _, each in found]),
                "asked_limits": Bigints([each.asked.limit_price_micros for _, each in found]),
                "asked_stops": Bigints([each.asked.stop_price_micros for _, each in found]),
                "old_quantities": Bigints([each.old.quantity for _, each in found]),
                "old_limits": Bigints([each.old.limit_price_micros for _, each in found]),
                "old_stops": Bigints([each.old.stop_price_micros for _, each in found]),
                "old_filled": Bigints([each.old_filled_quantity for _, each in found]),
                "quantities": Bigints([each.new.quantity for _, each in found]),
                "limits": Bigints([each.new.limit_price_micros for _, each in found]),
                "stops": Bigints([each.new.stop_price_micros for _, each in found]),
                "seqs": Bigints([event.seq for event, _ in found]),
            },
        )

    async def answer(self, events: Sequence[TradeEvent]) -> None:
        """Record what these events answer, and how many shares a trade has then."""
        found = [(event, event.replace) for event in events if event.replace is not None]
        done = [event.kind is TradeEventKind.REPLACED for event, _ in found]
        await self._connection.execute(
            """
            UPDATE trade_replace AS r
            SET quantity = i.quantity, answered_seq = i.seq,
                replaced_seq = CASE WHEN i.is_done = 1 THEN i.seq END
            FROM unnest(%(replace_ids)s::uuid[], %(quantities)s::bigint[], %(seqs)s::bigint[],
                %(done)s::bigint[]) AS i (replace_id, quantity, seq, is_done)
            WHERE r.replace_id = i.replace_id AND r.replace_id = ANY (%(replace_ids)s::uuid[])
            """,
            {
                "replace_ids": Texts([each.replace_id for _, each in found]),
                "quantities": Bigints([each.new.quantity for _, each in found]),
                "seqs": Bigints([event.seq for event, _ in found]),
                "done": Bigints(done),
            },
        )

    async def revise(self, trades: Sequence[Trade]) -> None:
        """Give trades the terms they have now; those as placed are kept from the first time on."""
        terms = [trade.terms for trade in trades]
        await self._connection.execute(
            """
            UPDATE trade AS t
            SET placed_quantity = coalesce(t.placed_quantity, t.quantity),
                placed_limit_price_micros =
                    coalesce(t.placed_limit_price_micros, t.limit_price_micros),
                placed_stop_price_micros =
                    coalesce(t.placed_stop_price_micros, t.stop_price_micros),
                quantity = i.quantity, limit_price_micros = i.limit_price_micros,
                stop_price_micros = i.stop_price_micros,
                status = i.status, filled_quantity = i.filled_quantity,
                taken_back = i.taken_back
            FROM unnest(%(trade_ids)s::uuid[], %(quantities)s::bigint[], %(limits)s::bigint[],
                %(stops)s::bigint[], %(statuses)s::bigint[], %(filled)s::bigint[],
                %(taken_back)s::bigint[])
                AS i (trade_id, quantity, limit_price_micros, stop_price_micros, status,
                    filled_quantity, taken_back)
            WHERE t.trade_id = i.trade_id AND t.trade_id = ANY (%(trade_ids)s::uuid[])
            """,
            {
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "quantities": Bigints([each.quantity for each in terms]),
                "limits": Bigints([each.limit_price_micros for each in terms]),
                "stops": Bigints([each.stop_price_micros for each in terms]),
                "statuses": Bigints([trade.status for trade in trades]),
                "filled": Bigints([trade.standing.filled_quantity for trade in trades]),
                "taken_back": Bigints([trade.standing.taken_back for trade in trades]),
            },
        )


def _known(row: Sequence[Any]) -> Known:
    """The columns of a replace, then trade, whether it is answered, and whether it is done."""
    trade_id, is_answered, is_done = row[13:16]
    answer = TradeEventKind.REPLACED if is_done else TradeEventKind.REPLACE_REJECTED
    return Known(
        trade_id=trade_id,
        replace=replace_from(row[:13]),
        answer=answer if is_answered else None,
    )
