"""No step may grow with history: the statements' plans, and the rows they touch."""

import itertools
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from libs.clock import SystemClock
from libs.ids import SystemIds
from libs.months import Month, months_between
from libs.partition import partition_of
from libs.postgres import migrate
from libs.postgres.partitions import ensure
from services.order.applying import apply_outcomes
from services.order.canceling import cancel_trades
from services.order.claiming import claim_trades
from services.order.database import MIGRATIONS
from services.order.domain.asking import Filters
from services.order.domain.canceling import Cancellation
from services.order.domain.controls.setting import Book, Control, Setting
from services.order.domain.controls.setting import Terms as ControlTerms
from services.order.domain.journal import Told
from services.order.domain.news import Accepted, Executed, Replaced
from services.order.domain.placing import Placement
from services.order.domain.replacing import Replacement
from services.order.domain.trade import (
    Execution,
    OrderType,
    Revision,
    Side,
    Terms,
    Trade,
    TradeStatus,
)
from services.order.guard import Guard
from services.order.placing import place_trades
from services.order.replacing import replace_trades
from services.order.store import PLANS, READING_PLANS
from services.order.store.arrays import Bigints, Moments, Octets, Texts
from services.order.store.executions import Executions, Place
from services.order.store.lists import Lists
from services.order.store.months import TRADE_EVENTS
from services.order.store.queue import Partitions, Queue
from services.order.store.requests import Requests
from services.order.store.resting import Resting
from services.order.store.trades import Trades

CLOCK = SystemClock()
IDS = SystemIds(CLOCK)
AT = datetime(2026, 11, 20, tzinfo=UTC)
# Grow with history or with the number of customers; execution_partition has 128 rows for ever.
GROWING = {
    "trade",
    "trade_event",
    "execution",
    "open_trade",
    "open_request",
    "open_limit_order",
    "recent_order",
    "customer_head",
    "trade_replace",
    "resting_trade",
}
HOT = "hot"
MONTHS = 6
_quantities = itertools.count(1)
BATCH = [HOT, *(f"c{number}" for number in range(29))]

Work = Callable[[psycopg.AsyncConnection], Awaitable[None]]


def a_placement(customer_id: str) -> Placement:
    """Another trade of the customer."""
    return Placement(
        trade_id=IDS.new(),
        client_order_id=IDS.new(),
        customer_id=customer_id,
        terms=Terms(symbol="AAPL", side=Side.BUY, quantity=100),
    )


def a_limit(customer_id: str, quantity: int) -> Placement:
    """One that may wait on the book."""
    terms = Terms(
        symbol="AAPL",
        side=Side.BUY,
        quantity=quantity,
        order_type=OrderType.LIMIT,
        limit_price_micros=1_000_000,
    )
    return replace(a_placement(customer_id), terms=terms)


def _set(version: int, control: Control, seconds: int) -> Setting:
    terms = ControlTerms(control=control, seconds=seconds)
    return Setting(
        version=version,
        terms=terms,
        effective_at=AT,
        actor="operator",
        reason_text="a test",
        recorded_at=AT,
    )


GUARDED = Book([_set(1, Control.DUPLICATE_ORDER, 3600), _set(2, Control.SELF_TRADE, 0)])


async def trade_once(connection: psycopg.AsyncConnection) -> None:
    """A batch from placement to its last fill; every statement that changes trades."""
    placements = [a_placement(customer_id) for customer_id in BATCH]
    await place_trades(connection, placements, Guard(CLOCK, book=Book()))
    quantity = next(_quantities)
    for _ in range(2):  # new ones, then the same once more
        limits = [a_limit(customer_id, quantity) for customer_id in BATCH]
        await place_trades(connection, limits, Guard(CLOCK, book=GUARDED))
    partitions = sorted({partition_of(customer_id) for customer_id in BATCH})
    epochs = await Partitions(connection).lead(partitions, "w", at=AT)
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    assert len(claims.trades) == len(BATCH)
    asked = [Cancellation(trade.trade_id) for _, trade in claims.trades]
    await cancel_trades(connection, asked, CLOCK)
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    assert len(claims.cancels) == len(BATCH)
    told = [each for _, trade in claims.trades for each in _filled(trade)]
    for _ in range(2):
        await apply_outcomes(connection, told, CLOCK)
    await replace_once(connection, epochs)


