"""Trades as they stand."""

from collections.abc import Sequence
from typing import Any

import psycopg
from msgspec.structs import replace

from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Moments, Octets, Texts
from services.order.store.history import History
from services.order.store.rows import trade_from


class Trades:
    """Changed only under the lock of their customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def by_ids(self, trade_ids: Sequence[str]) -> dict[str, Trade]:
        """The trades with these ids, those that exist, by id."""
        trades = await self._by_ids(trade_ids)
        return {each.trade_id: each for each in await History(self._connection).trades(trades)}

    async def _by_ids(self, trade_ids: Sequence[str]) -> list[Trade]:
        """Without what replaces made of them."""
        cursor = await self._connection.execute(
            """
            SELECT trade_id::text, client_order_id, customer_id, placed_seq, created_at,
                symbol, side, coalesce(placed_quantity, quantity), order_type,
                coalesce(placed_limit_price_micros, limit_price_micros),
                coalesce(placed_stop_price_micros, stop_price_micros), time_in_force,
                status, reason, reason_text, in_doubt, filled_quantity, filled_notional_micros,
                exchange_order_id, executed_at, in_doubt_since, updated_at, seq,
                placed_quantity IS NOT NULL, taken_back
            FROM trade
            WHERE trade_id = ANY (%(trade_ids)s::uuid[])
            """,
            {"trade_ids": Texts(trade_ids)},
            binary=True,
        )
        return [_with_taken_back(trade_from(row), row[24]) async for row in cursor]

    async def by_client_order_ids(
        self, keys: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Trade]:
        """The trades with these (customer_id, client_order_id), those that exist, by key.

        Also by an id that a replace gave them, or was to give them.
        """
        history = History(self._connection)
        async with self._connection.pipeline():
            placed = await self._by_placed_ids(keys)
            replaced = await history.by_client_order_ids(keys)
        trades = {(row[2], row[1]): trade_from(row) async for row in placed}
        renamed = {(row[0], row[1]): row[2] async for row in replaced}
        if renamed:
            by_id = {each.trade_id: each for each in await self._by_ids(list(renamed.values()))}
            trades |= {key: by_id[trade_id] for key, trade_id in renamed.items()}
        found = await history.trades(list(trades.values()))
        return dict(zip(trades, found, strict=True))

    async def _by_placed_ids(
        self, keys: Sequence[tuple[str, str]]
    ) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        """Without what replaces made of them, not read yet."""
        return await self._connection.execute(
            """
            SELECT trade_id::text, client_order_id, customer_id, placed_seq, created_at,
                symbol, side, coalesce(placed_quantity, quantity), order_type,
                coalesce(placed_limit_price_micros, limit_price_micros),
                coalesce(placed_stop_price_micros, stop_price_micros), time_in_force,
                status, reason, reason_text, in_doubt, filled_quantity, filled_notional_micros,
                exchange_order_id, executed_at, in_doubt_since, updated_at, seq,
                placed_quantity IS NOT NULL
            FROM trade
            WHERE customer_id || '/' || client_order_id = ANY (%(keys)s::text[])
            """,
            {"keys": Texts(["/".join(key) for key in keys])},
            binary=True,
        )

    async def add(self, trades: Sequence[Trade], decisions: Sequence[bytes]) -> None:
        """Record new trades as placed, each with what it was decided by; empty: by nothing."""
        terms = [trade.terms for trade in trades]
        await self._connection.execute(
            """
            INSERT INTO trade (trade_id, client_order_id, customer_id, placed_seq, created_at,
                symbol, side, quantity, order_type, limit_price_micros, stop_price_micros,
                time_in_force, status, reason, reason_text, in_doubt, filled_quantity,
                filled_notional_micros, exchange_order_id, executed_at, updated_at, seq,
                decision)
            SELECT i.trade_id, i.client_order_id, i.customer_id, i.seq, %(at)s,
                i.symbol, i.side, i.quantity, i.order_type, i.limit_price_micros,
                i.stop_price_micros, i.time_in_force, 1, 0, '', false, 0,
                0, '', NULL, %(at)s, i.seq, nullif(i.decision, '')
            FROM unnest(%(trade_ids)s::uuid[], %(client_order_ids)s::text[],
                %(customer_ids)s::text[], %(seqs)s::bigint[], %(symbols)s::text[],
                %(sides)s::bigint[], %(quantities)s::bigint[], %(order_types)s::bigint[],
                %(limits)s::bigint[], %(stops)s::bigint[], %(times_in_force)s::bigint[],
                %(decisions)s::bytea[])
                AS i (trade_id, client_order_id, customer_id, seq, symbol, side, quantity,
                    order_type, limit_price_micros, stop_price_micros, time_in_force,
                    decision)
            """,
            {
                "at": trades[0].created_at,
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "client_order_ids": Texts([trade.client_order_id for trade in trades]),
                "customer_ids": Texts([trade.customer_id for trade in trades]),
                "seqs": Bigints([trade.placed_seq for trade in trades]),
                "symbols": Texts([each.symbol for each in terms]),
                "sides": Bigints([each.side for each in terms]),
                "quantities": Bigints([each.quantity for each in terms]),
                "order_types": Bigints([each.order_type for each in terms]),
                "limits": Bigints([each.limit_price_micros for each in terms]),
                "stops": Bigints([each.stop_price_micros for each in terms]),
                "times_in_force": Bigints([each.time_in_force for each in terms]),
                "decisions": Octets(decisions),
            },
        )

    async def save(self, trades: Sequence[Trade]) -> None:
        """Record where trades stand."""
        standings = [trade.standing for trade in trades]
        await self._connection.execute(
            """
            UPDATE trade AS t
            SET status = i.status, reason = i.reason, reason_text = i.reason_text,
                in_doubt = i.in_doubt = 1, filled_quantity = i.filled_quantity,
                filled_notional_micros = i.filled_notional_micros,
                exchange_order_id = i.exchange_order_id, executed_at = i.executed_at,
                in_doubt_since = i.in_doubt_since,
                updated_at = %(at)s, seq = i.seq
            FROM unnest(%(trade_ids)s::uuid[], %(statuses)s::bigint[], %(reasons)s::bigint[],
                %(texts)s::text[], %(doubts)s::bigint[], %(quantities)s::bigint[],
                %(notionals)s::bigint[], %(exchange_order_ids)s::text[],
                %(executed_ats)s::timestamptz[], %(doubted_ats)s::timestamptz[], %(seqs)s::bigint[])
                AS i (trade_id, status, reason, reason_text, in_doubt, filled_quantity,
                    filled_notional_micros, exchange_order_id, executed_at, in_doubt_since, seq)
            WHERE t.trade_id = i.trade_id AND t.trade_id = ANY (%(trade_ids)s::uuid[])
            """,
            {
                "at": trades[0].updated_at,
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "statuses": Bigints([each.status for each in standings]),
                "reasons": Bigints([each.reason for each in standings]),
                "texts": Texts([each.reason_text for each in standings]),
                "doubts": Bigints([each.in_doubt for each in standings]),
                "quantities": Bigints([each.filled_quantity for each in standings]),
                "notionals": Bigints([each.filled_notional_micros for each in standings]),
                "exchange_order_ids": Texts([each.exchange_order_id for each in standings]),
                "executed_ats": Moments([each.executed_at for each in standings]),
                "doubted_ats": Moments([each.in_doubt_since for each in standings]),
                "seqs": Bigints([trade.seq for trade in trades]),
            },
        )


def _with_taken_back(trade: Trade, taken_back: int) -> Trade:
    if not taken_back:
        return trade
    return replace(trade, standing=replace(trade.standing, taken_back=taken_back))
