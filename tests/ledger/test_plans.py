"""Statements of the hot path cost the same on an empty database and on a grown one.

Plans are forced to be generic, as they are once a statement is prepared, and are made while the
tables are empty, when they are large and not yet analysed, and when they are large and analysed.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, LiteralString

import psycopg
import pytest

from libs.months import Month, months_between
from libs.postgres import migrate
from libs.postgres.partitions import ensure
from services.ledger.main import MIGRATIONS
from services.ledger.store import (
    bookings,
    checkpoints,
    history,
    invariants,
    journal,
    portfolio,
    writing,
)
from services.ledger.store.months import ENTRIES as MONTHLY

WRITER: dict[str, LiteralString] = {
    "LOCK_HEAD": journal.LOCK_HEAD,
    "READ_RECORDED": journal.READ_RECORDED,
    "READ_HOLDS": journal.READ_HOLDS,
    "READ_REVERSED": journal.READ_REVERSED,
    "READ_RESTRAINTS": journal.READ_RESTRAINTS,
    "READ_ACCOUNTS": journal.READ_ACCOUNTS,
    "READ_BALANCES": journal.READ_BALANCES,
    "WRITE_HEAD": writing.WRITE_HEAD,
    "WRITE_ACCOUNTS": writing.WRITE_ACCOUNTS,
    "DRAW_HOLDS": writing.DRAW_HOLDS,
}
READER: dict[str, LiteralString] = {
    "READ_ACCOUNTS": portfolio.READ_ACCOUNTS,
    "READ_ACCOUNTS_KNOWN_AT": portfolio.READ_ACCOUNTS_KNOWN_AT,
    "READ_ACCOUNTS_AS_OF": portfolio.READ_ACCOUNTS_AS_OF,
    "LIST_ENTRIES": portfolio.LIST_ENTRIES,
    "READ_TRANSFERS": history.READ_TRANSFERS,
    "READ_ENTRIES": history.READ_ENTRIES,
    "LIST_TRANSFERS": history.LIST_TRANSFERS,
    "LIST_JOURNAL": history.LIST_ENTRIES,
    "LIST_BATCHES": history.LIST_BATCHES,
    "READ_COVERING": checkpoints.READ_COVERING,
    "READ_LAST": checkpoints.READ_LAST,
    "READ_NEXT_TO_SEAL": checkpoints.READ_NEXT_TO_SEAL,
    "LIST_BOOKED": bookings.LIST_TRANSFERS,
    "READ_UNDONE": bookings.READ_UNDONE,
    "LIST_BOOKED_BATCHES": bookings.LIST_BATCHES,
    "LIST_MOVEMENTS": bookings.LIST_MOVEMENTS,
    "READ_CUSTOMERS": bookings.READ_CUSTOMERS,
}
# Of the auditor, those that look for single entries in all of the history.
LOOKING_BACK: dict[str, LiteralString] = {
    "I3": invariants.OF_ENTRIES["I3"][0],
    "I3 of accounts": invariants.OF_ENTRIES["I3"][1],
    "I7": invariants.OF_ENTRIES["I7"][0],
    "MAY_BE_AMISS": invariants.MAY_BE_AMISS,
}
GROWN = 20_000
MONTHS = 4
ACCOUNTS = f"""
    INSERT INTO account
    SELECT n, 'customer/c' || n / 4, 'S' || n % 4, true, 1, 0, 0, 1, sha256('')
    FROM generate_series(1, {GROWN}) AS n"""
HOUSE = f"""
    INSERT INTO account
    SELECT n, 'house/clearing', 'H' || n, false, 1, 0, 0, 1, sha256('')
    FROM generate_series({GROWN} + 1, 2 * {GROWN}) AS n"""
HOLDS = f"""
    INSERT INTO hold SELECT gen_random_uuid(), n, 1, true FROM generate_series(1, {GROWN}) AS n"""
TRANSFERS = f"""
    INSERT INTO transfer (seq, id, kind, reason, fingerprint, reference)
    SELECT n, gen_random_uuid(), 'deposit', 0, uuid_send(gen_random_uuid()), ''
    FROM generate_series(1, {GROWN}) AS n"""
ENTRIES = f"""
    INSERT INTO entry (account_id, version, transfer_seq, amount, balance_after, hash, month)
    SELECT n % 100, 1 + n / 100, n, 1, 1, sha256(''),
        month_of(now()) + n * {MONTHS} / ({GROWN} + 1)
    FROM generate_series(1, {GROWN}) AS n"""

BATCHES = f"""
    INSERT INTO batch SELECT n, n, n, now(), sha256('') FROM generate_series(1, {GROWN}) AS n"""
CHECKPOINTS = f"""
    INSERT INTO checkpoint SELECT n, n, n, '', '', '', now(), '', ''
    FROM generate_series(1, {GROWN}) AS n"""


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def scans(plan: dict[str, Any]) -> list[str]:
    """Where it reads more of a table than it was given keys for."""
    found = []
    for node in nodes(plan):
        kind, table = node["Node Type"], node.get("Relation Name")
        if table in ("journal_head", "entry_default", "archived_month"):
            continue  # one row, none, and one a month
        has_keys = kind == "Bitmap Heap Scan" or "Index Cond" in node
        if kind.endswith("Scan") and not has_keys and (table or "Index Name" in node):
            found.append(f"{kind} of {table or node['Index Name']}")
    return found


async def plan_of(connection: psycopg.AsyncConnection, statement: str) -> dict[str, Any]:
    """The generic plan: with no value known."""
    numbers: dict[str, str] = {}
    numbered = re.sub(
        r"%\((\w+)\)s", lambda m: numbers.setdefault(m[1], f"${len(numbers) + 1}"), statement
    )
    cursor = await connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered}".encode())
    row = await cursor.fetchone()
    assert row is not None
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


async def assert_no_scans(
    database_url: str, statements: dict[str, LiteralString], options: dict[str, str]
) -> None:
    settings = " ".join(f"-c {name}={value}" for name, value in options.items())
    async with await psycopg.AsyncConnection.connect(
        database_url, autocommit=True, options=settings
    ) as connection:
        for name, statement in statements.items():
            assert scans(await plan_of(connection, statement)) == [], name


@pytest.fixture
async def database_url(postgres_url: str) -> str:
    await migrate(postgres_url, MIGRATIONS)
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        cursor = await connection.execute("SELECT month_of(now())")
        row = await cursor.fetchone()
        assert row is not None
        this = Month.numbered(row[0])
        await ensure(connection, MONTHLY, months_between(this, this.plus(MONTHS)))
    return postgres_url


async def test_no_statement_scans_a_table(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await assert_no_scans(database_url, WRITER, journal.OPTIONS)
        await connection.execute("VACUUM ANALYZE")
        await assert_no_scans(database_url, WRITER, journal.OPTIONS)
        for grow in (ACCOUNTS, HOUSE, HOLDS, TRANSFERS, ENTRIES, BATCHES, CHECKPOINTS):
            await connection.execute(grow.encode())
        await assert_no_scans(database_url, WRITER, journal.OPTIONS)
        await connection.execute("VACUUM ANALYZE")
        await assert_no_scans(database_url, WRITER, journal.OPTIONS)
        await assert_no_scans(database_url, READER, {})
        for name, statement in LOOKING_BACK.items():
            plan = await plan_of(connection, statement)
            found = {node.get("Index Name", "") for node in nodes(plan)}
            by_key = [index for index in found if index.endswith(("_version", "_entry_key_idx"))]
            assert len(by_key) >= MONTHS, name
        # Those asked for are all read, by an index that has no others.
        waiting = await plan_of(connection, history.LIST_REVERSAL_REQUESTS)
        indexes = {node["Index Name"] for node in nodes(waiting) if "Index Name" in node}
        by_row = {"reversed_once", "transfer_pkey", "batch_last_seq_key"}
        assert indexes == {"reversal_requested", *by_row}


async def test_accounts_are_found_by_both_parts_of_their_key(database_url: str) -> None:
    """Else every lookup of one house account would read all of them."""
    async with await psycopg.AsyncConnection.connect(
        database_url, options=" ".join(f"-c {k}={v}" for k, v in journal.OPTIONS.items())
    ) as connection:
        plan = await plan_of(connection, journal.READ_ACCOUNTS)
    conditions = [
        n["Index Cond"] for n in nodes(plan) if n.get("Index Name") == "account_name_asset_key"
    ]
    (condition,) = (c for c in conditions if "named." in c)  # the other one is of whole names
    assert "name =" in condition
    assert "asset =" in condition


async def test_a_deep_page_reads_no_more_than_a_shallow_one(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        for grow in (ACCOUNTS, TRANSFERS, ENTRIES, BATCHES):
            await connection.execute(grow.encode())
        await connection.execute(f"UPDATE account SET version = {GROWN // 100} WHERE id < 100")
        await connection.execute(f"UPDATE journal_head SET transfer_seq = {GROWN}")
        await connection.execute("VACUUM ANALYZE")
        deep = await _entries_read(connection, transfer_seq=500)
        shallow = await _entries_read(connection, transfer_seq=GROWN)
    assert shallow <= deep <= shallow + 4 * 10  # a binary search per account is all it adds


async def _entries_read(connection: psycopg.AsyncConnection, *, transfer_seq: int) -> int:
    asked = {
        "name": "customer/c5",
        "asset": "",
        "transfer_seq": transfer_seq,
        "account_id": 10**9,
        "version": 10**9,
        "count": 3,
        "as_of": "infinity",
        "known_at": "infinity",
    }
    async with connection.transaction():
        cursor = await connection.execute(portfolio.LIST_ENTRIES, asked)
        assert len(await cursor.fetchall()) == 3
        cursor = await connection.execute(
            "SELECT sum(pg_stat_get_xact_tuples_fetched(inhrelid)) FROM pg_inherits"
            " WHERE inhparent = 'entry'::regclass"
        )
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])
