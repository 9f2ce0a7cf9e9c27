"""The invariants of the books as questions whose answers are the places where they are broken.

`OF_TRANSFERS`, `IN_RANGE` and `OF_ENTRIES` are asked of the history above `after` up to `until`,
the latter two only of what is not archived; `OF_ARCHIVED` of what is left of that. `OF_HEAD` is
asked of where the history ends, `OF_STATE` of what all accounts and holds are now, from one moment.
Each answer is a row of one text. `OF_STATE` and `OF_ARCHIVED` take longer the more customers and
trades there are.

Single entries are looked up one by one (LATERAL, OFFSET 0): what is known of the partitions could
talk the planner into reading all of them.
"""

from collections.abc import Mapping
from typing import LiteralString

OF_TRANSFERS: Mapping[str, tuple[LiteralString, ...]] = {
    "I6": (
        """
        SELECT format('transfers %%s to %%s: %%s of them are there',
            %(after)s::bigint + 1, %(until)s::bigint, count(*))
        FROM transfer WHERE seq > %(after)s AND seq <= %(until)s
        HAVING count(*) <> %(until)s::bigint - %(after)s::bigint
        """,
    ),
    "I7": (
        """
        SELECT format('transfer %%s was recorded before transfer %%s', b.first_seq, before.last_seq)
        FROM batch b JOIN batch before ON before.seq = b.seq - 1
        WHERE b.last_seq > %(after)s AND b.last_seq <= %(until)s
            AND b.recorded_at < before.recorded_at
        LIMIT 5
        """,
    ),
}

IN_RANGE: Mapping[str, tuple[LiteralString, ...]] = {
    "I1": (
        """
        SELECT format('transfer %%s does not cancel out in %%s: %%s',
            e.transfer_seq, a.asset, sum(e.amount))
        FROM entry e JOIN account a ON a.id = e.account_id
        WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
            AND e.amount <> 0
        GROUP BY e.transfer_seq, a.asset HAVING sum(e.amount) <> 0
        LIMIT 5
        """,
    ),
    "I6": (
        """
        SELECT DISTINCT format('transfer %%s has entries and %%s', e.transfer_seq,
            CASE WHEN t.seq IS NULL THEN 'is not there' ELSE 'was refused' END)
        FROM entry e LEFT JOIN (
            SELECT seq, reason FROM transfer WHERE seq > %(after)s AND seq <= %(until)s
        ) AS t ON t.seq = e.transfer_seq
        WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
            AND (t.seq IS NULL OR t.reason <> 0)
        LIMIT 5
        """,
    ),
}

# Entry by entry, with the entry before and the account.
OF_ENTRIES: Mapping[str, tuple[LiteralString, ...]] = {
    "I2": (
        """
        SELECT format('%%s %%s version %%s: balance %%s, held %%s',
            a.name, a.asset, e.version, e.balance_after, coalesce(e.held_after, 0))
        FROM entry e JOIN account a ON a.id = e.account_id
        WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
            AND a.has_floor AND e.balance_after < coalesce(e.held_after, 0)
        LIMIT 5
        """,
    ),
    "I3": (
        """
        SELECT format('account %%s version %%s: %%s and %%s do not make %%s',
            e.account_id, e.version, coalesce(before.balance_after::text, 'nothing'), e.amount,
            e.balance_after)
        FROM entry e
        LEFT JOIN LATERAL (
            SELECT version, balance_after FROM entry
            WHERE entry_key(account_id, version) = entry_key(e.account_id, e.version - 1)
                AND account_id = e.account_id
            OFFSET 0
        ) AS before ON true
        WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
            AND (e.balance_after <> coalesce(before.balance_after, 0) + e.amount
                OR (before.version IS NULL) <> (e.version = 1))
        LIMIT 5
        """,
        """
        SELECT format('%%s %%s stands at version %%s with %%s, its entry says %%s',
            a.name, a.asset, a.version, a.posted, coalesce(e.balance_after::text, 'nothing'))
        FROM account a
        LEFT JOIN LATERAL (
            SELECT balance_after, held_after, cost_after, hash FROM entry
            WHERE entry_key(account_id, version) = entry_key(a.id, a.version)
                AND account_id = a.id
            OFFSET 0
        ) AS e ON true
        WHERE a.id = ANY(ARRAY(
                SELECT DISTINCT account_id FROM entry
                WHERE transfer_seq > %(after)s AND transfer_seq <= %(until)s
            ))
            AND (e.balance_after, coalesce(e.held_after, 0), coalesce(e.cost_after, 0), e.hash)
                IS DISTINCT FROM (a.posted, a.held, a.cost_micros, a.hash)
        LIMIT 5
        """,
        """
        SELECT format('account %%s has a version %%s above its own', e.account_id, e.version)
        FROM entry e LEFT JOIN account a ON a.id = e.account_id
        WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
            AND (a.id IS NULL OR e.version > a.version)
        LIMIT 5
        """,
    ),
    "I7": (
        """
        SELECT format('account %%s version %%s is of transfer %%s, the one before of %%s',
            e.account_id, e.version, e.transfer_seq, before.transfer_seq)
        FROM entry e
        CROSS JOIN LATERAL (
            SELECT transfer_seq FROM entry
            WHERE entry_key(account_id, version) = entry_key(e.account_id, e.version - 1)
                AND account_id = e.account_id
            OFFSET 0
        ) AS before
        WHERE e.transfer_seq > %(after)s AND e.transfer_seq <= %(until)s
            AND before.transfer_seq > e.transfer_seq
        LIMIT 5
        """,
    ),
}

