"""What accounts hold, now or at any time. One statement is one moment.

There are two times. `known_at` asks what the ledger had recorded by then: the journal up to a
transfer, which every figure can be looked up for. `as_of` asks what was true in the world by then:
it counts what was effective, wherever in the journal it stands, so it adds up all entries. Of
those that are archived the last one is left, and stands for all of them; what was before it is not
told.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace
from psycopg import AsyncConnection

from libs.postgres import Pool
from libs.reasons import Reason
from libs.refusals import Refused
from services.ledger.domain.attempt import LEAST, MOST
from services.ledger.domain.books import Account, AccountKey, AccountState
from services.ledger.store import columns
from services.ledger.store.horizon import Horizon, archived, archived_as_of, read_horizon

EVER = "infinity"

READ_ACCOUNTS = """
    SELECT id, name, asset, has_floor, posted, held, cost_micros, version, hash
    FROM account
    WHERE name = %(name)s AND (asset = %(asset)s OR %(asset)s = '')
    ORDER BY asset
"""

READ_ACCOUNTS_KNOWN_AT = """
    SELECT a.id, a.name, a.asset, a.has_floor, e.balance_after, coalesce(e.held_after, 0),
        coalesce(e.cost_after, 0), e.version, e.hash
    FROM (SELECT seq_at(%(known_at)s::timestamptz) AS seq OFFSET 0) AS moment
    CROSS JOIN account a
    CROSS JOIN LATERAL (
        SELECT * FROM entry
        WHERE entry_key(account_id, version)
                = entry_key(a.id, version_at(a.id, a.version, moment.seq))
            AND account_id = a.id
        OFFSET 0
    ) AS e
    WHERE a.name = %(name)s AND (a.asset = %(asset)s OR %(asset)s = '')
    ORDER BY a.asset
"""

# Each entry changed a balance by what it differs from the one before; the first that is there may
# be what is left of archived ones, and stands for all of them.
# What is held is no matter of when it was effective: it is what was recorded as held by then.
READ_ACCOUNTS_AS_OF = """
    SELECT a.id, a.name, a.asset, a.has_floor, e.posted,
        coalesce((
            SELECT held_after FROM entry
            WHERE entry_key(account_id, version)
                    = entry_key(a.id, version_at(a.id, a.version, moment.held_seq))
                AND account_id = a.id
        ), 0), e.cost, e.version, a.hash
    FROM (
        SELECT seq_at(%(known_at)s::timestamptz) AS seq,
            seq_at(least(%(known_at)s::timestamptz, %(as_of)s::timestamptz)) AS held_seq
        OFFSET 0
    ) AS moment
    CROSS JOIN account a
    CROSS JOIN LATERAL (
        SELECT sum(known.amount) AS posted, sum(known.cost) AS cost,
            max(known.version) AS version
        FROM (
            SELECT version, transfer_seq,
                balance_after - lag(balance_after, 1, 0::bigint) OVER up AS amount,
                coalesce(cost_after, 0) - lag(coalesce(cost_after, 0), 1, 0::bigint) OVER up AS cost
            FROM entry
            WHERE entry_key(account_id, version) BETWEEN entry_key(a.id, 1)
                AND entry_key(a.id, version_at(a.id, a.version, moment.seq))
            WINDOW up AS (ORDER BY version)
        ) AS known
        JOIN transfer t ON t.seq = known.transfer_seq
        WHERE coalesce(t.effective_at, (
            SELECT recorded_at FROM batch WHERE last_seq >= t.seq ORDER BY last_seq LIMIT 1
        )) <= %(as_of)s::timestamptz
    ) AS e
    WHERE a.name = %(name)s AND (a.asset = %(asset)s OR %(asset)s = '') AND e.version IS NOT NULL
    ORDER BY a.asset
"""

READ_STATE = "SELECT state FROM restraint WHERE name = %(name)s"

# Per account no more than a page is read, from the place where the page before ended.
LIST_ENTRIES = """
    SELECT mine.asset, e.account_id, e.version, e.id::text, e.kind::text, e.amount,
        e.balance_after, coalesce(e.held_after, 0), e.transfer_seq, e.recorded_at,
        coalesce(e.hold_id::text, CASE WHEN e.kind = 'hold' THEN e.id::text END, e.reference),
        e.effective_at
    FROM (
        SELECT id, asset, version,
            least(%(transfer_seq)s, seq_at(%(known_at)s::timestamptz)) AS until,
            archived_seq() AS archived
        FROM account
        WHERE name = %(name)s AND (asset = %(asset)s OR %(asset)s = '')
        OFFSET 0
    ) AS mine
    CROSS JOIN LATERAL (
        SELECT account_id, version, amount, balance_after, held_after, transfer_seq, t.*
        FROM entry
        CROSS JOIN LATERAL (
            SELECT id, kind, recorded_at, hold_id, reference,
                coalesce(effective_at, recorded_at) AS effective_at
            FROM transfer
            CROSS JOIN LATERAL (
                SELECT recorded_at FROM batch WHERE last_seq >= transfer_seq
                ORDER BY last_seq LIMIT 1
            ) AS b
            WHERE seq = transfer_seq OFFSET 0
        ) AS t
        WHERE entry_key(account_id, version) BETWEEN entry_key(mine.id, 1)
                AND entry_key(mine.id, version_at(mine.id, mine.version, mine.until))
            AND (transfer_seq, account_id, version)
                < (%(transfer_seq)s, %(account_id)s, %(version)s)
            AND transfer_seq > mine.archived
            AND t.effective_at <= %(as_of)s::timestamptz
        ORDER BY entry_key(account_id, version) DESC
        LIMIT %(count)s
    ) AS e
    ORDER BY e.transfer_seq DESC, e.account_id DESC, e.version DESC
    LIMIT %(count)s
