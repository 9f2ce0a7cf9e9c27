"""How the books are read. One statement is one moment."""

from datetime import datetime

import msgspec

from libs.postgres import Pool
from services.ledger.domain.books import Account
from services.ledger.store import columns

READ_ACCOUNTS = """
    SELECT id, name, asset, has_floor, posted, held, cost_micros, version, state
    FROM account
    WHERE name = %(name)s
    ORDER BY asset
"""

# Per account no more than a page is read, from the place where the page before ended.
LIST_ENTRIES = """
    SELECT mine.asset, e.account_id, e.version, t.id::text, t.kind::text, e.amount,
        e.balance_after, e.held_after, e.transfer_seq, t.recorded_at,
        coalesce(t.hold_id::text, CASE WHEN t.kind = 'hold' THEN t.id::text END, t.reference)
    FROM (
        SELECT id, asset, version FROM account
        WHERE name = %(name)s AND (asset = %(asset)s OR %(asset)s = '')
    ) AS mine
    CROSS JOIN LATERAL (
        SELECT account_id, version, amount, balance_after, held_after, transfer_seq
        FROM entry
        WHERE account_id = mine.id
            AND version <= version_at(mine.id, mine.version, %(transfer_seq)s)
            AND (transfer_seq, account_id, version)
                < (%(transfer_seq)s, %(account_id)s, %(version)s)
        ORDER BY version DESC
        LIMIT %(count)s
    ) AS e
    CROSS JOIN LATERAL (
        SELECT id, kind, recorded_at, hold_id, reference
        FROM transfer WHERE seq = e.transfer_seq OFFSET 0
    ) AS t
    ORDER BY e.transfer_seq DESC, e.account_id DESC, e.version DESC
    LIMIT %(count)s
"""

READ_PAGE_TOKEN_KEY = "SELECT key FROM page_token_key"


class Place(msgspec.Struct, frozen=True):
    """Where an entry stands in a customer's list, which runs from high to low."""

    transfer_seq: int
    account_id: int
    version: int


TOP = Place(2**63 - 1, 2**63 - 1, 2**63 - 1)


class ListedEntry(msgspec.Struct, frozen=True):
    """An entry as its customer sees it."""

    account: str
    asset: str
    place: Place
    transfer_id: str
    kind: str
    amount: int
    balance_after: int
    held_after: int
    recorded_at: datetime
    reference: str


class Portfolios:
    """What accounts hold and how they came to it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self, name: str) -> list[Account]:
        """All accounts called `name`, by asset, from one moment."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_ACCOUNTS, {"name": name})
            return [columns.account_from(row) for row in await cursor.fetchall()]

    async def entries(
        self, name: str, *, asset: str, after: Place, count: int
    ) -> list[ListedEntry]:
        """At most `count` entries of accounts called `name`, newest first, behind `after`.

        `asset`: of this one only; empty: all.
        """
        asked = {"name": name, "asset": asset, "count": count, **msgspec.structs.asdict(after)}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LIST_ENTRIES, asked)
            return [
                ListedEntry(
                    account=name,
                    asset=row[0],
                    place=Place(row[8], row[1], row[2]),
                    transfer_id=row[3],
                    kind=row[4],
                    amount=row[5],
                    balance_after=row[6],
                    held_after=row[7],
                    recorded_at=row[9],
                    reference=row[10],
                )
                for row in await cursor.fetchall()
            ]

    async def page_token_key(self) -> bytes:
        """The key all processes of this service seal page tokens with."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_PAGE_TOKEN_KEY)
            rows: list[tuple[bytes]] = await cursor.fetchall()
            return rows[0][0]
