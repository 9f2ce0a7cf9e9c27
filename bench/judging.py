"""What must be true of a run, or its figures count for nothing."""

from datetime import UTC, datetime

import psycopg

from bench.callers import Run

_FILLED = 4
_TRADES = """
    WITH placed AS (
        SELECT trade_id, status, quantity, filled_quantity, updated_at
        FROM trade WHERE created_at >= %s
    ), executed AS (
        SELECT trade_id, sum(e.quantity)::bigint AS quantity
        FROM execution AS e JOIN placed USING (trade_id) GROUP BY trade_id
    )
    SELECT trade_id::text, status, p.quantity, filled_quantity, extract(epoch FROM updated_at),
        coalesce(e.quantity, 0)
    FROM placed AS p LEFT JOIN executed AS e USING (trade_id)
"""
_BOOKS = """
    SELECT (SELECT count(*) FROM hold WHERE is_open), (SELECT coalesce(sum(held), 0) FROM account),
        (SELECT count(*) FROM (
            SELECT FROM account GROUP BY asset HAVING sum(posted) <> 0
        ) AS unbalanced)
"""


class NotTrue(RuntimeError):
    """The house broke a promise in a run: its figures are refused."""


async def filled_at(database: str, run: Run) -> dict[str, float]:
    """When each trade of the run was filled, by the order service's clock. Raises NotTrue.

    Every trade that was answered is filled, whole and once, and no other was placed since.
    """
    since = datetime.fromtimestamp(run.began - 0.001, UTC)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        trades = await (await connection.execute(_TRADES, [since])).fetchall()
    if {row[0] for row in trades} != run.due.keys():
        raise NotTrue(f"{len(run.due)} trades were answered, {len(trades)} are recorded")
    for trade_id, status, quantity, filled, _, executed in trades:
        if (status, filled, executed) != (_FILLED, quantity, quantity):
            raise NotTrue(f"trade {trade_id}: status {status}, {executed} of {quantity} executed")
    return {row[0]: float(row[4]) for row in trades}


async def check_books(database: str) -> None:
    """Nothing is held any more, and the books of every asset sum to zero. Raises NotTrue."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        row = await (await connection.execute(_BOOKS)).fetchone()
    if row is None or any(row):
        raise NotTrue(f"open holds, sum held, assets that do not sum to zero: {row}")
