"""Cancels: the commands that carry them, and orders that end before they were ever sent."""

from collections.abc import Collection, Sequence

import psycopg

from services.exchange_gateway.domain import Command, State
from services.exchange_gateway.domain.cancels import Cancel, Sent, Target
from services.exchange_gateway.store.progress import Seat

_FIND = """
SELECT trade_id::text, customer_id, symbol, side, quantity, state, is_withdrawn, is_replaced, held
FROM venue_order WHERE trade_id = ANY(%(trade_ids)b::uuid[])
"""

# A row as of an order at the market: of one that was never sent nothing else is known, or matters.
_WITHDRAW = """
INSERT INTO venue_order (
    trade_id, session_id, command_seq, customer_id, partition, epoch, symbol, side, quantity,
    order_type, limit_price_micros, stop_price_micros, time_in_force, max_notional_micros,
    state, is_withdrawn)
SELECT i.trade_id, %(session_id)s, 0, i.customer_id, i.partition, i.epoch, i.symbol, i.side,
       i.quantity, 1, 0, 0, 1, 0, %(done)s, true
FROM unnest(%(trade_ids)b::uuid[], %(customer_ids)b::text[], %(partitions)b::smallint[],
            %(epochs)b::bigint[], %(symbols)b::text[], %(sides)b::smallint[],
            %(quantities)b::bigint[])
AS i (trade_id, customer_id, partition, epoch, symbol, side, quantity)
"""

_KEEP = """
INSERT INTO venue_command (session_id, seq, trade_id, raw, is_cancel)
SELECT %(session_id)s, i.seq, i.trade_id, i.raw, true
FROM unnest(%(seqs)b::bigint[], %(trade_ids)b::uuid[], %(raws)b::bytea[]) AS i (seq, trade_id, raw)
"""


class CancelStore:
    """Speaks within the caller's transaction, which has the lock of the commands."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def find(self, trade_ids: Sequence[str]) -> dict[str, Sent]:
        """What is stored of these orders."""
        cursor = await self._connection.execute(_FIND, {"trade_ids": list(trade_ids)}, binary=True)
        return {
            row[0]: Sent(Target(*row[1:5]), State(row[5]), *row[6:])
            for row in await cursor.fetchall()
        }

    async def withdraw(self, cancels: Collection[Cancel]) -> None:
        """End these orders, none of which is stored."""
        targets = [cancel.target for cancel in cancels]
        await self._connection.execute(
            _WITHDRAW,
            {
                "session_id": self._seat.session_id,
                "done": State.DONE,
                "trade_ids": [cancel.trade_id for cancel in cancels],
                "customer_ids": [target.customer_id for target in targets],
                "partitions": [cancel.partition for cancel in cancels],
                "epochs": [cancel.epoch for cancel in cancels],
                "symbols": [target.symbol for target in targets],
                "sides": [target.side for target in targets],
                "quantities": [target.quantity for target in targets],
            },
        )

    async def keep(self, commands: Sequence[Command]) -> None:
        """Store commands to cancel."""
        await self._connection.execute(
            _KEEP,
            {
                "session_id": self._seat.session_id,
                "seqs": [command.seq for command in commands],
                "trade_ids": [command.trade_id for command in commands],
                "raws": [command.raw for command in commands],
            },
        )
