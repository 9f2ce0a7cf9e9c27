"""Faults, parked trades, and the record of who did what to them. Rare: nothing here is hot."""

from collections.abc import Sequence
from datetime import datetime

import psycopg

from services.order.domain.parking import Action, Fault, Faulted, Instruction, Parked
from services.order.store.arrays import Bigints, Texts


class Parking:
    """The caller owns the transaction, and for changes the lock of the customers."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def add_faults(
        self, faults: Sequence[Fault], *, park_after: int, at: datetime
    ) -> list[Faulted]:
        """Count a fault each of trades taken up under the epoch given, and park those with many.

        Only a customer's oldest open trade can be taken up. An attempt that was counted before is
        left out. What is parked is put on record.
        """
        cursor = await self._connection.execute(
            """
            WITH faulted AS (
                UPDATE open_trade AS o
                SET faults = o.faults + 1, fault_text = i.fault_text,
                    faulted_attempt = greatest(o.faulted_attempt, i.attempt),
                    parked_at = CASE WHEN o.faults + 1 >= %(park_after)s
                        THEN %(at)s::timestamptz END
                FROM unnest(%(customer_ids)s::text[], %(epochs)s::bigint[],
                    %(trade_ids)s::text[], %(attempts)s::bigint[], %(texts)s::text[])
                    AS i (customer_id, epoch, trade_id, attempt, fault_text)
                WHERE o.customer_id = i.customer_id
                    AND o.customer_id = ANY (%(customer_ids)s::text[])
                    AND o.claimed_epoch = i.epoch AND o.parked_at IS NULL
                    AND (i.trade_id = '' OR o.trade_id::text = i.trade_id)
                    AND (i.attempt = 0 OR i.attempt > o.faulted_attempt)
                RETURNING o.customer_id, o.trade_id, o.faults, o.fault_text, o.parked_at
            ), recorded AS (
                INSERT INTO parking_audit
                    (action, trade_id, customer_id, faults, actor, reason_text, at)
                SELECT 'park', trade_id, customer_id, faults, 'house', fault_text, %(at)s
                FROM faulted WHERE parked_at IS NOT NULL
            )
            SELECT customer_id, faults, parked_at IS NOT NULL FROM faulted
            """,
            {
                **_columns(faults),
                "texts": Texts([fault.fault_text for fault in faults]),
                "park_after": park_after,
                "at": at,
            },
            binary=True,
        )
        return [Faulted(*row) async for row in cursor]

    async def find_faults(self, faults: Sequence[Fault]) -> list[Faulted]:
        """What came of those attempts that were counted before."""
        cursor = await self._connection.execute(
            """
            SELECT o.customer_id, o.faults, o.parked_at IS NOT NULL
            FROM unnest(%(customer_ids)s::text[], %(epochs)s::bigint[],
                %(trade_ids)s::text[], %(attempts)s::bigint[])
                AS i (customer_id, epoch, trade_id, attempt)
            JOIN open_trade AS o ON o.customer_id = i.customer_id
            WHERE o.claimed_epoch = i.epoch AND o.trade_id::text = i.trade_id
                AND o.faulted_attempt = i.attempt AND i.attempt > 0
            """,
            _columns(faults),
            binary=True,
        )
        return [Faulted(*row) async for row in cursor]

    async def parked(self, *, trade_id: str, limit: int) -> list[Parked]:
        """Parked trades, longest parked first; of one trade when it is named."""
        cursor = await self._connection.execute(
            """
            SELECT o.trade_id::text, o.faults, o.fault_text, o.parked_at, o.is_condemned,
                o.partition, p.epoch
            FROM open_trade AS o
            JOIN execution_partition AS p ON p.partition = o.partition
            WHERE o.parked_at IS NOT NULL
                AND (%(trade_id)s = '' OR o.trade_id::text = %(trade_id)s)
            ORDER BY o.parked_at
            LIMIT %(limit)s
            """,
            {"trade_id": trade_id, "limit": limit},
            binary=True,
        )
        return [Parked(*row) async for row in cursor]

    async def is_done(self, instruction: Instruction, action: Action) -> bool:
        """Whether this very thing was the last that was done to the trade."""
        cursor = await self._connection.execute(
            """
            SELECT action = %(action)s AND actor = %(actor)s AND reason_text = %(reason)s
            FROM parking_audit
            WHERE trade_id = %(trade_id)s::uuid
            ORDER BY id DESC
            LIMIT 1
            """,
            {
                "action": action.value,
                "trade_id": instruction.trade_id,
                "actor": instruction.actor,
                "reason": instruction.reason_text,
            },
        )
        row = await cursor.fetchone()
        return row is not None and bool(row[0])

    async def release(self, instruction: Instruction, *, at: datetime) -> bool:
        """Let a parked trade go on; false when it is not parked, or is condemned."""
        cursor = await self._connection.execute(
            """
            WITH before AS (
                SELECT customer_id, placed_seq, faults FROM open_trade
                WHERE parked_at IS NOT NULL AND NOT is_condemned
                    AND trade_id = %(trade_id)s::uuid
            ), released AS (
                UPDATE open_trade AS o
                SET parked_at = NULL, faults = 0, fault_text = ''
                FROM before
                WHERE o.customer_id = before.customer_id AND o.placed_seq = before.placed_seq
            )
            INSERT INTO parking_audit
                (action, trade_id, customer_id, faults, actor, reason_text, at)
            SELECT %(action)s, %(trade_id)s::uuid, customer_id, faults, %(actor)s, %(reason)s,
                %(at)s
            FROM before
            RETURNING id
            """,
            _terms(instruction, Action.RELEASE, at),
        )
        return await cursor.fetchone() is not None

    async def condemn(self, instruction: Instruction, *, at: datetime) -> bool:
        """Decide that a parked trade ends; false when it is not parked."""
        cursor = await self._connection.execute(
            """
            WITH condemned AS (
                UPDATE open_trade SET is_condemned = true
                WHERE parked_at IS NOT NULL AND trade_id = %(trade_id)s::uuid
                RETURNING customer_id, faults
            )
            INSERT INTO parking_audit
                (action, trade_id, customer_id, faults, actor, reason_text, at)
            SELECT %(action)s, %(trade_id)s::uuid, customer_id, faults, %(actor)s, %(reason)s,
                %(at)s
            FROM condemned
            RETURNING id
            """,
            _terms(instruction, Action.CONDEMN, at),
        )
        return await cursor.fetchone() is not None

    async def in_doubt(self, *, limit: int) -> list[str]:
        """Ids of trades in doubt, longest in doubt first."""
        cursor = await self._connection.execute(
            """
            SELECT trade_id::text FROM trade
            WHERE in_doubt_since IS NOT NULL
            ORDER BY in_doubt_since
            LIMIT %(limit)s
            """,
            {"limit": limit},
            binary=True,
        )
        return [row[0] async for row in cursor]


def _columns(faults: Sequence[Fault]) -> dict[str, object]:
    return {
        "customer_ids": Texts([fault.customer_id for fault in faults]),
        "epochs": Bigints([fault.epoch for fault in faults]),
        "trade_ids": Texts([fault.trade_id for fault in faults]),
        "attempts": Bigints([fault.attempt for fault in faults]),
    }


def _terms(instruction: Instruction, action: Action, at: datetime) -> dict[str, object]:
    return {
        "action": action.value,
        "trade_id": instruction.trade_id,
        "actor": instruction.actor,
        "reason": instruction.reason_text,
        "at": at,
    }
