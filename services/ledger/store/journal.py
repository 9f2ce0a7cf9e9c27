"""How the one writer reads what a batch needs, and writes what it changes.

Every statement takes and returns many rows, and is written so that its plan is the same on an empty
table and on a large one: keys come as `= ANY(array)` or through a LATERAL probe of an index, never
through a join that the planner could turn round. `OPTIONS` belong to the connection it runs on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from psycopg import AsyncConnection, AsyncCursor

from libs.reasons import Reason
from services.ledger.domain.books import (
    Account,
    AccountState,
    Balance,
    Head,
    Recorded,
    Result,
    State,
)
from services.ledger.domain.memory import Known
from services.ledger.domain.operations import Operation, accounts_of, fingerprint
from services.ledger.store import columns
from services.ledger.store.writing import Writing

# Plans that a generic, unanalysed or outgrown statistic could talk the planner into, and that cost
# a scan per row. Each is made once.
OPTIONS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_mergejoin": "off",
    "enable_nestloop": "off",
    "jit": "off",
}

READ_HEAD = """
    SELECT transfer_seq, account_id, batch_seq, batch_hash, recorded_at, writer_epoch,
        clock_timestamp()
    FROM journal_head
"""
LOCK_HEAD = READ_HEAD + " FOR UPDATE"

READ_RECORDED = """
    SELECT id::text, fingerprint, reason, coalesce(amount, 0), seq
    FROM transfer
    WHERE id = ANY(%(ids)s::uuid[])
"""

READ_RESTRAINTS = """
    SELECT name, state FROM restraint
    WHERE name = ANY(%(names)s::text[] || %(whole_names)s::text[] || ARRAY(
        SELECT name FROM account WHERE id = ANY(ARRAY(
            SELECT account_id FROM hold WHERE id = ANY(%(lone_hold_ids)s::uuid[])
        ))
    ))
"""

READ_REVERSED = """
    SELECT reverses::text
    FROM transfer
    WHERE reverses = ANY(%(reverses)s::uuid[]) AND kind <> 'reversal_request' AND reason = 0
"""

READ_HOLDS = """
    SELECT id::text, account_id, remaining, is_open
    FROM hold
    WHERE id = ANY(%(hold_ids)s::uuid[])
"""

# Who holds the lock of the head changes them, and nobody else. Of a hold that legs draw on, the
# account is one that they name.
READ_ACCOUNTS = """
    SELECT found.id, found.name, found.asset, has_floor, posted, held, cost_micros, version, hash
    FROM unnest(%(names)s::text[], %(assets)s::text[]) AS named(name, asset)
    CROSS JOIN LATERAL (
        SELECT * FROM account a WHERE a.name = named.name AND a.asset = named.asset OFFSET 0
    ) AS found
    UNION ALL
    SELECT id, name, asset, has_floor, posted, held, cost_micros, version, hash
    FROM account
    WHERE id = ANY(ARRAY(
        SELECT account_id FROM hold WHERE id = ANY(%(lone_hold_ids)s::uuid[])
    ))
    UNION ALL
    SELECT id, name, asset, has_floor, posted, held, cost_micros, version, hash
    FROM account
    WHERE name = ANY(%(whole_names)s::text[])
"""

# Each account as it stood right after a transfer; none, where it was not there yet, and none at all
# where the transfer's entries are archived.
READ_BALANCES = """
    SELECT wanted.place, e.version, e.balance_after, coalesce(e.held_after, 0)
    FROM unnest(%(account_ids)s::integer[], %(versions)s::bigint[], %(seqs)s::bigint[])
        WITH ORDINALITY AS wanted(account_id, version, seq, place)
    CROSS JOIN LATERAL (
        SELECT version, balance_after, held_after FROM entry
        WHERE entry_key(account_id, version) = entry_key(
                wanted.account_id, version_at(wanted.account_id, wanted.version, wanted.seq)
            ) AND account_id = wanted.account_id
        OFFSET 0
    ) AS e
    WHERE wanted.seq > archived_seq()
