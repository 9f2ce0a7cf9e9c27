"""Orders and the commands that carry them, written by the submit lane alone."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import psycopg
from psycopg.rows import TupleRow

from libs.postgres.arrays import Bigints, Octets, Texts
from services.exchange_gateway.domain import Command, Known, Order, State, Terms
from services.exchange_gateway.domain.held import elected
from services.exchange_gateway.domain.orders import TimeInForce
from services.exchange_gateway.store.columns import columns_of
from services.exchange_gateway.store.progress import Seat, Step, advance, lock

_RAISE_EPOCHS = """
WITH raised AS (
    INSERT INTO partition_epoch (partition, epoch)
    SELECT i.partition, i.epoch
    FROM unnest(%(partitions)b::smallint[], %(epochs)b::bigint[]) AS i (partition, epoch)
    WHERE NOT EXISTS (
        SELECT FROM partition_epoch p
        WHERE p.partition = i.partition AND p.partition = ANY(%(partitions)b::smallint[])
          AND p.epoch >= i.epoch)
    ORDER BY i.partition
    ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch
    WHERE partition_epoch.epoch < excluded.epoch
)
SELECT partition, epoch FROM partition_epoch WHERE partition = ANY(%(partitions)b::smallint[])
"""

_FIND = """
SELECT trade_id::text, customer_id, partition, symbol, side, quantity, order_type,
       limit_price_micros, stop_price_micros, time_in_force, max_notional_micros, epoch, state,
       is_withdrawn, is_replaced OR held = 2, held, command_seq
FROM venue_order WHERE trade_id = ANY(%(trade_ids)b::uuid[])
"""

_OF_THE_DAY = """
SELECT trade_id::text FROM venue_order
WHERE trade_id = ANY(%(trade_ids)b::uuid[]) AND state = %(pending)s AND held <> 1
    AND time_in_force = %(day)s AND created_at < %(before)s
ORDER BY command_seq
"""

_KEEP = """
WITH fresh AS (
    SELECT * FROM unnest(
        %(trade_ids)b::uuid[], %(seqs)b::bigint[], %(customer_ids)b::text[],
        %(partitions)b::smallint[], %(epochs)b::bigint[], %(symbols)b::text[],
        %(sides)b::smallint[], %(quantities)b::bigint[], %(order_types)b::smallint[],
        %(limit_prices)b::bigint[], %(stop_prices)b::bigint[], %(times_in_force)b::smallint[],
        %(max_notionals)b::bigint[], %(raws)b::bytea[])
    AS i (trade_id, seq, customer_id, partition, epoch, symbol, side, quantity, order_type,
          limit_price_micros, stop_price_micros, time_in_force, max_notional_micros, raw)
), ordered AS (
    INSERT INTO venue_order (
        trade_id, session_id, command_seq, customer_id, partition, epoch, symbol, side, quantity,
        order_type, limit_price_micros, stop_price_micros, time_in_force, max_notional_micros)
    SELECT trade_id, %(session_id)s, seq, customer_id, partition, epoch, symbol, side, quantity,
           order_type, limit_price_micros, stop_price_micros, time_in_force, max_notional_micros
    FROM fresh
), commanded AS (
    INSERT INTO venue_command (session_id, seq, trade_id, raw)
    SELECT %(session_id)s, seq, trade_id, raw FROM fresh
)
INSERT INTO unanswered_order (trade_id, session_id) SELECT trade_id, %(session_id)s FROM fresh
"""

_RENUMBER = """
WITH again AS (
    SELECT * FROM unnest(%(trade_ids)b::uuid[], %(seqs)b::bigint[], %(raws)b::bytea[])
    AS i (trade_id, seq, raw)
), ordered AS (
    UPDATE venue_order o SET command_seq = i.seq, updated_at = clock_timestamp()
    FROM again i WHERE o.trade_id = i.trade_id AND o.trade_id = ANY(%(trade_ids)b::uuid[])
)
INSERT INTO venue_command (session_id, seq, trade_id, raw)
SELECT %(session_id)s, seq, trade_id, raw FROM again
"""

_LOAD = """
SELECT c.seq, c.trade_id::text, c.raw,
       CASE WHEN c.replace_id IS NOT NULL
                THEN o.state = %(done)s OR v.answered_by_seq IS NOT NULL
            WHEN c.is_cancel THEN o.state = %(done)s
            ELSE o.state <> %(pending)s END
