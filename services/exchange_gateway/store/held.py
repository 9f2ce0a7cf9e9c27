"""Stops that the house holds: recorded, asked about, and brought on their way when triggered."""

from collections.abc import Collection, Sequence
from datetime import datetime

import psycopg

from libs.postgres.arrays import Bigints, Octets, Texts
from services.exchange_gateway.domain import Command, Order, Report, State, Terms
from services.exchange_gateway.domain.held import Decision, HeldStop, Phase, Waiting
from services.exchange_gateway.domain.orders import TimeInForce
from services.exchange_gateway.domain.replaces import Asked, Revision
from services.exchange_gateway.store.columns import columns_of
from services.exchange_gateway.store.progress import Deposed, Seat

AUTHOR = "house"

_KEEP = """
WITH fresh AS (
    SELECT * FROM unnest(
        %(trade_ids)b::uuid[], %(customer_ids)b::text[], %(partitions)b::smallint[],
        %(epochs)b::bigint[], %(symbols)b::text[], %(sides)b::smallint[],
        %(quantities)b::bigint[], %(order_types)b::smallint[], %(limit_prices)b::bigint[],
        %(stop_prices)b::bigint[], %(times_in_force)b::smallint[], %(max_notionals)b::bigint[])
    AS i (trade_id, customer_id, partition, epoch, symbol, side, quantity, order_type,
          limit_price_micros, stop_price_micros, time_in_force, max_notional_micros)
), ordered AS (
    INSERT INTO venue_order (
        trade_id, session_id, command_seq, customer_id, partition, epoch, symbol, side, quantity,
        order_type, limit_price_micros, stop_price_micros, time_in_force, max_notional_micros, held)
    SELECT trade_id, %(session_id)s, 0, customer_id, partition, epoch, symbol, side, quantity,
           order_type, limit_price_micros, stop_price_micros, time_in_force, max_notional_micros, 1
    FROM fresh
    RETURNING trade_id, stop_price_micros
)
INSERT INTO held_stop (trade_id, session_id, stop_price_micros)
SELECT trade_id, %(session_id)s, stop_price_micros FROM ordered
"""

_OPEN = """
SELECT trade_id::text FROM held_stop WHERE session_id = %(session_id)s AND state IN (1, 2)
"""

_DUE = """
SELECT trade_id::text, state, is_canceled, day_mark FROM held_stop
WHERE session_id = %(session_id)s AND state IN (1, 2)
    AND (state = 1 OR is_canceled OR is_replaced OR trade_id = ANY(%(met)b::uuid[])
         OR day_mark < %(day_ended_at)s::timestamptz)
ORDER BY is_canceled DESC, state DESC, trade_id LIMIT %(most)s
"""

_ORDERS = """
SELECT trade_id::text, epoch, state, customer_id, partition, symbol, side, quantity, order_type,
       limit_price_micros, stop_price_micros, time_in_force, max_notional_micros,
       floor(extract(epoch FROM created_at) / 86400)::bigint
FROM venue_order WHERE trade_id = ANY(%(trade_ids)b::uuid[])
"""

_REPLACES = """
SELECT trade_id::text, replace_id::text, command_seq,
       quantity, limit_price_micros, stop_price_micros, max_notional_micros
FROM venue_replace
WHERE trade_id = ANY(%(trade_ids)b::uuid[]) AND answered_by_seq IS NULL AND command_seq > 0
ORDER BY command_seq
"""

_WRITE = """
INSERT INTO venue_report (session_id, seq, trade_id, kind, execution_id, raw, author)
SELECT %(session_id)s, i.seq, i.trade_id, i.kind, '', i.raw, %(author)s
FROM unnest(%(seqs)b::bigint[], %(trade_ids)b::uuid[], %(kinds)b::smallint[], %(raws)b::bytea[])
AS i (seq, trade_id, kind, raw)
"""

_SHIFT = """
UPDATE venue_session SET report_offset = report_offset + %(reports)s
WHERE session_id = %(session_id)s AND term = %(term)s
"""