"""


class BrokenBooks(RuntimeError):
    """Somebody other than the writer changed the books under its lock."""


class Row(msgspec.Struct, frozen=True):
    """A transfer on record, as far as its id asked again needs it."""

    fingerprint: bytes
    reason: Reason.ValueType
    amount: int
    seq: int


class StaleWriter(RuntimeError):
    """Another process is the writer now."""


class Journal:
    """The books within one transaction, which the caller owns, for the writer of `epoch`."""

    def __init__(self, connection: AsyncConnection, *, epoch: int) -> None:
        self._connection = connection
        self.epoch = epoch

    async def read(self, operations: Sequence[Operation], known: Known, *, locks: bool) -> State:
        """All that the operations name; `locks`: as it stays until the end of the transaction.

        Without, what is written later on top of it is held against the head. What is `known` is
        not read: whether it is true the head of the answer tells. Raises StaleWriter.
        """
        asked_for = columns.asked_by(operations, known)
        asked = columns.asked_to(operations, asked_for)
        async with self._connection.pipeline():
            # First the head: each of the others then sees all that was committed before.
            heads = await self._connection.execute(LOCK_HEAD if locks else READ_HEAD)
            transfers = await self._connection.execute(READ_RECORDED, asked)
            accounts = restraints = holds = reversed_ = None  # in most batches some is not needed
            if asked_for.names_accounts:
                accounts = await self._connection.execute(READ_ACCOUNTS, asked, binary=True)
                restraints = await self._connection.execute(READ_RESTRAINTS, asked)
            if asked_for.hold_ids:
                holds = await self._connection.execute(READ_HOLDS, asked, binary=True)
            if any(o.reverses for o in operations):
                reversed_ = await self._connection.execute(READ_REVERSED, asked)
        *head, epoch, database_at = await _one(heads)
        if epoch != self.epoch:
            raise StaleWriter(f"epoch {self.epoch} is over, this is {epoch}")
        read = [columns.account_from(row) for row in await _all(accounts)]
        found = {**known.accounts, **{account.key: account for account in read}}
        by_id = {account.id: account for account in found.values()}
        drawn_on = {row[0]: columns.hold_from(row, by_id) for row in await _all(holds)}
        state = State(
            head=Head(*head),
            accounts=found,
            holds={**known.holds, **drawn_on},
            recorded={},
            restraints={name: AccountState(s) for name, s in await _all(restraints)},
            reversed=frozenset(row[0] for row in await _all(reversed_)),
            database_at=database_at,
        )
        rows = {row[0]: Row(*row[1:]) for row in await transfers.fetchall()}
        return replace(state, recorded=await self._recorded(rows, operations, state))

    async def _recorded(
        self, rows: Mapping[str, Row], operations: Sequence[Operation], state: State
    ) -> dict[str, Recorded]:
        """What is on record, with the balances as they stood then.

        They are not stored: the operation, which is the same again, names the accounts. They are
        archived with the entries.
        """
        if not rows:
            return {}
        again = {
            o.id: o
            for o in operations
            if o.id in rows and fingerprint(o.terms()) == rows[o.id].fingerprint
        }
        moments = [
            (id_, account, rows[id_].seq)
            for id_, operation in again.items()
            for account in _accounts_of(operation, rows[id_], state)
        ]
        cursor = await self._connection.execute(
            READ_BALANCES, columns.moments_to((account, seq) for _, account, seq in moments)
        )
        balances: dict[str, list[Balance]] = {}
        for place, version, posted, held in sorted(await cursor.fetchall()):
            id_, account, _ = moments[place - 1]
            balance = Balance(account.key, account.id, version, posted, held)
            balances.setdefault(id_, []).append(balance)
        return {
            id_: Recorded(
                row.fingerprint, Result(id_, row.reason, row.amount, tuple(balances.get(id_, ())))
            )
            for id_, row in rows.items()
        }

    async def write(self, writing: "Writing") -> None:
        """Write a batch, within a pipeline: all of it or, where anything is amiss, nothing."""
        for statement, values in writing:
            await self._connection.execute(statement, values)


def _accounts_of(operation: Operation, row: Row, state: State) -> list[Account]:
    """Those whose balances are in the result on record, if they were there by then."""
    keys = dict.fromkeys(accounts_of(operation, state.accounts))
    hold = state.holds.get(operation.hold_id) if operation.hold_id and not row.reason else None
    if hold is not None:
        keys[hold.account] = None
    return [state.accounts[key] for key in keys if key in state.accounts]


async def _all(cursor: AsyncCursor[Any] | None) -> list[Any]:
    """The rows of a statement; none, if it was not asked."""
    return [] if cursor is None else await cursor.fetchall()


async def _one(cursor: AsyncCursor[Any]) -> Any:
    """The row of a statement that always has one."""
    row = await cursor.fetchone()
    if row is None:
        raise BrokenBooks("the head of the journal is gone")
    return row