FROM venue_command c JOIN venue_order o ON o.trade_id = c.trade_id
LEFT JOIN venue_replace v ON v.replace_id = c.replace_id
WHERE c.session_id = %(session_id)s AND c.seq >= %(start)s AND c.seq < %(end)s
ORDER BY c.seq
"""


class CommandStore:
    """Speaks within the caller's transaction."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def lock(self) -> int:
        """The number of the next command; nobody else numbers until the end. Raises Deposed."""
        return await lock(self._connection, self._seat, Step.COMMANDS)

    async def advance(self, to: int) -> None:
        """Say the number of the next command."""
        await advance(self._connection, self._seat, Step.COMMANDS, to=to)

    async def raise_epochs(self, highest: Mapping[int, int]) -> dict[int, int]:
        """The highest epoch ever seen of each partition in `highest`, that one included."""
        cursor = await self._connection.execute(
            _RAISE_EPOCHS,
            {"partitions": Bigints(list(highest)), "epochs": Bigints(list(highest.values()))},
        )
        before: dict[int, int] = dict(await cursor.fetchall())
        return {key: max(epoch, before.get(key, 0)) for key, epoch in highest.items()}

    async def find(self, trade_ids: Sequence[str]) -> dict[str, Known]:
        """What is stored of these orders."""
        rows = await self._find(trade_ids)
        return {row[0]: Known(Terms(*row[1:11]), State(row[12]), *row[13:17]) for row in rows}

    async def find_pending(self, trade_ids: Sequence[str]) -> list[Order]:
        """These orders as they were sent, as far as the venue has not answered them."""
        rows = await self._find(trade_ids)
        pending = [row for row in rows if row[12] == State.PENDING and row[15] != 1]
        return [Order(r[0], r[11], _sent(Terms(*r[1:11]), was_held=r[15] == 2)) for r in pending]

    async def find_of_the_day(self, trade_ids: Sequence[str], *, before: datetime) -> list[str]:
        """Those of them that are DAY orders from before then, and without an answer so far."""
        cursor = await self._connection.execute(
            _OF_THE_DAY,
            {
                "trade_ids": Texts(trade_ids),
                "pending": State.PENDING,
                "day": TimeInForce.DAY,
                "before": before,
            },
        )
        return [row[0] for row in await cursor.fetchall()]

    async def keep(self, orders: Sequence[Order], commands: Sequence[Command]) -> None:
        """Store new orders, each with its command."""
        await self._connection.execute(
            _KEEP,
            {
                "session_id": self._seat.session_id,
                "seqs": Bigints([command.seq for command in commands]),
                "raws": Octets([command.raw for command in commands]),
                **columns_of(orders),
            },
        )

    async def keep_again(self, commands: Sequence[Command]) -> None:
        """Store further commands for orders that have one already."""
        await self._connection.execute(
            _RENUMBER,
            {
                "session_id": self._seat.session_id,
                "trade_ids": Texts([command.trade_id for command in commands]),
                "seqs": Bigints([command.seq for command in commands]),
                "raws": Octets([command.raw for command in commands]),
            },
        )

    async def load(self, start: int, end: int) -> list[Command]:
        """The commands numbered start <= seq < end, in order."""
        cursor = await self._connection.execute(
            _LOAD,
            {
                "session_id": self._seat.session_id,
                "start": start,
                "end": end,
                "pending": State.PENDING,
                "done": State.DONE,
            },
            binary=True,
        )
        return [Command(*row) for row in await cursor.fetchall()]

    async def _find(self, trade_ids: Sequence[str]) -> list[TupleRow]:
        cursor = await self._connection.execute(_FIND, {"trade_ids": Texts(trade_ids)}, binary=True)
        return await cursor.fetchall()


def _sent(terms: Terms, *, was_held: bool) -> Terms:
    return elected(terms) if was_held else terms