_SETTLE = """
WITH bounded AS (
    UPDATE venue_order o SET max_notional_micros = i.max_notional_micros
    FROM unnest(%(trade_ids)s::uuid[], %(max_notionals)s::bigint[])
    AS i (trade_id, max_notional_micros)
    WHERE o.trade_id = i.trade_id AND o.trade_id = ANY(%(trade_ids)s::uuid[])
        AND o.max_notional_micros <> i.max_notional_micros
)
UPDATE held_stop h
SET state = i.state, is_replaced = false, stop_price_micros = i.stop_price_micros,
    day_mark = i.day_mark, trigger_price_micros = i.trigger_price_micros,
    triggered_at = CASE WHEN i.state = 3 THEN clock_timestamp() END
FROM unnest(%(trade_ids)s::uuid[], %(states)s::smallint[], %(stop_prices)s::bigint[],
            %(day_marks)s::timestamptz[], %(trigger_prices)s::bigint[])
AS i (trade_id, state, stop_price_micros, day_mark, trigger_price_micros)
WHERE h.trade_id = i.trade_id AND h.trade_id = ANY(%(trade_ids)s::uuid[])
"""

_SEND = """
WITH triggered AS (
    SELECT * FROM unnest(%(trade_ids)b::uuid[], %(seqs)b::bigint[], %(raws)b::bytea[])
    AS i (trade_id, seq, raw)
), ordered AS (
    UPDATE venue_order o
    SET held = 2, state = %(pending)s, command_seq = i.seq, stop_price_micros = 0,
        updated_at = clock_timestamp()
    FROM triggered i WHERE o.trade_id = i.trade_id AND o.trade_id = ANY(%(trade_ids)b::uuid[])
), worked AS (
    DELETE FROM working_order WHERE trade_id = ANY(%(trade_ids)b::uuid[])
), commanded AS (
    INSERT INTO venue_command (session_id, seq, trade_id, raw)
    SELECT %(session_id)s, seq, trade_id, raw FROM triggered
)
INSERT INTO unanswered_order (trade_id, session_id) SELECT trade_id, %(session_id)s FROM triggered
"""

_FORMER = """
SELECT trade_id::text, stop_price_micros FROM held_stop
WHERE trade_id = ANY(%(trade_ids)s::uuid[]) AND state = 3
"""