async def replace_once(connection: psycopg.AsyncConnection, epochs: Mapping[int, int]) -> None:
    """The limits come to the exchange, have other terms there, and fill."""
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    limits = [trade for _, trade in claims.trades if trade.terms.may_rest]
    asked = [
        Replacement(
            replace_id=IDS.new(),
            trade_id=trade.trade_id,
            client_order_id=IDS.new(),
            customer_id=trade.customer_id,
            asked=Revision(trade.terms.quantity + 1, 0, 0),
        )
        for trade in limits
    ]
    for _ in range(2):
        await replace_trades(connection, asked, Guard(CLOCK, book=Book()))
    accepted = [Told(trade.trade_id, Accepted("X-1")) for trade in limits]
    await apply_outcomes(connection, accepted, CLOCK)
    claims = await claim_trades(connection, epochs, BATCH, CLOCK)
    assert len(claims.replaces) == len(limits)
    replaced = [Told(each.trade_id, Replaced(each.replace_id)) for each in asked]
    await apply_outcomes(connection, replaced, CLOCK)
    now = await Trades(connection).by_ids([trade.trade_id for trade in limits])
    told = [each for trade in now.values() for each in _filled(trade)]
    await apply_outcomes(connection, told, CLOCK)


def _filled(trade: Trade) -> list[Told]:
    fill = Execution(
        execution_id=f"e-{trade.trade_id}",
        trade_id=trade.trade_id,
        quantity=trade.terms.quantity,
        price_micros=1,
        venue="XSIM",
        executed_at=AT,
    )
    return [Told(trade.trade_id, Accepted("X-1")), Told(trade.trade_id, Executed(fill))]


async def read_once(connection: psycopg.AsyncConnection) -> None:
    """Every statement that only reads."""
    found = await Lists(connection).page(HOT, Filters(), before_seq=2**63 - 1, limit=10)
    await Lists(connection).page(
        "c1", Filters((TradeStatus.FILLED,), "AAPL"), before_seq=2**63 - 1, limit=10
    )
    await Lists(connection).events_after([(customer_id, 1) for customer_id in BATCH], limit=10)
    found += await Lists(connection).page("c1", Filters(), before_seq=2**63 - 1, limit=10)
    for trade in found:
        await Lists(connection).story(trade.trade_id)
    await Resting(connection).open_trades("c1", "AAPL")
    await Trades(connection).by_ids([trade.trade_id for trade in found])
    await Trades(connection).by_client_order_ids([(HOT, trade.client_order_id) for trade in found])
    await Queue(connection).waiting(range(128), placed_before=datetime.now(UTC), limit=10)
    await Requests(connection).waiting(range(128), asked_before=datetime.now(UTC), limit=10)
    await Executions(connection).after(Place(0, "", ""), limit=10)


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


class Recorder:
    """A connection that remembers the statements it was given."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self.statements: dict[str, dict[str, Any]] = {}

    async def execute(self, query: str, params: Any = None, **options: Any) -> Any:
        self.statements[query] = params or {}
        return await self._connection.execute(query.encode(), params, **options)

    def pipeline(self) -> Any:
        return self._connection.pipeline()


_TYPES = {
    Texts: "text[]",
    Bigints: "bigint[]",
    Octets: "bytea[]",
    Moments: "timestamptz[]",
    str: "text",
    int: "bigint",
    datetime: "timestamptz",
    list: "timestamptz[]",
}


async def plan_of(
    connection: psycopg.AsyncConnection, query: str, params: dict[str, Any]
) -> dict[str, Any]:
    """The plan that serves for any values."""
    names = list(params)

    def numbered(match: re.Match[str]) -> str:
        name = match[1]
        return f"${names.index(name) + 1}::{_TYPES[type(params[name])]}"

    text = re.sub(r"%\((\w+)\)s", numbered, query)
    explain = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {text}".encode()
    cursor = await connection.execute(explain, prepare=False)
    row = await cursor.fetchone()
    assert row is not None
    plan = json.loads(row[0]) if isinstance(row[0], str) else row[0]
    return plan[0]["Plan"]  # type: ignore[no-any-return]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan's nodes."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def whole(table: str) -> str:
    """The table that a partition is of."""
    return TRADE_EVENTS.name if table.startswith(TRADE_EVENTS.name) else table


def faults(plan: dict[str, Any]) -> list[str]:
    """Nodes that read all of a table or an index that grows."""
    found = []
    for node in nodes(plan):
        kind, table = node["Node Type"], whole(node.get("Relation Name", ""))
        if kind == "Seq Scan" and table in GROWING:
            found.append(f"all of {table}")
        if "Index" in kind and "Index Cond" not in node:
            found.append(f"all of {node['Index Name']}")
    return found


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
