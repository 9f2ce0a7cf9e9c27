"""Replaces: the commands that carry them, and what the venue answered."""

from collections.abc import Collection, Sequence

import psycopg

from services.exchange_gateway.domain import Command
from services.exchange_gateway.domain.replaces import Asked, Replace, Revision
from services.exchange_gateway.store.progress import Seat

_FIND = """
SELECT replace_id::text, trade_id::text, quantity, limit_price_micros, stop_price_micros,
       command_seq, answered_by_seq
FROM venue_replace WHERE replace_id = ANY(%(replace_ids)b::uuid[])
"""

_KEEP = """
WITH fresh AS (
    SELECT * FROM unnest(
        %(replace_ids)b::uuid[], %(trade_ids)b::uuid[], %(seqs)b::bigint[],
        %(quantities)b::bigint[], %(limit_prices)b::bigint[], %(stop_prices)b::bigint[])
    AS i (replace_id, trade_id, seq, quantity, limit_price_micros, stop_price_micros)
), marked AS (
    UPDATE venue_order SET is_replaced = true
    WHERE trade_id = ANY(%(sent)b::uuid[]) AND NOT is_replaced
)
INSERT INTO venue_replace (
    replace_id, session_id, trade_id, command_seq, quantity, limit_price_micros, stop_price_micros)
SELECT replace_id, %(session_id)s, trade_id, seq, quantity, limit_price_micros, stop_price_micros
FROM fresh
"""

_COMMAND = """
INSERT INTO venue_command (session_id, seq, trade_id, raw, replace_id)
SELECT %(session_id)s, i.seq, i.trade_id, i.raw, i.replace_id
FROM unnest(%(seqs)b::bigint[], %(trade_ids)b::uuid[], %(raws)b::bytea[], %(replace_ids)b::uuid[])
AS i (seq, trade_id, raw, replace_id)
"""


class ReplaceStore:
    """Speaks within the caller's transaction, which has the lock of the commands."""

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
                "sent": [command.trade_id for command in commands],
            },
        )
        if commands:
            await self._command([replace.replace_id for replace in replaces], commands)

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
    replace_id: str,
    trade_id: str,
    quantity: int,
    limit_price_micros: int,
    stop_price_micros: int,
    *rest: int,
) -> Asked:
    revision = Revision(quantity, limit_price_micros, stop_price_micros)
    return Asked(replace_id, trade_id, revision, *rest)
