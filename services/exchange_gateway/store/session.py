"""Cold reads, and the rare writes about the session itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from services.exchange_gateway.domain import Instrument, State
from services.exchange_gateway.store.progress import Deposed, Seat

_SUMMARY = """
SELECT (SELECT count(*) FROM unanswered_order WHERE session_id = %(session_id)s),
       (SELECT count(*) FROM parked_report WHERE session_id = %(session_id)s AND state = 1),
       coalesce((SELECT next_seq FROM progress
                 WHERE session_id = %(session_id)s AND lane = 'commands'), 1),
       coalesce((SELECT next_seq FROM progress
                 WHERE session_id = %(session_id)s AND lane = 'stored'), 1),
       coalesce((SELECT next_seq FROM progress
                 WHERE session_id = %(session_id)s AND lane = 'delivered'), 1),
       (SELECT count(*) FROM later_report WHERE session_id = %(session_id)s),
       (SELECT min(since) FROM later_report WHERE session_id = %(session_id)s),
       (SELECT count(*) FROM order_break WHERE session_id = %(session_id)s AND state = 1),
       (SELECT count(*) FROM held_stop WHERE session_id = %(session_id)s AND state IN (1, 2))
"""

_ORDERS = """
SELECT o.trade_id::text, o.state, o.exchange_order_id, o.filled_quantity - o.taken_back,
       o.created_at, h.stop_price_micros, h.trigger_price_micros, h.triggered_at
FROM venue_order o LEFT JOIN held_stop h ON h.trade_id = o.trade_id
WHERE o.trade_id = ANY(%(trade_ids)s::uuid[])
"""

_SAVE_INSTRUMENTS = """
WITH listed AS (
    SELECT * FROM unnest(%(symbols)s::text[], %(names)s::text[], %(are_tradable)s::boolean[])
    AS i (symbol, name, is_tradable)
), gone AS (
    DELETE FROM instrument
    WHERE session_id = %(session_id)s AND symbol <> ALL(%(symbols)s::text[])
)
INSERT INTO instrument AS n (session_id, symbol, name, is_tradable)
SELECT %(session_id)s, symbol, name, is_tradable FROM listed ORDER BY symbol
ON CONFLICT (session_id, symbol) DO UPDATE
SET name = excluded.name, is_tradable = excluded.is_tradable
WHERE (n.name, n.is_tradable) IS DISTINCT FROM (excluded.name, excluded.is_tradable)
"""


@dataclass(frozen=True, slots=True)
class Summary:
    """How the session stands in the books."""

    pending_orders: int
    parked_reports: int
    next_command_seq: int
    next_report_seq: int
    next_delivery_seq: int
    waiting_reports: int
    waiting_since: datetime | None
    order_breaks: int
    held_stops: int


@dataclass(frozen=True, slots=True)
class Held:
    """A stop that the house holds or held; micros per share, 0 and None: it was not triggered."""

    stop_price_micros: int
    trigger_price_micros: int
    triggered_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredOrder:
    """What the gateway knows of an order."""

    trade_id: str
    state: State
    exchange_order_id: str
    filled_quantity: int
    created_at: datetime
    held: Held | None


class SessionStore:
    """Cold reads and rare writes, each its own transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, session_id: str) -> None:
        self._connection = connection
        self._session_id = session_id

    async def remember(self, seat: Seat, *, venue: str, report_offset: int) -> None:
        """Keep the venue's name and how its numbers relate to ours. Raises Deposed."""
        cursor = await self._connection.execute(
            "UPDATE venue_session SET venue = %(venue)s, report_offset = %(report_offset)s"
            " WHERE session_id = %(session_id)s AND term = %(term)s",
            {
                "session_id": seat.session_id,
                "term": seat.term,
                "venue": venue,
                "report_offset": report_offset,
            },
        )
        if cursor.rowcount != 1:
            raise Deposed

    async def check(self, seat: Seat) -> None:
        """Whether the seat is still good. Raises Deposed."""
        cursor = await self._connection.execute(
            "SELECT FROM venue_session WHERE session_id = %(session_id)s AND term = %(term)s",
            {"session_id": seat.session_id, "term": seat.term},
        )
        if cursor.rowcount != 1:
            raise Deposed

    async def summarise(self) -> Summary:
        """How the session stands."""
        cursor = await self._connection.execute(_SUMMARY, {"session_id": self._session_id})
        row = await cursor.fetchone()
        return Summary(*row) if row is not None else Summary(0, 0, 1, 1, 1, 0, None, 0, 0)

    async def find_orders(self, trade_ids: Sequence[str]) -> dict[str, StoredOrder]:
        """What is known of these orders."""
        cursor = await self._connection.execute(_ORDERS, {"trade_ids": list(trade_ids)})
        rows = await cursor.fetchall()
        return {row[0]: _stored_order(*row) for row in rows}

    async def list_instruments(self) -> list[Instrument]:
        """What was listed when last heard, by symbol."""
        cursor = await self._connection.execute(
            "SELECT symbol, name, is_tradable FROM instrument"
            " WHERE session_id = %(session_id)s ORDER BY symbol",
            {"session_id": self._session_id},
        )
        return [Instrument(*row) for row in await cursor.fetchall()]

    async def save_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Make `instruments` what is listed."""
        await self._connection.execute(
            _SAVE_INSTRUMENTS,
            {
                "session_id": self._session_id,
                "symbols": [i.symbol for i in instruments],
                "names": [i.name for i in instruments],
                "are_tradable": [i.is_tradable for i in instruments],
            },
        )


def _stored_order(trade_id: str, state: int, *rest: Any) -> StoredOrder:
    exchange_order_id, filled_quantity, created_at, stop_price_micros, *triggered = rest
    held = Held(stop_price_micros, *triggered) if stop_price_micros is not None else None
    return StoredOrder(trade_id, State(state), exchange_order_id, filled_quantity, created_at, held)