class HeldStore:
    """Speaks within the caller's transaction, which has the lock of the commands."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def keep(self, orders: Sequence[Order]) -> None:
        """Store new stops that are not sent."""
        await self._connection.execute(
            _KEEP, {"session_id": self._seat.session_id, **columns_of(orders)}
        )

    async def note_cancels(self, trade_ids: Collection[str]) -> None:
        """These are to be canceled."""
        await self._connection.execute(
            "UPDATE held_stop SET is_canceled = true WHERE trade_id = ANY(%s::uuid[])",
            [list(trade_ids)],
        )

    async def note_replaces(self, trade_ids: Collection[str]) -> None:
        """Of these a replace waits for its answer."""
        await self._connection.execute(
            "UPDATE held_stop SET is_replaced = true WHERE trade_id = ANY(%s::uuid[])",
            [list(trade_ids)],
        )

    async def find_former_stops(self, trade_ids: Collection[str]) -> dict[str, int]:
        """What triggered ones of these waited for, micros per share."""
        cursor = await self._connection.execute(_FORMER, {"trade_ids": list(trade_ids)})
        return dict(await cursor.fetchall())

    async def list_waiting(self) -> list[Waiting]:
        """All that wait for their price, and those not yet accepted."""
        cursor = await self._connection.execute(_OPEN, {"session_id": self._seat.session_id})
        trade_ids = [row[0] for row in await cursor.fetchall()]
        return [
            HeldStop(order, Phase.WAITS, False, None).waiting
            for order in (await self._orders(trade_ids)).values()
        ]

    async def find_due(
        self, met: Sequence[str], *, day_ended_at: datetime | None, most: int
    ) -> tuple[list[HeldStop], list[str]]:
        """Those that something is to be done about, cancels first; and those that have ended.

        An operator may have said what became of one.
        """
        cursor = await self._connection.execute(
            _DUE,
            {
                "session_id": self._seat.session_id,
                "met": Texts(met),
                "day_ended_at": day_ended_at,
                "most": most,
            },
        )
        rows = await cursor.fetchall()
        trade_ids = [row[0] for row in rows]
        orders = await self._orders(trade_ids)
        replaces = await self._replaces(trade_ids)
        stops = [
            HeldStop(orders[row[0]], Phase(row[1]), row[2], row[3], replaces.get(row[0], ()))
            for row in rows
            if row[0] in orders
        ]
        return stops, [trade_id for trade_id in trade_ids if trade_id not in orders]

    async def drop(self, trade_ids: Sequence[str]) -> None:
        """These have ended otherwise."""
        await self._connection.execute(
            "UPDATE held_stop SET state = 4 WHERE trade_id = ANY(%s::uuid[])", [list(trade_ids)]
        )

    async def write(self, first_seq: int, reports: Sequence[Report]) -> None:
        """Store the house's reports; the venue's numbers go on behind them. Raises Deposed."""
        session = {"session_id": self._seat.session_id}
        await self._connection.execute(
            _WRITE,
            {
                **session,
                "author": AUTHOR,
                "seqs": Bigints(range(first_seq, first_seq + len(reports))),
                "trade_ids": Texts([report.trade_id for report in reports]),
                "kinds": Bigints([report.kind for report in reports]),
                "raws": Octets([report.raw for report in reports]),
            },
        )
        cursor = await self._connection.execute(
            _SHIFT, {**session, "term": self._seat.term, "reports": len(reports)}
        )
        if cursor.rowcount != 1:
            raise Deposed

    async def settle(self, decisions: Sequence[Decision]) -> None:
        """Write how these stops stand now."""
        stops = [decision.stop for decision in decisions]
        await self._connection.execute(
            _SETTLE,
            {
                "trade_ids": [stop.order.trade_id for stop in stops],
                "states": [stop.phase for stop in stops],
                "stop_prices": [stop.order.terms.stop_price_micros for stop in stops],
                "max_notionals": [stop.order.terms.max_notional_micros for stop in stops],
                "day_marks": [_day_mark(stop) for stop in stops],
                "trigger_prices": [decision.price_micros for decision in decisions],
            },
        )

    async def send(self, commands: Sequence[Command]) -> None:
        """Store the commands of triggered stops, which wait for the venue's answer from now on."""
        await self._connection.execute(
            _SEND,
            {
                "session_id": self._seat.session_id,
                "pending": State.PENDING,
                "trade_ids": Texts([command.trade_id for command in commands]),
                "seqs": Bigints([command.seq for command in commands]),
                "raws": Octets([command.raw for command in commands]),
            },
        )

    async def _orders(self, trade_ids: Sequence[str]) -> dict[str, Order]:
        cursor = await self._connection.execute(_ORDERS, {"trade_ids": Texts(trade_ids)})
        return {
            row[0]: Order(row[0], row[1], Terms(*row[3:13]), row[13])
            for row in await cursor.fetchall()
            if row[2] != State.DONE
        }

    async def _replaces(self, trade_ids: Sequence[str]) -> dict[str, list[Asked]]:
        cursor = await self._connection.execute(_REPLACES, {"trade_ids": Texts(trade_ids)})
        found: dict[str, list[Asked]] = {}
        for trade_id, replace_id, command_seq, *revision in await cursor.fetchall():
            asked = Asked(replace_id, trade_id, Revision(*revision), command_seq, None)
            found.setdefault(trade_id, []).append(asked)
        return found


def _day_mark(stop: HeldStop) -> datetime | None:
    """Only an order for the day ends with one."""
    return stop.day_mark if stop.order.terms.time_in_force == TimeInForce.DAY else None
