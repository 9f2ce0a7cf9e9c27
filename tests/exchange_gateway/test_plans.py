"""The cost of a batch does not depend on how much is stored."""

import re
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest

from libs.postgres import Lane, migrate
from services.exchange_gateway.domain import Command, Kind, Parked, Report
from services.exchange_gateway.main import FLAT_PLANS, MIGRATIONS
from services.exchange_gateway.store.commands import CommandStore
from services.exchange_gateway.store.progress import Seat, Step
from services.exchange_gateway.store.reports import ReportStore
from services.exchange_gateway.wire import order_from
from tests.exchange_gateway.conftest import an_order

_PARAMETER = re.compile(r"%\((\w+)\)[sb]")
_SEAT = Seat("stockbroker", 1)


class Explaining:
    """A connection that keeps the generic plan of every statement it runs."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection
        self.plans: list[tuple[str, dict[str, Any]]] = []

    async def execute(self, query: str, parameters: Any = None, **options: Any) -> Any:
        """Explain, then run."""
        names: list[str] = []

        def number(found: re.Match[str]) -> str:
            if found[1] not in names:
                names.append(found[1])
            return f"${names.index(found[1]) + 1}"

        numbered = _PARAMETER.sub(number, query)
        explain = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered}"
        cursor = await self._connection.execute(explain.encode(), prepare=False)
        row = await cursor.fetchone()
        assert row is not None
        self.plans.append((query, row[0][0]["Plan"]))
        return await self._connection.execute(query.encode(), parameters, **options)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


def _whole_scans(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """The nodes that read a table or an index from end to end."""
    return [
        node
        for node in _nodes(plan)
        if node["Node Type"].endswith("Scan")
        and ("Relation Name" in node or "Index Name" in node)
        and "Index Cond" not in node
        and "Recheck Cond" not in node
    ]


async def _run_every_hot_statement(connection: psycopg.AsyncConnection, first: int) -> Explaining:
    explaining = Explaining(connection)
    commands = CommandStore(cast(Any, explaining), _SEAT)
    reports = ReportStore(cast(Any, explaining), _SEAT)
    orders = [order_from(an_order(customer_id=f"c{n}")) for n in range(100)]
    ids = [order.trade_id for order in orders]
    numbered = [Command(first + n, order.trade_id, b"raw") for n, order in enumerate(orders)]
    again = [Command(first + 100 + n, order.trade_id, b"raw") for n, order in enumerate(orders)]
    await commands.lock()
    await commands.raise_epochs(dict.fromkeys(range(128), first))
    await commands.find(ids)
    await commands.keep(orders, numbered)
    await commands.find_pending(ids)
    await commands.keep_again(again)
    await commands.advance(first + 200)
    heard = [
        Report(n, i, Kind.ACCEPTED, "AAPL", 1, f"X{n}", f"E{n}", 0, 0, 0, 0, None, "", b"raw")
        for n, i in enumerate(ids)
    ]
    await reports.store(first, heard)
    await reports.lock(Step.JUDGED)
    await reports.find_executions(ids, before=first)
    await reports.save_standings(list((await reports.find_standings(ids)).values()))
    await reports.park([Parked(first, "OVER_FILL", "too many")])
    await reports.advance(Step.STORED, Step.JUDGED, to=first + 100)
    return explaining


@pytest.mark.parametrize("stored", [0, 20_000])
async def test_no_hot_statement_ever_reads_a_whole_table(postgres_url: str, stored: int) -> None:
    await migrate(postgres_url, MIGRATIONS)
    lane = Lane(postgres_url, name="plans", options=FLAT_PLANS)
    await lane.run(lambda connection: _fill(connection, stored))

    explained = await lane.run(lambda c: _run_every_hot_statement(c, first=stored + 1))

    await lane.close()
    assert len(explained.plans) == 14
    scans = {query: _whole_scans(plan) for query, plan in explained.plans}
    assert {query: found for query, found in scans.items() if found} == {}


async def _fill(connection: psycopg.AsyncConnection, rows: int) -> None:
    """A session with `rows` orders, commands and reports behind it."""
    await connection.execute(
        "INSERT INTO venue_session (session_id, term) VALUES ('stockbroker', 1)"
    )
    await connection.execute(
        "INSERT INTO progress SELECT 'stockbroker', lane, 1, %s"
        " FROM unnest('{commands,stored,judged,delivered}'::text[]) lane",
        [rows + 1],
    )
    await connection.execute(
        "INSERT INTO venue_order SELECT gen_random_uuid(), 'stockbroker', n, 'c' || n, 1, 1,"
        " 'AAPL', 1, 100, 1, 0, 0, 1, 0 FROM generate_series(1, %s) n",
        [rows],
    )
    await connection.execute(
        "INSERT INTO venue_command SELECT session_id, command_seq, trade_id, '' FROM venue_order"
    )
    await connection.execute(
        "INSERT INTO venue_report SELECT session_id, command_seq, trade_id, 1, '', ''"
        " FROM venue_order"
    )
    await connection.execute("ANALYZE")
