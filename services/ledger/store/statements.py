"""What a statement is made of: an account's own entries, and all that proves them."""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from libs.postgres import Pool
from libs.proof.checkpoint import Checkpoint
from libs.proof.forms import account_origin
from services.ledger.domain.books import AccountKey
from services.ledger.store import checkpoints
from services.ledger.store.history import read_range
from services.ledger.store.horizon import archived, check_archived, read_horizon
from services.ledger.store.stored import StoredTransfer

# From the version before the first that was recorded at or after `from`, to the last that was
# recorded before `until` and is sealed.
READ_SPAN = """
    SELECT a.id, a.has_floor, version_at(a.id, a.version, moment.after) AS opening,
        version_at(a.id, a.version, moment.until) AS closing
    FROM account a
    CROSS JOIN (
        SELECT seq_at(%(from)s::timestamptz - interval '1 microsecond') AS after,
            least(
                seq_at(%(until)s::timestamptz - interval '1 microsecond'),
                (SELECT coalesce(max(last_transfer_seq), 0) FROM checkpoint)
            ) AS until
        OFFSET 0
    ) AS moment
    WHERE a.name = %(name)s AND a.asset = %(asset)s
"""

READ_OPENING = """
    SELECT balance_after, hash FROM entry
    WHERE entry_key(account_id, version)
        = entry_key(%(account_id)s::integer, %(version)s::bigint)
        AND account_id = %(account_id)s::integer
"""

LIST_TRANSFERS_OF = """
    SELECT version, transfer_seq FROM entry
    WHERE entry_key(account_id, version)
        BETWEEN entry_key(%(account_id)s::integer, %(opening)s::bigint + 1)
        AND entry_key(%(account_id)s::integer, %(closing)s::bigint)
    ORDER BY entry_key(account_id, version)
    LIMIT 1000
"""

_AT_ONCE = 5_000  # transfers read at once


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """Where a statement begins and ends, and what the account was before."""

    key: AccountKey
    account_id: int
    version: int
    balance: int
    hash: bytes
    closing_version: int


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """All transfers that a checkpoint covers beyond those of the one before."""

    checkpoint: Checkpoint
    first_seq: int
    transfer_hashes: list[bytes]
    transfers: list[StoredTransfer]  # those of the account


class Statements:
    """Reads them from one account's side."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def opening(
        self, key: AccountKey, start: datetime | None, end: datetime | None
    ) -> Opening:
        """As the period begins; both ends open where they are None.

        Raises Archived when what the account was then is archived.
        """
        asked = {
            "name": key.name,
            "asset": key.asset,
            "from": start or "-infinity",
            "until": end or "infinity",
        }
        origin = account_origin(key.name, key.asset, has_floor=key.has_floor)
        opening = Opening(
            key=key, account_id=0, version=0, balance=0, hash=origin, closing_version=0
        )
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_SPAN, asked)
            row = await cursor.fetchone()
            if row is None:
                return opening
            account_id, has_floor, version, closing = row
            origin = account_origin(key.name, key.asset, has_floor=has_floor)
            cursor = await connection.execute(
                READ_OPENING, {"account_id": account_id, "version": version}
            )
            before = await cursor.fetchone()
            horizon = await read_horizon(connection)
            if horizon.seq and version and before is None:
                raise archived(horizon)
        return Opening(
            key=key,
            account_id=account_id,
            version=version,
            balance=before[0] if before else 0,
            hash=before[1] if before else origin,
            closing_version=max(closing, version),
        )

    async def sealed(self, opening: Opening) -> AsyncIterator[Sealed]:
        """Checkpoint by checkpoint, those that cover something of the account.

        Raises Archived when their entries are archived meanwhile.
        """
        seqs: list[int] = []
        version = opening.version
        while version < opening.closing_version:
            if not seqs:
                rows = await self._versions(opening, version)
                seqs = list(dict.fromkeys(seq for _, seq in rows))
            sealed = await self._covering(seqs[0], set(seqs))
            yield sealed
            last = sealed.transfers[-1]
            seqs = [seq for seq in seqs if seq > last.record.seq]
            version = max(
                e.entry.version for e in last.entries if e.account_id == opening.account_id
            )

    async def _versions(self, opening: Opening, version: int) -> list[tuple[int, int]]:
        """The next entries after a version, each with its transfer. Raises Archived."""
        asked = {
            "account_id": opening.account_id,
            "opening": version,
            "closing": opening.closing_version,
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LIST_TRANSFERS_OF, asked)
            rows = await cursor.fetchall()
            horizon = await read_horizon(connection)
        if horizon.seq and (not rows or rows[0][0] != version + 1):
            raise archived(horizon)
        return rows

    async def _covering(self, seq: int, wanted: set[int]) -> Sealed:
        """The checkpoint that covers `seq`, with those of the `wanted` transfers it covers."""
        async with self._pool.connection() as connection:
            checkpoint, after = await checkpoints.covering(connection, seq)
            until = checkpoint.last_transfer_seq
            hashes: list[bytes] = []
            mine: list[StoredTransfer] = []
            for first in range(after, until, _AT_ONCE):
                for transfer in await read_range(connection, first, min(first + _AT_ONCE, until)):
                    hashes.append(transfer.hash)
                    if transfer.record.seq in wanted:
                        mine.append(transfer)
            await check_archived(connection, after)
        return Sealed(
            checkpoint=checkpoint, first_seq=after + 1, transfer_hashes=hashes, transfers=mine
        )
