"""How the one writer reads what a batch needs, and writes what it changes.

Every statement takes and returns many rows, and is written so that its plan is the same on an empty
table and on a large one: keys come as `= ANY(array)` or through a LATERAL probe of an index, never
through a join that the planner could turn round. `OPTIONS` belong to the connection it runs on.
"""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, AsyncCursor

from services.ledger.domain.books import AccountKey, Balance, Head, Recorded, Result, State, Writes
from services.ledger.domain.operations import Operation
from services.ledger.store import columns

# Plans that a generic, unanalysed or outgrown statistic could talk the planner into, and that cost
# a scan per row.
OPTIONS = {"enable_seqscan": "off", "enable_mergejoin": "off", "enable_nestloop": "off"}

LOCK_HEAD = "SELECT transfer_seq, account_id, recorded_at FROM journal_head FOR UPDATE"

READ_RECORDED = """
    SELECT id::text, fingerprint, reason, amount, balances
    FROM transfer
    WHERE id = ANY(%(ids)s::uuid[])
"""

READ_HOLDS = """
    SELECT id::text, account_id, remaining, is_open
    FROM hold
    WHERE id = ANY(%(hold_ids)s::uuid[])
"""

# In the order of id, as all who lock accounts must.
LOCK_ACCOUNTS = """
    SELECT id, name, asset, has_floor, posted, held, cost_micros, version, state
    FROM account
    WHERE id = ANY(ARRAY(
        SELECT found.id
        FROM unnest(%(names)s::text[], %(assets)s::text[]) AS named(name, asset)
        CROSS JOIN LATERAL (
            SELECT a.id FROM account a WHERE a.name = named.name AND a.asset = named.asset OFFSET 0
        ) AS found
        UNION ALL
        SELECT account_id FROM hold WHERE id = ANY(%(hold_ids)s::uuid[])
    ))
    ORDER BY id
    FOR NO KEY UPDATE
"""

READ_BALANCES = """
    SELECT a.name, a.asset, e.balance_after, e.held_after
    FROM unnest(%(account_ids)s::bigint[], %(versions)s::bigint[])
        WITH ORDINALITY AS wanted(account_id, version, place)
    CROSS JOIN LATERAL (
        SELECT balance_after, held_after FROM entry
        WHERE account_id = wanted.account_id AND version = wanted.version OFFSET 0
    ) AS e
    CROSS JOIN LATERAL (
        SELECT name, asset FROM account WHERE id = wanted.account_id OFFSET 0
    ) AS a
    ORDER BY wanted.place
"""

WRITE_HEAD = """
    UPDATE journal_head
    SET transfer_seq = %(transfer_seq)s, account_id = %(account_id)s, recorded_at = %(recorded_at)s
    WHERE transfer_seq = %(transfer_seq_before)s AND account_id = %(account_id_before)s
"""

WRITE_TRANSFERS = """
    INSERT INTO transfer (seq, id, kind, fingerprint, reason, amount, balances, hold_id, reference,
        actor, terms, effective_at, recorded_at)
    SELECT seq, id, kind, fingerprint, reason, amount, balances::bigint[], hold_id, reference,
        actor, terms, effective_at, %(recorded_at)s
    FROM unnest(%(seqs)s::bigint[], %(ids)s::uuid[], %(kinds)s::transfer_kind[],
        %(fingerprints)s::bytea[], %(reasons)s::smallint[], %(amounts)s::bigint[],
        %(balances)s::text[], %(hold_ids)s::uuid[], %(references)s::text[], %(actors)s::text[],
        %(terms)s::text[], %(effective_ats)s::timestamptz[])
        AS t(seq, id, kind, fingerprint, reason, amount, balances, hold_id, reference, actor, terms,
            effective_at)
"""

WRITE_ENTRIES = """
    INSERT INTO entry (account_id, version, transfer_seq, amount, balance_after, held_after,
        cost_after)
    SELECT account_id, version, transfer_seq, amount, balance_after, held_after,
        nullif(cost_after, 0)
    FROM unnest(%(account_ids)s::bigint[], %(versions)s::bigint[], %(transfer_seqs)s::bigint[],
        %(amounts)s::bigint[], %(balances)s::bigint[], %(helds)s::bigint[], %(costs)s::bigint[])
        AS e(account_id, version, transfer_seq, amount, balance_after, held_after, cost_after)
"""

OPEN_ACCOUNTS = """
    INSERT INTO account (id, name, asset, has_floor, state, posted, held, cost_micros, version)
    SELECT id, name, asset, has_floor, 'open', posted, held, cost_micros, version
    FROM unnest(%(ids)s::bigint[], %(names)s::text[], %(assets)s::text[], %(has_floors)s::boolean[],
        %(posteds)s::bigint[], %(helds)s::bigint[], %(costs)s::bigint[], %(versions)s::bigint[])
        AS a(id, name, asset, has_floor, posted, held, cost_micros, version)
"""