# Whether any of `OF_ENTRIES` may have an answer, in one go over entries up to the end of the
# journal: where it has no row none of them has. Most entries follow one that is among them; only
# before the first of an account it is looked for in the history.
MAY_BE_AMISS = """
    SELECT FROM (
        SELECT *,
            lag(version) OVER of_account AS version_before,
            lag(balance_after) OVER of_account AS balance_before,
            lag(transfer_seq) OVER of_account AS transfer_seq_before,
            lead(version) OVER of_account IS NULL AS is_last
        FROM entry
        WHERE transfer_seq > %(after)s AND transfer_seq <= %(until)s
        WINDOW of_account AS (PARTITION BY account_id ORDER BY version)
    ) AS e
    LEFT JOIN account a ON a.id = e.account_id
    WHERE a.id IS NULL
        OR e.version > a.version
        OR (a.has_floor AND e.balance_after < coalesce(e.held_after, 0))
        OR version_before + 1 <> e.version
        OR balance_before + e.amount <> e.balance_after
        OR transfer_seq_before > e.transfer_seq
        OR (version_before IS NULL AND e.version = 1 AND e.amount <> e.balance_after)
        OR (version_before IS NULL AND e.version <> 1 AND NOT EXISTS (
            SELECT FROM entry before
            WHERE before.account_id = e.account_id
                AND entry_key(before.account_id, before.version)
                    = entry_key(e.account_id, e.version - 1)
                AND before.balance_after + e.amount = e.balance_after
                AND before.transfer_seq <= e.transfer_seq
            OFFSET 0
        ))
        OR (is_last AND (
            e.version, e.balance_after, coalesce(e.held_after, 0), coalesce(e.cost_after, 0), e.hash
        ) IS DISTINCT FROM (a.version, a.posted, a.held, a.cost_micros, a.hash))
    LIMIT 1
"""

OF_STATE: Mapping[str, tuple[LiteralString, ...]] = {
    "I1": (
        """
        SELECT format('the accounts of %%s add up to %%s', asset, sum(posted))
        FROM account GROUP BY asset HAVING sum(posted) <> 0
        LIMIT 5
        """,
    ),
    "I2": (
        """
        SELECT format('%%s %%s: balance %%s, held %%s', name, asset, posted, held)
        FROM account WHERE has_floor AND posted < held
        LIMIT 5
        """,
    ),
    "I4": (
        """
        SELECT format('%%s %%s: %%s held, its open holds make %%s',
            a.name, a.asset, a.held, coalesce(h.remaining, 0))
        FROM account a
        LEFT JOIN (
            SELECT account_id, sum(remaining) AS remaining FROM hold
            WHERE is_open GROUP BY account_id
        ) AS h ON h.account_id = a.id
        WHERE a.held <> coalesce(h.remaining, 0)
        LIMIT 5
        """,
    ),
}

