"""The database itself holds the books right, whoever writes."""

from typing import LiteralString

import psycopg
import pytest

from tests.ledger.desk import USD, Desk, a_fill, a_hold, new_id


async def a_little_history(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade), a_hold())
    await desk.post(a_fill(trade, last=True))


CHANGES: list[LiteralString] = [
    "UPDATE entry SET amount = amount + 1",
    "UPDATE entry SET amount = amount WHERE false",
    "DELETE FROM entry WHERE version = 1",
    "TRUNCATE entry",
    "UPDATE transfer SET reference = 'other'",
    "DELETE FROM transfer WHERE reason <> 0",
    "TRUNCATE transfer",
    "UPDATE batch SET last_seq = last_seq + 1",
    "DELETE FROM batch",
    "DELETE FROM checkpoint",
    "INSERT INTO transfer SELECT * FROM transfer LIMIT 1 ON CONFLICT (id) DO UPDATE SET actor = ''",
]


async def test_history_cannot_be_changed_by_the_ledger_s_own_role(desk: Desk) -> None:
    await a_little_history(desk)
    before = await desk.rows("SELECT t FROM transfer t ORDER BY seq")

    async with await psycopg.AsyncConnection.connect(desk.database_url) as connection:
        for change in CHANGES:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(change)
            await connection.rollback()

    assert await desk.rows("SELECT t FROM transfer t ORDER BY seq") == before
    await desk.assert_books_balance()


async def test_history_cannot_be_changed_by_who_has_the_right_to_either(
    desk: Desk, superuser_url: str
) -> None:
    await a_little_history(desk)
    async with await psycopg.AsyncConnection.connect(superuser_url) as connection:
        for change in CHANGES:
            with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
                await connection.execute(change)
            await connection.rollback()
    async with await psycopg.AsyncConnection.connect(desk.database_url) as connection:
        for change in CHANGES:
            await connection.execute(
                "GRANT ALL ON transfer, entry, batch, checkpoint TO CURRENT_USER"
            )
            with pytest.raises(psycopg.errors.RestrictViolation, match="never changed"):
                await connection.execute(change)
            await connection.rollback()
    await desk.assert_books_balance()


REFUSED_BY: list[tuple[LiteralString, type[psycopg.Error]]] = [
    (
        "UPDATE account SET posted = held - 1 WHERE name = 'customer/alice'",
        psycopg.errors.CheckViolation,
    ),
    (
        "UPDATE account SET held = posted + 1 WHERE name = 'customer/alice'",
        psycopg.errors.CheckViolation,
    ),
    ("UPDATE account SET held = -1", psycopg.errors.CheckViolation),
    ("UPDATE account SET cost_micros = -1", psycopg.errors.CheckViolation),
    ("UPDATE account SET cost_micros = 1 WHERE NOT has_floor", psycopg.errors.CheckViolation),
    ("UPDATE hold SET remaining = -1", psycopg.errors.CheckViolation),
    ("UPDATE hold SET is_open = false, remaining = 1", psycopg.errors.CheckViolation),
    ("INSERT INTO entry SELECT * FROM entry LIMIT 1", psycopg.errors.UniqueViolation),
    ("INSERT INTO transfer SELECT * FROM transfer LIMIT 1", psycopg.errors.UniqueViolation),
    (
        "INSERT INTO account SELECT id + 100, name, asset, has_floor, posted, held, cost_micros,"
        " version, hash FROM account",
        psycopg.errors.UniqueViolation,
    ),
    (
        "INSERT INTO journal_head SELECT * FROM journal_head",
        psycopg.errors.UniqueViolation,
    ),
    ("DELETE FROM account", psycopg.errors.InsufficientPrivilege),
    ("DELETE FROM hold", psycopg.errors.InsufficientPrivilege),
]


async def test_a_wrong_figure_is_refused_by_the_database_too(desk: Desk) -> None:
    await a_little_history(desk)
    async with await psycopg.AsyncConnection.connect(desk.database_url) as connection:
        for change, error in REFUSED_BY:
            with pytest.raises(error):
                await connection.execute(change)
            await connection.rollback()


async def test_what_was_refused_is_on_record_with_its_terms(desk: Desk) -> None:
    (refused,) = await desk.hold(a_hold(amount=7))
    assert await desk.rows("SELECT id::text, kind::text, reason, terms FROM transfer") == [
        (refused.id, "hold", refused.reason, '["hold","customer/alice","USD",7]')
    ]


async def test_a_fill_is_on_record_under_what_the_exchange_calls_it(desk: Desk) -> None:
    await desk.deposit(1_000 * USD)
    trade = new_id()
    await desk.hold(a_hold(trade=trade))
    fill = a_fill(trade, quantity=1, price=USD, execution="2026-11-20:77")
    fill.executed_at.FromJsonString("2026-11-20T15:30:00.000123Z")
    await desk.post(fill)
    assert await desk.rows(
        "SELECT id::text, reference, hold_id::text, effective_at::text, recorded_at > effective_at"
        " FROM transfer t JOIN batch b ON t.seq BETWEEN b.first_seq AND b.last_seq"
        " WHERE kind = 'execution'"
    ) == [
        (
            # Derived from the venue and the execution id alone: this value may never change.
            "98be64dc-cc9a-83d5-a0f5-28aa37664548",
            "XSIM/2026-11-20:77",
            trade,
            "2026-11-20 15:30:00.000123+00",
            True,
        )
    ]


async def test_versions_of_one_account_are_never_taken_for_those_of_another(desk: Desk) -> None:
    """However often the house takes part: its versions outgrow 32 bits within years."""
    await a_little_history(desk)
    async with await psycopg.AsyncConnection.connect(desk.database_url) as connection:
        await connection.execute(
            "INSERT INTO entry (account_id, version, transfer_seq, amount, balance_after, hash)"
            " SELECT id, (1::bigint << 42) - 1, 1, 0, 0, hash FROM account WHERE NOT has_floor"
        )
        cursor = await connection.execute(
            "SELECT count(*) FILTER (WHERE version > 1::bigint << 32), count(*) FILTER ("
            "     WHERE account_id <> ("
            "         SELECT max(id) FROM account"
            "         WHERE entry_key(id, 1) <= entry_key(account_id, version)))"
            " FROM entry"
        )
        assert await cursor.fetchall() == [(3, 0)]  # cash from deposits, cash and shares cleared
        await connection.rollback()
