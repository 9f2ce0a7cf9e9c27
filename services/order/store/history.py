"""What replaces made of trades, as of any event of theirs.

Most trades were never replaced: for those nothing is asked.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from msgspec.structs import replace

from services.order.domain.event import TradeEvent
from services.order.domain.trade import Replace, Trade
from services.order.store.arrays import Bigints, Texts
from services.order.store.rows import replace_from


class Chapter(msgspec.Struct, frozen=True):
    """A replace and the events of the customer's sequence that asked for it and answered it."""

    replace: Replace
    asked_seq: int
    answered_seq: int | None
    replaced_seq: int | None

    def is_open_at(self, seq: int) -> bool:
        """Whether it was on its way to the exchange right after that event."""
        return self.answered_seq is None or self.answered_seq > seq

    def as_of(self, seq: int) -> Replace:
        """As it was told by that event: while it was open nobody knew what would be filled."""
        if not self.is_open_at(seq):
            return self.replace
        quantity = self.replace.asked.quantity or self.replace.old.quantity
        return replace(self.replace, new=replace(self.replace.new, quantity=quantity))

    def is_told_by(self, seq: int) -> bool:
        """Whether that event asked for it or answered it."""
        return seq in (self.asked_seq, self.answered_seq)


class History:
    """Completes trades and events as rows hold them."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def trades(self, trades: Sequence[Trade]) -> list[Trade]:
        """The trades with the terms, ids and pending replace they had right after event `seq`."""
        chapters = await self._chapters(trades)
        return [
            told(trade, chapters[trade.trade_id, trade.seq]) if trade.as_placed else trade
            for trade in trades
        ]

    async def events(self, events: Sequence[TradeEvent]) -> list[TradeEvent]:
        """The same for the trades of events, and the replaces that these tell of."""
        chapters = await self._chapters([event.trade for event in events])
        return [
            _told_event(event, chapters[event.trade.trade_id, event.seq])
            if event.trade.as_placed
            else event
            for event in events
        ]

    async def by_client_order_ids(
        self, keys: Sequence[tuple[str, str]]
    ) -> psycopg.AsyncCursor[tuple[Any, ...]]:
        """Customer, client_order_id and trade of the replaces with these keys, not read yet."""
        return await self._connection.execute(
            """
            SELECT customer_id, client_order_id, trade_id::text FROM trade_replace
            WHERE customer_id || '/' || client_order_id = ANY (%(keys)s::text[])
            """,
            {"keys": Texts(["/".join(key) for key in keys])},
            binary=True,
        )

    async def _chapters(self, trades: Sequence[Trade]) -> dict[tuple[str, int], list[Chapter]]:
        """By trade and event: the replace asked for last until then, and the one in force."""
        wanted = sorted({(trade.trade_id, trade.seq) for trade in trades if trade.as_placed})
        if not wanted:
            return {}
        cursor = await self._connection.execute(
            """
            SELECT r.replace_id::text, r.client_order_id, r.orig_client_order_id,
                r.asked_quantity, r.asked_limit_price_micros, r.asked_stop_price_micros,
                r.old_quantity, r.old_limit_price_micros, r.old_stop_price_micros,
                r.old_filled_quantity, r.quantity, r.limit_price_micros, r.stop_price_micros,
                r.asked_seq, r.answered_seq, r.replaced_seq, i.number
            FROM unnest(%(trade_ids)s::uuid[], %(seqs)s::bigint[])
                WITH ORDINALITY AS i (trade_id, seq, number)
            CROSS JOIN LATERAL (
                (SELECT * FROM trade_replace
                WHERE trade_id = i.trade_id AND asked_seq <= i.seq
                ORDER BY asked_seq DESC
                LIMIT 1)
                UNION
                (SELECT * FROM trade_replace
                WHERE trade_id = i.trade_id AND replaced_seq <= i.seq
                ORDER BY replaced_seq DESC
                LIMIT 1)
            ) AS r
            """,
            {
                "trade_ids": Texts([trade_id for trade_id, _ in wanted]),
                "seqs": Bigints([seq for _, seq in wanted]),
            },
            binary=True,
        )
        chapters: dict[tuple[str, int], list[Chapter]] = {key: [] for key in wanted}
        async for row in cursor:
            chapters[wanted[row[16] - 1]].append(Chapter(replace_from(row[:13]), *row[13:16]))
        return chapters


def told(trade: Trade, chapters: Sequence[Chapter]) -> Trade:
    """A trade that was replaced, or is to be, as it stood right after its event `seq`."""
    for chapter in chapters:
        if chapter.replaced_seq is not None and chapter.replaced_seq <= trade.seq:
            trade = replace(
                trade,
                terms=trade.terms.revised(chapter.replace.new),
                client_order_id=chapter.replace.client_order_id,
                orig_client_order_id=chapter.replace.orig_client_order_id,
            )
        if chapter.is_open_at(trade.seq):
            trade = replace(
                trade, standing=replace(trade.standing, replace=chapter.as_of(trade.seq))
            )
    return trade


def _told_event(event: TradeEvent, chapters: Sequence[Chapter]) -> TradeEvent:
    of_event = next((each for each in chapters if each.is_told_by(event.seq)), None)
    return replace(
        event,
        trade=told(event.trade, chapters),
        replace=of_event.as_of(event.seq) if of_event is not None else None,
    )