OF_HEAD: Mapping[str, tuple[LiteralString, ...]] = {
    "I6": (
        """
        SELECT format('the journal ends at transfer %%s, its head says %%s',
            coalesce(t.seq, 0), h.transfer_seq)
        FROM journal_head h LEFT JOIN LATERAL (
            SELECT seq FROM transfer ORDER BY seq DESC LIMIT 1
        ) AS t ON true
        WHERE coalesce(t.seq, 0) <> h.transfer_seq
        """,
    ),
}

# The last entry of each account among those that are archived.
OF_ARCHIVED: Mapping[str, tuple[LiteralString, ...]] = {
    "I1": (
        """
        SELECT format('what is left of archived entries of %%s adds up to %%s',
            a.asset, sum(e.balance_after))
        FROM (
            SELECT DISTINCT ON (account_id) account_id, balance_after FROM entry
            WHERE transfer_seq <= %(archived)s
            ORDER BY account_id, version DESC
        ) AS e
        JOIN account a ON a.id = e.account_id
        GROUP BY a.asset HAVING sum(e.balance_after) <> 0
        LIMIT 5
        """,
    ),
    "I2": (
        """
        SELECT format('%%s %%s version %%s: balance %%s, held %%s',
            a.name, a.asset, e.version, e.balance_after, coalesce(e.held_after, 0))
        FROM entry e JOIN account a ON a.id = e.account_id
        WHERE e.transfer_seq <= %(archived)s
            AND a.has_floor AND e.balance_after < coalesce(e.held_after, 0)
        LIMIT 5
        """,
    ),
}

# Accounts that no entry in range led to: asked where others than the writer may have written.
OF_ACCOUNTS: Mapping[str, tuple[LiteralString, ...]] = {
    "I3": (
        """
        SELECT format('%%s %%s stands at version %%s with %%s, its entry says %%s',
            a.name, a.asset, a.version, a.posted, coalesce(e.balance_after::text, 'nothing'))
        FROM account a
        LEFT JOIN LATERAL (
            SELECT balance_after, held_after, cost_after, hash FROM entry
            WHERE entry_key(account_id, version) = entry_key(a.id, a.version)
                AND account_id = a.id
            OFFSET 0
        ) AS e ON true
        WHERE (e.balance_after, coalesce(e.held_after, 0), coalesce(e.cost_after, 0), e.hash)
            IS DISTINCT FROM (a.posted, a.held, a.cost_micros, a.hash)
        LIMIT 5
        """,
    ),
}

LIST_EXECUTIONS = """
    SELECT seq, id::text, CASE kind WHEN 'execution' THEN 'execution' ELSE 'correction' END,
        reference
    FROM transfer
    WHERE seq > %(after)s AND seq <= %(until)s AND kind IN ('execution', 'bust', 'correction')
        AND reason = 0
"""

# Rows written, changed and removed since the statistics began, by table, for each partition; the
# last two stay what they are in tables that hold history. A new checkpoint is nothing to look at.
READ_COUNTERS = """
    SELECT CASE WHEN i.inhrelid IS NULL THEN relname ELSE 'entry' END, relid::bigint,
        CASE relname WHEN 'checkpoint' THEN 0 ELSE n_tup_ins END, n_tup_upd, n_tup_del
    FROM pg_stat_user_tables
    LEFT JOIN pg_inherits i ON i.inhrelid = relid AND i.inhparent = 'entry'::regclass
    WHERE i.inhrelid IS NOT NULL
        OR relname IN ('account', 'hold', 'transfer', 'batch', 'checkpoint', 'restraint')
    ORDER BY relid
"""

# How many entries were ever about to be moved from one partition to another, and how many by a run
# of the archive that still goes on. Its process is listed until all it removed is counted.
READ_MOVING = """
    SELECT coalesce(sum(entries), 0)::bigint, coalesce(sum(entries) FILTER (
        WHERE moved_at >= (
            SELECT min(backend_start) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'ledger-archive'
        )
    ), 0)::bigint
    FROM moved_month
"""