WRITE_ACCOUNTS = """
    UPDATE account a
    SET posted = i.posted, held = i.held, cost_micros = i.cost_micros, version = i.version
    FROM unnest(%(ids)s::bigint[], %(posteds)s::bigint[], %(helds)s::bigint[], %(costs)s::bigint[],
        %(versions)s::bigint[]) AS i(id, posted, held, cost_micros, version)
    WHERE a.id = i.id AND a.id = ANY(%(ids)s::bigint[])
"""

PLACE_HOLDS = """
    INSERT INTO hold (id, account_id, remaining, is_open)
    SELECT id, nullif(account_id, 0), remaining, is_open
    FROM unnest(%(ids)s::uuid[], %(account_ids)s::bigint[], %(remainings)s::bigint[],
        %(are_open)s::boolean[]) AS h(id, account_id, remaining, is_open)
"""

DRAW_HOLDS = """
    UPDATE hold h
    SET remaining = i.remaining, is_open = i.is_open
    FROM unnest(%(ids)s::uuid[], %(remainings)s::bigint[], %(are_open)s::boolean[])
        AS i(id, remaining, is_open)
    WHERE h.id = i.id AND h.id = ANY(%(ids)s::uuid[])
"""


class BrokenBooks(RuntimeError):
    """Somebody other than the writer changed the books under its lock."""


class Journal:
    """The books within one transaction, which the caller owns."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def read(self, operations: Sequence[Operation]) -> State:
        """Lock the books and read all that the operations name."""
        asked = columns.asked_to(operations)
        async with self._connection.pipeline():
            # First the lock: each of the others then sees all that was committed before.
            heads = await self._connection.execute(LOCK_HEAD)
            transfers = await self._connection.execute(READ_RECORDED, asked)
            accounts = await self._connection.execute(LOCK_ACCOUNTS, asked)
            holds = await self._connection.execute(READ_HOLDS, asked)
        by_id = {row[0]: columns.account_from(row) for row in await accounts.fetchall()}
        return State(
            head=Head(*await _one(heads)),
            accounts={account.key: account for account in by_id.values()},
            holds={row[0]: columns.hold_from(row, by_id) for row in await holds.fetchall()},
            recorded=await self._recorded(await transfers.fetchall()),
        )

    async def _recorded(self, rows: Sequence[Sequence[Any]]) -> dict[str, Recorded]:
        """What is on record, with the balances as they stood then."""
        if not rows:
            return {}
        cursor = await self._connection.execute(
            READ_BALANCES, columns.balances_to(row[4] for row in rows)
        )
        figures = iter(await cursor.fetchall())
        recorded = {}
        for id_, fingerprint, reason, amount, versions in rows:
            balances = []
            for account_id, version in zip(versions[0::2], versions[1::2], strict=True):
                name, asset, posted, held = next(figures)
                key = AccountKey(name, asset)
                balances.append(Balance(key, account_id, version, posted, held))
            recorded[id_] = Recorded(fingerprint, Result(id_, reason, amount, tuple(balances)))
        return recorded

    async def write(self, writes: Writes) -> None:
        """Write all that a batch changed. Raises BrokenBooks rather than write half of it."""
        if not writes.transfers:
            return
        async with self._connection.pipeline():
            expected = []
            for statement, count, values in (
                (WRITE_HEAD, 1, columns.head_to(writes)),
                (WRITE_TRANSFERS, len(writes.transfers), columns.transfers_to(writes.transfers)),
                (WRITE_ENTRIES, len(writes.entries), columns.entries_to(writes.entries)),
                (OPEN_ACCOUNTS, len(writes.opened), columns.accounts_to(writes.opened)),
                (WRITE_ACCOUNTS, len(writes.changed), columns.accounts_to(writes.changed)),
                (PLACE_HOLDS, len(writes.placed), columns.holds_to(writes.placed)),
                (DRAW_HOLDS, len(writes.drawn), columns.holds_to(writes.drawn)),
            ):
                if count:
                    cursor = await self._connection.execute(statement, values)
                    expected.append((cursor, count))
        for cursor, count in expected:
            if cursor.rowcount != count:
                raise BrokenBooks(f"{cursor.rowcount} rows written, not {count}")


async def _one(cursor: AsyncCursor[Any]) -> Any:
    """The row of a statement that always has one."""
    row = await cursor.fetchone()
    if row is None:
        raise BrokenBooks("the head of the journal is gone")
    return row
