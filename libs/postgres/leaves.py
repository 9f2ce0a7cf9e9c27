"""A single partition of a table in months: made, filled, put in its place and taken from it.

All of it within a transaction that the caller owns.
"""

import psycopg
from psycopg import sql

from libs.months import Month, MonthlyTable

Connection = psycopg.AsyncConnection
_RIGHTS = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")


async def make_like(connection: Connection, table: MonthlyTable, name: str) -> None:
    """A table like the default partition, with nothing in it, that belongs to nothing yet."""
    default = f"{table.name}_default"
    await execute(connection, "CREATE TABLE {} (LIKE {} INCLUDING ALL)", name, default)
    cursor = await connection.execute(
        "SELECT unnest(reloptions) FROM pg_class WHERE oid = %s::regclass", [default]
    )
    for (option,) in await cursor.fetchall():
        key, _, value = option.partition("=")
        await connection.execute(
            sql.SQL("ALTER TABLE {} SET ({} = {})").format(
                sql.Identifier(name), sql.Identifier(key), sql.Literal(value)
            )
        )
    cursor = await connection.execute(
        """
        SELECT pg_get_triggerdef(oid, true) FROM pg_trigger
        WHERE tgrelid = %s::regclass AND NOT tgisinternal AND tgparentid = 0
        """,
        [default],
    )
    for (definition,) in await cursor.fetchall():
        await connection.execute(definition.replace(f" ON {default} ", f" ON {name} ", 1).encode())
    for right in _RIGHTS:
        if not await _has_right(connection, default, right):
            await execute(connection, f"REVOKE {right} ON {{}} FROM CURRENT_USER", name)


async def count_of(connection: Connection, table: MonthlyTable, month: Month) -> int:
    """How many rows of a month lie in the default partition."""
    cursor = await connection.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
            sql.Identifier(f"{table.name}_default"), _of_month(table, month)
        )
    )
    ((count,),) = await cursor.fetchall()
    return int(count)


def _of_month(table: MonthlyTable, month: Month) -> sql.Composed:
    column = sql.Identifier(table.column)
    return sql.SQL("{} >= {} AND {} < {}").format(
        column,
        sql.Literal(table.key.first(month)),
        column,
        sql.Literal(table.key.first(month.plus(1))),
    )


async def move_rows(
    connection: Connection, table: MonthlyTable, month: Month, *, into: str
) -> None:
    """What lies in the default partition, into a table of its own; nobody else changes it so.

    Once rows are removed where they were, nothing more has to be waited for: a move that is given
    up removes none.
    """
    default = sql.Identifier(f"{table.name}_default")
    statements = [
        "ALTER TABLE {default} DISABLE TRIGGER USER",
        "INSERT INTO {month} SELECT * FROM {default} WHERE {of_month}",
        # What it takes to attach the month.
        "LOCK TABLE ONLY {table} IN SHARE UPDATE EXCLUSIVE MODE",
        "LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
        "DELETE FROM {default} WHERE {of_month}",
        "ALTER TABLE {default} ENABLE TRIGGER USER",
    ]
    if not await _has_right(connection, f"{table.name}_default", "DELETE"):
        statements.insert(0, "GRANT DELETE ON {default} TO CURRENT_USER")
        statements.append("REVOKE DELETE ON {default} FROM CURRENT_USER")
    for statement in statements:
        await connection.execute(
            sql.SQL(statement).format(
                table=sql.Identifier(table.name),
                default=default,
                month=sql.Identifier(into),
                of_month=_of_month(table, month),
            )
        )


async def vouch(connection: Connection, table: MonthlyTable, name: str, ends: Month) -> None:
    """Say that a table has nothing from `ends` on, so that nobody waits while it is looked at."""
    column = sql.Identifier(table.column)
    await execute(connection, "ALTER TABLE {} DROP CONSTRAINT IF EXISTS months_before", name)
    await connection.execute(
        sql.SQL(
            "ALTER TABLE {} ADD CONSTRAINT months_before CHECK ({} IS NOT NULL AND {} < {})"
        ).format(sql.Identifier(name), column, column, sql.Literal(table.key.first(ends)))
    )


async def attach(
    connection: Connection,
    table: MonthlyTable,
    name: str,
    bounds: tuple[Month | None, Month],
) -> None:
    """Make a table the partition from the first month on (None: all before) to the other one."""
    begins, ends = bounds
    lower = sql.SQL("MINVALUE") if begins is None else sql.Literal(table.key.first(begins))
    await connection.execute(
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
            sql.Identifier(table.name),
            sql.Identifier(name),
            lower,
            sql.Literal(table.key.first(ends)),
        )
    )


async def detach(connection: Connection, table: MonthlyTable, name: str) -> None:
    """Make a partition a table of its own."""
    await execute(connection, "ALTER TABLE {} DETACH PARTITION {}", table.name, name)


async def _has_right(connection: Connection, name: str, right: str) -> bool:
    """Whether who is connected may do that to a table."""
    cursor = await connection.execute("SELECT has_table_privilege(%s, %s)", [name, right])
    return await cursor.fetchone() == (True,)


async def execute(connection: Connection, statement: str, *names: str) -> None:
    """A statement about things with these names."""
    await connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
