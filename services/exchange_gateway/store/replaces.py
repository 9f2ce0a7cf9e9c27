"""Replaces: the commands that carry them, and what the venue answered."""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from services.exchange_gateway.domain import Answered, Command, Standing, State
from services.exchange_gateway.domain.replaces import Asked, Replace, Revision
from services.exchange_gateway.store.progress import Seat

_FIND = """
SELECT replace_id::text, trade_id::text, command_seq, answered_by_seq,
       quantity, limit_price_micros, stop_price_micros, max_notional_micros
FROM venue_replace WHERE replace_id = ANY(%(replace_ids)b::uuid[])
"""

_KEEP = """
WITH fresh AS (
    SELECT * FROM unnest(
        %(replace_ids)b::uuid[], %(trade_ids)b::uuid[], %(seqs)b::bigint[],
        %(quantities)b::bigint[], %(limit_prices)b::bigint[], %(stop_prices)b::bigint[],
        %(max_notionals)b::bigint[])
    AS i (replace_id, trade_id, seq, quantity, limit_price_micros, stop_price_micros,
          max_notional_micros)
), marked AS (
    UPDATE venue_order SET is_replaced = true
    WHERE trade_id = ANY(%(sent)b::uuid[]) AND NOT is_replaced
)
INSERT INTO venue_replace (
    replace_id, session_id, trade_id, command_seq, quantity, limit_price_micros, stop_price_micros,
    max_notional_micros)
SELECT replace_id, %(session_id)s, trade_id, seq, quantity, limit_price_micros, stop_price_micros,
       max_notional_micros
FROM fresh
"""

_COMMAND = """
INSERT INTO venue_command (session_id, seq, trade_id, raw, replace_id)
SELECT %(session_id)s, i.seq, i.trade_id, i.raw, i.replace_id
FROM unnest(%(seqs)b::bigint[], %(trade_ids)b::uuid[], %(raws)b::bytea[], %(replace_ids)b::uuid[])
AS i (seq, trade_id, raw, replace_id)
"""


_COMMANDED = """
SELECT seq, replace_id::text FROM venue_command
WHERE session_id = %(session_id)s AND seq = ANY(%(seqs)b) AND replace_id IS NOT NULL
"""

_OPEN = """
SELECT v.quantity, v.limit_price_micros, v.stop_price_micros, v.max_notional_micros,
       v.replace_id::text, v.trade_id::text, o.customer_id, o.partition, o.epoch, o.symbol, o.side
FROM venue_replace v JOIN venue_order o ON o.trade_id = v.trade_id
WHERE v.trade_id = ANY(%(trade_ids)b::uuid[]) AND o.trade_id = ANY(%(trade_ids)b::uuid[])
    AND v.answered_by_seq IS NULL AND v.command_seq > 0 AND o.state <> %(done)s AND o.held <> 1
ORDER BY v.command_seq
"""

_RENUMBER = """
UPDATE venue_replace v SET command_seq = i.seq
FROM unnest(%(replace_ids)b::uuid[], %(seqs)b::bigint[]) AS i (replace_id, seq)
WHERE v.replace_id = i.replace_id AND v.replace_id = ANY(%(replace_ids)b::uuid[])
"""

_ANSWER = """
UPDATE venue_replace v
SET answered_by_seq = i.seq, is_done = i.is_done, filled_quantity = i.filled_quantity,
    old_limit_price_micros = i.old_limit, since_seq = i.since_seq
FROM unnest(%(replace_ids)b::uuid[], %(seqs)b::bigint[], %(are_done)b::boolean[],
            %(filled_quantities)b::bigint[], %(old_limits)b::bigint[], %(since_seqs)b::bigint[])
AS i (replace_id, seq, is_done, filled_quantity, old_limit, since_seq)
WHERE v.replace_id = i.replace_id AND v.replace_id = ANY(%(replace_ids)b::uuid[])
"""

_REVISE = """
UPDATE venue_order o
SET quantity = i.quantity, limit_price_micros = i.limit_price_micros,
    stop_price_micros = i.stop_price_micros, is_cut = i.is_cut,
    filled_quantity = i.filled_quantity, filled_by_seq = i.filled_by_seq
FROM unnest(%(trade_ids)b::uuid[], %(quantities)b::bigint[], %(limit_prices)b::bigint[],
            %(stop_prices)b::bigint[], %(are_cut)b::boolean[], %(filled_quantities)b::bigint[],
            %(filled_by_seqs)b::bigint[])
AS i (trade_id, quantity, limit_price_micros, stop_price_micros, is_cut, filled_quantity,
      filled_by_seq)
WHERE o.trade_id = i.trade_id AND o.trade_id = ANY(%(trade_ids)b::uuid[])
"""