"""

READ_PAGE_TOKEN_KEY = "SELECT key FROM page_token_key"


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When; without either time, now."""

    as_of: datetime | None = None  # counts what was effective by then
    known_at: datetime | None = None  # counts what was recorded by then

    @property
    def scope(self) -> str:
        """In one spelling."""
        times = (self.as_of, self.known_at)
        return "/".join("" if at is None else at.isoformat() for at in times)


NOW = Moment()


class Place(msgspec.Struct, frozen=True):
    """Where an entry stands in a customer's list, which runs from high to low."""

    transfer_seq: int
    account_id: int
    version: int


TOP = Place(2**63 - 1, 2**31 - 1, 2**63 - 1)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """At most `count` entries of accounts called `name`, newest first, behind `after`."""

    name: str
    asset: str  # of this one only; empty: all
    moment: Moment
    after: Place
    count: int


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
    effective_at: datetime


class Portfolios:
    """What accounts hold and how they came to it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def accounts(self, name: str, moment: Moment = NOW, *, asset: str = "") -> list[Account]:
        """All accounts called `name`, by asset. `asset`: of this one only.

        Raises Archived when entries of then are archived, Refused when a figure is out of range.
        """
        statement = READ_ACCOUNTS
        if moment.as_of is not None:
            statement = READ_ACCOUNTS_AS_OF
        elif moment.known_at is not None:
            statement = READ_ACCOUNTS_KNOWN_AT
        asked = {"name": name, "asset": asset, **_times(moment)}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(statement, asked)
            found = [columns.account_from(row) for row in await cursor.fetchall()]
            if moment.as_of is not None:
                found = [_summed(account) for account in found]
            if moment != NOW:
                await _check_moment(connection, moment)
            return found

    async def balance(self, key: AccountKey, moment: Moment) -> tuple[Account, AccountState]:
        """The account, empty where there is none, and whether it may be used now."""
        found = await self.accounts(key.name, moment, asset=key.asset)
        account = found[0] if found else Account(id=0, key=key, has_floor=key.has_floor)
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_STATE, {"name": key.name})
            row = await cursor.fetchone()
        return account, AccountState.OPEN if row is None else AccountState(row[0])

    async def entries(self, wanted: Wanted) -> tuple[list[ListedEntry], datetime | None]:
        """A page of entries, and up to when those recorded are archived, if any are.

        Raises Archived when all entries of then are.
        """
        asked = {
            "name": wanted.name,
            "asset": wanted.asset,
            "count": wanted.count,
            **msgspec.structs.asdict(wanted.after),
            **_times(wanted.moment),
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LIST_ENTRIES, asked)
            rows = await cursor.fetchall()
            horizon = await _check_moment(connection, wanted.moment)
        return [_listed(wanted.name, row) for row in rows], horizon.recorded_until

    async def page_token_key(self) -> bytes:
        """The key all processes of this service seal page tokens with."""
        async with self._pool.connection() as connection:
            cursor = await connection.execute(READ_PAGE_TOKEN_KEY)
            rows: list[tuple[bytes]] = await cursor.fetchall()
            return rows[0][0]


async def _check_moment(connection: AsyncConnection, moment: Moment) -> Horizon:
    """Up to where entries are archived. Raises Archived when the moment is before its end."""
    horizon = await read_horizon(connection)
    if _is_before(moment.known_at, horizon.recorded_until):
        raise archived(horizon)
    if _is_before(moment.as_of, horizon.effective_until):
        raise archived_as_of(horizon)
    return horizon


def _is_before(at: datetime | None, end: datetime | None) -> bool:
    return at is not None and end is not None and at < end


def _summed(account: Account) -> Account:
    """In 64 bits: figures that were decided in another order than they count in may be larger.

    Raises Refused.
    """
    posted, cost = int(account.posted), int(account.cost_micros)
    if not all(LEAST <= each <= MOST for each in (posted, posted - account.held, cost)):
        text = f"what was owned of {account.key.asset} then does not fit into 64 bits"
        raise Refused(Reason.REASON_BALANCE_OVERFLOW, text)
    return replace(account, posted=posted, cost_micros=cost)


def _listed(name: str, row: Sequence[Any]) -> ListedEntry:
    return ListedEntry(
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
        effective_at=row[11],
    )


def _times(moment: Moment) -> dict[str, datetime | str]:
    return {"as_of": moment.as_of or EVER, "known_at": moment.known_at or EVER}
