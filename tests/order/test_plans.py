"""No step may grow with history: the statements' plans, and the rows they touch."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from libs.months import Month, months_between
from libs.partition import partition_of
from libs.postgres import migrate
from libs.postgres.partitions import ensure
from services.order.database import MIGRATIONS
from services.order.store import PLANS, READING_PLANS
from services.order.store.months import TRADE_EVENTS
from tests.order.plans import GROWING, Recorder, faults, plan_of, whole
from tests.order.work import BATCH, CLOCK, HOT, Work, read_once, trade_once

MONTHS = 6
FILL = """
WITH customer AS (
    SELECT 'c' || n AS id, 20 AS trades FROM generate_series(0, 1999) AS n
    UNION ALL SELECT 'hot', 20000
), numbered AS (
    SELECT id, n, uuidv7(n % 4 * interval '30 days') AS trade_id
    FROM customer, generate_series(1, trades) AS n
), head AS (
    INSERT INTO customer_head SELECT id, 100000 FROM customer
    ON CONFLICT (customer_id) DO UPDATE SET head_seq = 100000
), gone AS (
    INSERT INTO archived_history SELECT id, 1 FROM customer
), executed AS (
    INSERT INTO execution
    SELECT 'XSIM', 'old-' || trade_id, trade_id, 100, 1, now() FROM numbered
), opened AS (
    INSERT INTO open_trade
    SELECT id, 50000 + 2 * n, trade_id, %(partition)s, now(), n = 1 AND id <> 'hot'
    FROM numbered WHERE id = 'hot' OR id >= 'c5'
), told AS (
    INSERT INTO trade_event
    SELECT id, 50000 + 2 * n + k, CASE k WHEN 0 THEN 0 ELSE 50000 + 2 * n END, trade_id,
        1 + k, 'customer', now(), 1 + k, 0, '', false, 0, 0, '', NULL, NULL, NULL
    FROM numbered, generate_series(0, 1) AS k
)
INSERT INTO trade
SELECT trade_id, id, 'old-' || n, 50000 + 2 * n, now(), 'AAPL', 1, 100, 1, 0, 0, 1,
    2, 0, '', false, 0, 0, '', NULL, now(), 50001 + 2 * n
FROM numbered
"""


async def fill(connection: psycopg.AsyncConnection) -> None:
    """History: 60,000 trades of 2,001 customers, one of whom has 20,000, all open."""
    partition = partition_of(HOT)
    await connection.execute(FILL.replace("%(partition)s", str(partition)).encode())
    # The customers of the batch have a history and nothing open.
    await connection.execute(b"DELETE FROM open_trade WHERE customer_id = ANY (%s)", [BATCH[1:]])
    await connection.execute(
        b"""
        UPDATE open_trade SET is_head = true
        WHERE customer_id = 'hot' AND placed_seq = 50002
        """
    )


async def make_months(url: str) -> None:
    """This one and some to come: history lies in several."""
    this = Month.of(CLOCK.now())
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await ensure(connection, TRADE_EVENTS, months_between(this, this.plus(MONTHS)))


@pytest.fixture
async def connect(
    postgres_url: str,
) -> AsyncIterator[Callable[[dict[str, str]], Awaitable[psycopg.AsyncConnection]]]:
    """Connections with the settings of the service's own."""
    await migrate(postgres_url, MIGRATIONS)
    await make_months(postgres_url)
    opened: list[psycopg.AsyncConnection] = []

    async def make(settings: dict[str, str]) -> psycopg.AsyncConnection:
        options = " ".join(f"-c {key}={value}" for key, value in settings.items())
        opened.append(
            await psycopg.AsyncConnection.connect(
                make_conninfo(postgres_url, options=options), autocommit=True, prepare_threshold=0
            )
        )
        return opened[-1]

    yield make
    for connection in opened:
        await connection.close()


@pytest.mark.parametrize(
    ("settings", "work"), [(PLANS, trade_once), (READING_PLANS, read_once)], ids=["change", "read"]
)
@pytest.mark.parametrize("is_filled", [False, True], ids=["empty", "filled"])
async def test_no_plan_reads_all_of_anything_that_grows(
    connect: Callable[..., Awaitable[psycopg.AsyncConnection]],
    settings: dict[str, str],
    work: Work,
    is_filled: bool,
) -> None:
    changing = await connect(PLANS)
    if is_filled:
        await fill(changing)
        await changing.execute(b"ANALYZE")
    if work is read_once:
        await trade_once(changing)
    connection = await connect(settings)
    recorder = Recorder(connection)
    async with connection.transaction():
        await work(recorder)  # type: ignore[arg-type]

    assert len(recorder.statements) >= 6
    for query, params in recorder.statements.items():
        found = faults(await plan_of(connection, query, params))
        assert not found, f"{found}: {query}"


async def touched(connection: psycopg.AsyncConnection, work: Work) -> dict[str, int]:
    """Rows of each growing table that `work` reads."""
    async with connection.transaction():
        await work(connection)
        cursor = await connection.execute(
            b"""
            SELECT relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
            FROM pg_stat_xact_user_tables
            """
        )
        counts = Counter[str]()
        for name, count in await cursor.fetchall():
            if whole(name) in GROWING:
                counts[whole(name)] += count
    assert counts
    return counts


@pytest.mark.parametrize("is_analyzed", [False, True], ids=["unanalyzed", "analyzed"])
async def test_a_batch_touches_no_more_rows_after_much_history(
    connect: Callable[..., Awaitable[psycopg.AsyncConnection]], is_analyzed: bool
) -> None:
    """On connections whose plans were made when every table was empty."""
    changing, reading = await connect(PLANS), await connect(READING_PLANS)
    await trade_once(changing)
    await read_once(reading)
    before = await touched(changing, trade_once)
    read_before = await touched(reading, read_once)
    await fill(changing)
    if is_analyzed:
        await changing.execute(b"ANALYZE")

    after = await touched(changing, trade_once)
    read_after = await touched(reading, read_once)

    assert sum(before.values()) < 250 * len(BATCH)
    for table, count in after.items():
        assert count <= before.get(table, 0) * 1.5 + len(BATCH), f"{table}: {before} -> {after}"
    for table, count in read_after.items():
        # A page of a customer's events begins with a look into each month.
        most = read_before.get(table, 0) + 400 + MONTHS * len(BATCH) * (table == TRADE_EVENTS.name)
        assert count <= most, f"{table}: {read_before} -> {read_after}"
