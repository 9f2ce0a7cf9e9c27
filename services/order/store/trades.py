"""Trades as they stand."""

from collections.abc import Sequence
from typing import Any

import psycopg

from services.order.domain.trade import Trade
from services.order.store.arrays import Texts
from services.order.store.history import History
from services.order.store.later import Later
from services.order.store.rows import current_trade_from, trade_from


class Trades:
    """Changed only under the lock of their customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def by_ids(self, trade_ids: Sequence[str]) -> dict[str, Trade]:
        """The trades with these ids, those that exist, by id."""
        return await self.told(await self.ask(trade_ids))

    async def told(self, asked: Later[list[Trade]]) -> dict[str, Trade]:
        """What was asked for, with what replaces made of them, by id."""
        trades = await History(self._connection).trades(await asked.read())
        return {trade.trade_id: trade for trade in trades}

    async def ask(self, trade_ids: Sequence[str]) -> Later[list[Trade]]:
        """The trades with these ids, those that exist, without what replaces made of them."""
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
        return Later(cursor, lambda rows: list(map(current_trade_from, rows)))

    async def by_client_order_ids(
        self, keys: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Trade]:
        """The trades with these (customer_id, client_order_id), those that exist, by key.

        Also by an id that a replace gave them, or was to give them.
        """
        history = History(self._connection)
        placed = await self._by_placed_ids(keys)
        replaced = await history.by_client_order_ids(keys)
        trades = {(row[2], row[1]): trade_from(row) for row in await placed.fetchall()}
        renamed = {(row[0], row[1]): row[2] for row in await replaced.fetchall()}
        if renamed:
            asked = await self.ask(list(renamed.values()))
            by_id = {each.trade_id: each for each in await asked.read()}
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
