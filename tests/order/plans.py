"""Statements' plans, and what in them reads all of something that grows."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg

from services.order.store.arrays import Bigints, Moments, Octets, Texts
from services.order.store.months import TRADE_EVENTS

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
    "archived_history",
}


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
