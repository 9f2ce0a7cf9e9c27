"""What the one writer writes of a batch, statement by statement."""

from typing import LiteralString

from services.ledger.domain.books import Writes
from services.ledger.domain.chain import Chained
from services.ledger.store import columns

# Nothing is written but on what was read: else no head moves, and 1 / 0 ends the transaction.
WRITE_HEAD = """
    WITH moved AS (
        UPDATE journal_head
        SET transfer_seq = %(transfer_seq)s, account_id = %(account_id)s,
            recorded_at = %(recorded_at)s, batch_seq = %(batch_seq)s, batch_hash = %(batch_hash)s
        WHERE transfer_seq = %(transfer_seq_before)s AND account_id = %(account_id_before)s
            AND batch_seq = %(batch_seq)s - 1 AND writer_epoch = %(epoch)s
        RETURNING batch_seq, batch_hash, recorded_at
    ), added AS (
        INSERT INTO batch (seq, first_seq, last_seq, recorded_at, hash)
        SELECT batch_seq, %(first_seq)s, %(last_seq)s, recorded_at, batch_hash FROM moved
        RETURNING seq
    )
    SELECT 1 / count(*) FROM added
"""

WRITE_TRANSFERS = """
    INSERT INTO transfer (seq, id, kind, fingerprint, reason, amount, hold_id, reverses, reference,
        actor, terms, effective_at, hash)
    SELECT seq, id, kind::transfer_kind, fingerprint, reason, nullif(amount, 0), hold_id, reverses,
        reference, actor, terms, effective_at::timestamptz, hash
    FROM unnest(%(seqs)s::bigint[], %(ids)s::uuid[], %(kinds)s::text[],
        %(fingerprints)s::bytea[], %(reasons)s::integer[], %(amounts)s::bigint[],
        %(hold_ids)s::uuid[], %(reverses)s::uuid[], %(references)s::text[], %(actors)s::text[],
        %(terms)s::text[], %(effective_ats)s::text[], %(hashes)s::bytea[])
        AS t(seq, id, kind, fingerprint, reason, amount, hold_id, reverses, reference, actor, terms,
            effective_at, hash)
"""

WRITE_ENTRIES = """
    INSERT INTO entry (account_id, version, transfer_seq, amount, balance_after, held_after,
        cost_after, hash, month)
    SELECT account_id, version, transfer_seq, amount, balance_after, nullif(held_after, 0),
        nullif(cost_after, 0), hash, %(month)s::smallint
    FROM unnest(%(account_ids)s::integer[], %(versions)s::bigint[], %(transfer_seqs)s::bigint[],
        %(amounts)s::bigint[], %(balances)s::bigint[], %(helds)s::bigint[], %(costs)s::bigint[],
        %(hashes)s::bytea[])
        AS e(account_id, version, transfer_seq, amount, balance_after, held_after, cost_after, hash)
"""

OPEN_ACCOUNTS = """
    INSERT INTO account (id, name, asset, has_floor, posted, held, cost_micros, version, hash)
    SELECT id, name, asset, has_floor, posted, held, cost_micros, version, hash
    FROM unnest(%(ids)s::integer[], %(names)s::text[], %(assets)s::text[],
        %(has_floors)s::boolean[], %(posteds)s::bigint[], %(helds)s::bigint[], %(costs)s::bigint[],
        %(versions)s::bigint[], %(hashes)s::bytea[])
        AS a(id, name, asset, has_floor, posted, held, cost_micros, version, hash)
"""

# Of these and of holds, a row that is not there ends the transaction likewise.
WRITE_ACCOUNTS = """
    WITH changed AS (
        UPDATE account a
        SET posted = i.posted, held = i.held, cost_micros = i.cost_micros, version = i.version,
            hash = i.hash
        FROM unnest(%(ids)s::integer[], %(posteds)s::bigint[], %(helds)s::bigint[],
            %(costs)s::bigint[], %(versions)s::bigint[], %(hashes)s::bytea[])
            AS i(id, posted, held, cost_micros, version, hash)
        WHERE a.id = i.id AND a.id = ANY(%(ids)s::integer[])
        RETURNING a.id
    )
    SELECT 1 / (count(*) = cardinality(%(ids)s::integer[]))::integer FROM changed
"""

PLACE_HOLDS = """
    INSERT INTO hold (id, account_id, remaining, is_open)
    SELECT id, nullif(account_id, 0), remaining, is_open
    FROM unnest(%(ids)s::uuid[], %(account_ids)s::integer[], %(remainings)s::bigint[],
        %(are_open)s::boolean[]) AS h(id, account_id, remaining, is_open)
"""

DRAW_HOLDS = """
    WITH drawn AS (
        UPDATE hold h
        SET remaining = i.remaining, is_open = i.is_open
        FROM unnest(%(ids)s::uuid[], %(remainings)s::bigint[], %(are_open)s::boolean[])
            AS i(id, remaining, is_open)
        WHERE h.id = i.id AND h.id = ANY(%(ids)s::uuid[])
        RETURNING h.id
    )
    SELECT 1 / (count(*) = cardinality(%(ids)s::uuid[]))::integer FROM drawn
"""

SET_RESTRAINTS = """
    INSERT INTO restraint (name, state)
    SELECT name, state FROM unnest(%(names)s::text[], %(states)s::text[]) AS r(name, state)
    ON CONFLICT (name) DO UPDATE SET state = excluded.state
"""

Writing = list[tuple[LiteralString, columns.Columns]]  # statements, each with its values


def writing(writes: Writes, chained: Chained, *, epoch: int) -> Writing:
    """What is executed to write a batch, in order: first what proves that it may be written."""
    entries, opened = writes.entries, writes.opened
    found = [
        (WRITE_HEAD, columns.head_to(writes, chained.batch, epoch)),
        (WRITE_TRANSFERS, columns.transfers_to(writes.transfers, chained.alone)),
    ]
    if entries:
        found.append((WRITE_ENTRIES, columns.entries_to(writes, chained.entries)))
    if opened:
        found.append((OPEN_ACCOUNTS, columns.opened_to(opened, chained)))
    if writes.changed:
        found.append((WRITE_ACCOUNTS, columns.accounts_to(writes.changed, chained)))
    if writes.placed:
        found.append((PLACE_HOLDS, columns.holds_to(writes.placed)))
    if writes.drawn:
        found.append((DRAW_HOLDS, columns.holds_to(writes.drawn)))
    if writes.restraints:
        found.append((SET_RESTRAINTS, columns.restraints_to(writes.restraints)))
    return found
