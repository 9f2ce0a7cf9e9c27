"""Fills that the exchange took back or corrected."""

from collections.abc import Sequence

import psycopg

from services.order.domain.event import Amendment, TradeEvent
from services.order.domain.trade import Trade
from services.order.store.arrays import Bigints, Texts
from services.order.store.rows import amendment_from


class Amendments:
    """Written once, under the lock of the customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def by_keys(
        self, keys: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], list[Amendment]]:
        """What amended the fills with these (venue, execution_id), in order, by key."""
        cursor = await self._connection.execute(
            """
            SELECT a.amendment_id, a.execution_id, a.venue, a.quantity, a.price_micros,
                coalesce(a.old_quantity, e.quantity),
                coalesce(a.old_price_micros, e.price_micros), a.amended_at, a.reason_text,
                a.previous_id
            FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS i (v, x)
            CROSS JOIN LATERAL (
                SELECT * FROM execution_amendment
                WHERE venue = i.v AND execution_id = i.x
                ORDER BY number OFFSET 0
            ) AS a
            CROSS JOIN LATERAL (
                SELECT * FROM execution WHERE venue = i.v AND execution_id = i.x LIMIT 1
            ) AS e
            ORDER BY a.venue, a.execution_id, a.number
            """,
            {
                "venues": Texts([venue for venue, _ in keys]),
                "execution_ids": Texts([execution_id for _, execution_id in keys]),
            },
            binary=True,
        )
        found: dict[tuple[str, str], list[Amendment]] = {}
        async for row in cursor:
            amendment = amendment_from(row)
            found.setdefault(amendment.key, []).append(amendment)
        return found

    async def add(self, events: Sequence[TradeEvent]) -> None:
        """Record what these events tell of, in order."""
        told = [(event, event.amendment) for event in events if event.amendment is not None]
        await self._connection.execute(
            """
            INSERT INTO execution_amendment (venue, execution_id, amendment_id, trade_id, quantity,
                price_micros, amended_at, reason_text, previous_id, old_quantity, old_price_micros,
                event_seq, number)
            SELECT i.*, (
                SELECT count(*) FROM execution_amendment
                WHERE venue = i.venue AND execution_id = i.execution_id
            ) + row_number() OVER (PARTITION BY i.venue, i.execution_id ORDER BY i.event_seq)
            FROM unnest(%(venues)s::text[], %(execution_ids)s::text[],
                %(amendment_ids)s::text[], %(trade_ids)s::uuid[], %(quantities)s::bigint[],
                %(prices)s::bigint[], %(amended_ats)s::timestamptz[], %(texts)s::text[],
                %(previous_ids)s::text[], %(old_quantities)s::bigint[], %(old_prices)s::bigint[],
                %(event_seqs)s::bigint[])
                AS i (venue, execution_id, amendment_id, trade_id, quantity, price_micros,
                    amended_at, reason_text, previous_id, old_quantity, old_price_micros, event_seq)
            """,
            {
                "venues": Texts([each.venue for _, each in told]),
                "execution_ids": Texts([each.execution_id for _, each in told]),
                "amendment_ids": Texts([each.amendment_id for _, each in told]),
                "trade_ids": Texts([event.trade.trade_id for event, _ in told]),
                "quantities": Bigints([each.quantity for _, each in told]),
                "prices": Bigints([each.price_micros for _, each in told]),
                "amended_ats": [each.amended_at for _, each in told],
                "texts": Texts([each.reason_text for _, each in told]),
                "previous_ids": Texts([each.previous_id for _, each in told]),
                "old_quantities": Bigints([each.old_quantity for _, each in told]),
                "old_prices": Bigints([each.old_price_micros for _, each in told]),
                "event_seqs": Bigints([event.seq for event, _ in told]),
            },
        )

    async def take_back(self, trades: Sequence[Trade]) -> None:
        """How far these trades are filled, and what was taken back of them."""
        await self._connection.execute(
            """
            UPDATE trade AS t
            SET status = i.status, filled_quantity = i.filled, taken_back = i.taken_back
            FROM unnest(%(trade_ids)s::uuid[], %(statuses)s::bigint[], %(filled)s::bigint[],
                %(taken_back)s::bigint[]) AS i (trade_id, status, filled, taken_back)
            WHERE t.trade_id = i.trade_id AND t.trade_id = ANY (%(trade_ids)s::uuid[])
            """,
            {
                "trade_ids": Texts([trade.trade_id for trade in trades]),
                "statuses": Bigints([trade.status for trade in trades]),
                "filled": Bigints([trade.standing.filled_quantity for trade in trades]),
                "taken_back": Bigints([trade.standing.taken_back for trade in trades]),
            },
        )
