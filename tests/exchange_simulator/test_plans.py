"""The cost of a batch does not depend on how many orders and reports are on record."""

from datetime import UTC, datetime

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from libs.postgres import migrate
from services.exchange_simulator import store
from services.exchange_simulator.database import KEEPING_PLANS, MIGRATIONS
from services.exchange_simulator.domain import NewOrder
from services.exchange_simulator.hours import Phase
from services.exchange_simulator.keeping import (
    Advance,
    Day,
    OrderRow,
    Records,
    ReportRow,
    keep_batch,
)
from services.exchange_simulator.store import Sequences
from services.exchange_simulator.working import Working

AT = datetime(2026, 11, 20, tzinfo=UTC)
ORDERS = 30
OLD = 20_000
MEMBER = "stockbroker"
FILL = f"""
WITH old AS (
    INSERT INTO member_order (client_order_id, session_id, exchange_order_id, symbol, side,
        quantity, order_type, limit_price_micros, stop_price_micros, time_in_force,
        max_notional_micros, received_at)
    SELECT 'old-' || n, '{MEMBER}', 'X' || n, 'AAPL', 1, 1, 1, 0, 0, 1, 0, now()
    FROM generate_series(1, {OLD}) AS n
)
INSERT INTO report (session_id, report_seq, client_order_id, exec_id, exec_type, last_quantity,
    last_price_micros, body)
SELECT '{MEMBER}', 1000 + n, 'old-' || n, 'E' || n, 2, 1, 1, ''
FROM generate_series(1, {OLD}) AS n
"""


def an_order(name: str) -> NewOrder:
    return NewOrder(name, "AAPL", 1, 1, 2, 1_000_000, 0, 2, 0)


async def trade_once(connection: psycopg.AsyncConnection, name: str, first: int) -> None:
    """A batch that is taken and rests, one that fills it, and all that is read of them."""
    before = await store.open_session(connection, 1, MEMBER)
    orders = [an_order(f"{name}-{number}") for number in range(ORDERS)]
    names = [order.client_order_id for order in orders]
    assert not await store.find_orders(connection, names)
    resting = [
        Working(0, order, MEMBER, f"X-{order.client_order_id}", AT, first + n, 1, 0, 1, 0, False)
        for n, order in enumerate(orders)
    ]
    rows = [OrderRow(order, MEMBER, "X", AT, True, 1) for order in orders]
    reports = [
        ReportRow(MEMBER, first + n, each, f"{name}-{n}", 2, 1, 1, b"")
        for n, each in enumerate(names)
    ]
    day = Day(Phase.BY_HOURS, AT, None)
    middle = Sequences(before.next_command_seq + ORDERS, before.next_report_seq, 0)
    after = Sequences(middle.next_command_seq, first + ORDERS, 0)
    took = Records([Advance(MEMBER, before, middle)], rows, [], resting, [], day)
    filled = Records([Advance(MEMBER, middle, after)], [], reports, [], resting, None)
    await keep_batch(connection, 1, took)
    await keep_batch(connection, 1, filled)
    await store.keep_acknowledged(connection, 1, {MEMBER: first + 1})
    assert len(await store.find_orders(connection, names)) == ORDERS
    assert len(await store.read_reports(connection, MEMBER, first, first + ORDERS)) == ORDERS
    _, told = await store.read_executions(connection, MEMBER, first - 1, first + ORDERS)
    assert len(told) == ORDERS
    assert await store.read_reports_of_order(connection, names[0])


async def touched(connection: psycopg.AsyncConnection, name: str, first: int) -> dict[str, int]:
    """Rows of each table that are read."""
    async with connection.transaction():
        await trade_once(connection, name, first)
        cursor = await connection.execute(
            "SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)"
            " FROM pg_stat_xact_user_tables"
        )
        return dict(await cursor.fetchall())


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["unanalyzed", "analyzed"])
async def test_a_batch_touches_no_more_rows_after_much_history(
    postgres_url: str, is_analyzed: bool
) -> None:
    """On a connection whose plans were made when every table was empty, and on a new one."""
    await migrate(postgres_url, MIGRATIONS)
    options = " ".join(f"-c {key}={value}" for key, value in KEEPING_PLANS.items())
    url = make_conninfo(postgres_url, options=options)
    connect = psycopg.AsyncConnection.connect
    async with await connect(url, autocommit=True, prepare_threshold=0) as connection:
        await store.raise_epoch(connection)
        before = await touched(connection, "before", 100)
        await connection.execute(FILL.encode())
        if is_analyzed:
            await connection.execute("ANALYZE")
        old_plans = await touched(connection, "after", 100_000)
    async with await connect(url, autocommit=True, prepare_threshold=0) as connection:
        new_plans = await touched(connection, "later", 200_000)

    assert all(before[table] for table in ("member_order", "report", "working_order"))
    for after in (old_plans, new_plans):
        for table, count in after.items():
            assert count < before[table] + OLD / 10, f"{table}: {before} -> {after}"