class ReplaceStore:
    """Speaks within the caller's transaction; who writes commands has the lock of these."""

    def __init__(self, connection: psycopg.AsyncConnection, seat: Seat) -> None:
        self._connection = connection
        self._seat = seat

    async def find(self, replace_ids: Sequence[str]) -> dict[str, Asked]:
        """What is stored of these replaces."""
        cursor = await self._connection.execute(
            _FIND, {"replace_ids": list(replace_ids)}, binary=True
        )
        return {row[0]: _asked(*row) for row in await cursor.fetchall()}

    async def keep(self, replaces: Collection[Replace], commands: Sequence[Command]) -> None:
        """Store new replaces, each with its command; without commands: they came too late."""
        revisions = [replace.revision for replace in replaces]
        seqs = [command.seq for command in commands] or [0] * len(replaces)
        await self._connection.execute(
            _KEEP,
            {
                "session_id": self._seat.session_id,
                "replace_ids": [replace.replace_id for replace in replaces],
                "trade_ids": [replace.trade_id for replace in replaces],
                "seqs": seqs,
                "quantities": [revision.quantity for revision in revisions],
                "limit_prices": [revision.limit_price_micros for revision in revisions],
                "stop_prices": [revision.stop_price_micros for revision in revisions],
                "max_notionals": [revision.max_notional_micros for revision in revisions],
                "sent": [command.trade_id for command in commands],
            },
        )
        if commands:
            await self._command([replace.replace_id for replace in replaces], commands)

    async def find_open(self, trade_ids: Sequence[str]) -> list[Replace]:
        """The replaces of these orders that the venue owes an answer, in the order of commands."""
        cursor = await self._connection.execute(
            _OPEN, {"trade_ids": list(trade_ids), "done": State.DONE}, binary=True
        )
        return [_replace(*row) for row in await cursor.fetchall()]

    async def keep_again(self, replaces: Sequence[Replace], commands: Sequence[Command]) -> None:
        """Store a further command for each of these replaces."""
        replace_ids = [replace.replace_id for replace in replaces]
        seqs = [command.seq for command in commands]
        await self._connection.execute(_RENUMBER, {"replace_ids": replace_ids, "seqs": seqs})
        await self._command(replace_ids, commands)

    async def find_commanded(self, seqs: Sequence[int]) -> dict[int, Asked]:
        """The replaces that these commands carried, by command."""
        cursor = await self._connection.execute(
            _COMMANDED, {"session_id": self._seat.session_id, "seqs": list(seqs)}, binary=True
        )
        carried: dict[int, str] = dict(await cursor.fetchall())
        asked = await self.find(sorted(set(carried.values())))
        return {seq: asked[replace_id] for seq, replace_id in carried.items()}

    async def answer(self, answered: Sequence[Answered], *, next_seq: int) -> None:
        """These replaces are answered; what comes from `next_seq` on is judged after that."""
        await self._connection.execute(
            _ANSWER,
            {
                "replace_ids": [one.replace_id for one in answered],
                "seqs": [one.seq for one in answered],
                "are_done": [one.is_done for one in answered],
                "filled_quantities": [one.filled_quantity for one in answered],
                "old_limits": [one.old_limit_price_micros for one in answered],
                "since_seqs": [max(one.seq, next_seq) for one in answered],
            },
        )

    async def revise(self, standings: Sequence[Standing]) -> None:
        """Write the terms that orders have now, and how far these are filled."""
        await self._connection.execute(
            _REVISE,
            {
                "trade_ids": [s.trade_id for s in standings],
                "quantities": [s.quantity for s in standings],
                "limit_prices": [s.limit_price_micros for s in standings],
                "stop_prices": [s.stop_price_micros for s in standings],
                "are_cut": [s.is_cut for s in standings],
                "filled_quantities": [s.filled_quantity for s in standings],
                "filled_by_seqs": [s.filled_by_seq for s in standings],
            },
        )

    async def _command(self, replace_ids: Sequence[str], commands: Sequence[Command]) -> None:
        await self._connection.execute(
            _COMMAND,
            {
                "session_id": self._seat.session_id,
                "seqs": [command.seq for command in commands],
                "trade_ids": [command.trade_id for command in commands],
                "raws": [command.raw for command in commands],
                "replace_ids": list(replace_ids),
            },
        )


def _asked(
    replace_id: str, trade_id: str, command_seq: int, answered_by_seq: int | None, *revision: int
) -> Asked:
    return Asked(replace_id, trade_id, Revision(*revision), command_seq, answered_by_seq)


def _replace(*row: Any) -> Replace:
    replace_id, trade_id, customer_id, partition, epoch, symbol, side = row[4:]
    revision = Revision(*row[:4])
    return Replace(replace_id, trade_id, customer_id, partition, epoch, symbol, side, revision)
