"""Executions that all sources tell alike, a row for each."""

from collections.abc import Collection, Sequence
from typing import Any

import psycopg

from libs.postgres.arrays import Bigints, Packed, Texts
from services.reconciliation.domain.agreement import Agreed
from services.reconciliation.domain.sighting import Key, Page, Sighting, Source, upper_bound
from services.reconciliation.store.sightings import FIRST_DAY, bounds_of

# The column that has the place of each source.
_POSITIONS = {source: f"{source.name.lower()}_position" for source in Source}

_BETWEEN = """
SELECT {position}, trade_date, shares, cash_micros, venue, execution_id, trade_id, customer_id,
    symbol
FROM agreed_execution
WHERE ({position}, venue, execution_id)
        > (%(after_position)s::bigint, %(after_venue)s, %(after_execution_id)s)
    AND ({position}, venue, execution_id)
        <= (%(until_position)s::bigint, %(until_venue)s, %(until_execution_id)s)
"""
_READ_BETWEEN = {
    source: _BETWEEN.format(position=column).encode() for source, column in _POSITIONS.items()
}

# What is on record in any form is left alone.
_KEEP = """
WITH kept AS (
    INSERT INTO agreed_execution (venue_position, gateway_position, order_position,
        ledger_position, shares, cash_micros, trade_date, venue, execution_id, trade_id,
        customer_id, symbol)
    SELECT venue_position, gateway_position, order_position, ledger_position, shares, cash_micros,
        date '2000-01-01' + trade_day::integer, venue, execution_id, trade_id, customer_id, symbol
    FROM unnest(%(venue_positions)s::bigint[], %(gateway_positions)s::bigint[],
        %(order_positions)s::bigint[], %(ledger_positions)s::bigint[], %(shares)s::bigint[],
        %(cash_micros)s::bigint[], %(trade_days)s::bigint[], %(venues)s::text[],
        %(execution_ids)s::text[], %(trade_ids)s::text[], %(customer_ids)s::text[],
        %(symbols)s::text[])
        AS i (venue_position, gateway_position, order_position, ledger_position, shares,
            cash_micros, trade_day, venue, execution_id, trade_id, customer_id, symbol)
    LEFT JOIN LATERAL (
        SELECT true AS is_there FROM sighting AS s
        WHERE s.venue = i.venue AND s.execution_id = i.execution_id LIMIT 1
    ) AS other ON true
    WHERE other.is_there IS NULL
    ON CONFLICT (venue, execution_id) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM kept
"""

_KEPT = """
SELECT k.venue, k.execution_id
FROM unnest(%(venues)s::text[], %(execution_ids)s::text[], %(venue_positions)s::bigint[],
    %(gateway_positions)s::bigint[], %(order_positions)s::bigint[], %(ledger_positions)s::bigint[])
    AS k (venue, execution_id, at_venue, at_gateway, at_order, at_ledger)
CROSS JOIN LATERAL (
    SELECT FROM agreed_execution AS a
    WHERE a.venue = k.venue AND a.execution_id = k.execution_id
        AND (a.venue_position, a.gateway_position, a.order_position, a.ledger_position)
            = (k.at_venue, k.at_gateway, k.at_order, k.at_ledger)
    LIMIT 1
) AS same
"""

_ON_RECORD = """
SELECT k.venue, k.execution_id
FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS k (venue, execution_id)
CROSS JOIN LATERAL (
    (SELECT FROM agreed_execution AS a
     WHERE a.venue = k.venue AND a.execution_id = k.execution_id LIMIT 1)
    UNION ALL
    (SELECT FROM sighting AS s
     WHERE s.venue = k.venue AND s.execution_id = k.execution_id LIMIT 1)
) AS found
"""

_DISSOLVE = """
WITH gone AS (
    DELETE FROM agreed_execution WHERE ctid = ANY(ARRAY(
        SELECT a.ctid
        FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS k (venue, execution_id)
        CROSS JOIN LATERAL (
            SELECT x.ctid FROM agreed_execution AS x
            WHERE x.venue = k.venue AND x.execution_id = k.execution_id LIMIT 1
        ) AS a))
    RETURNING *
)
INSERT INTO sighting (source, position, part, trade_date, shares, cash_micros, is_fill, venue,
    execution_id, trade_id, customer_id, symbol)
SELECT s.source, s.position, 0, g.trade_date, g.shares, g.cash_micros, true, g.venue,
    g.execution_id, g.trade_id, CASE WHEN s.source = 1 THEN '' ELSE g.customer_id END, g.symbol
FROM gone AS g
CROSS JOIN LATERAL (VALUES (1, g.venue_position), (2, g.gateway_position),
    (3, g.order_position), (4, g.ledger_position)) AS s (source, position)
ON CONFLICT DO NOTHING
"""


class Agreements:
    """The table of executions agreed upon."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def behind(self, page: Page, *, is_reread: bool) -> list[Sighting]:
        """What is known of the source from where the page begins to where it ends."""
        until = upper_bound(page, is_reread=is_reread)
        cursor = await self._connection.execute(
            _READ_BETWEEN[page.source], bounds_of(page.after, until), binary=True
        )
        return [_sighting(page.source, row) for row in await cursor.fetchall()]

    async def keep(self, found: Sequence[Agreed]) -> set[Key]:
        """Keep these; the keys of those that are on record otherwise already, and left alone."""
        columns = _columns(found)
        cursor = await self._connection.execute(_KEEP, columns)
        if (await cursor.fetchall())[0][0] == len(found):
            return set()
        cursor = await self._connection.execute(_KEPT, columns)
        kept = {(row[0], row[1]) for row in await cursor.fetchall()}
        return {(each.venue, each.execution_id) for each in found} - kept

    async def on_record(self, keys: Collection[Key]) -> set[Key]:
        """Those of which anything is on record, here or as sightings."""
        cursor = await self._connection.execute(_ON_RECORD, _named(keys))
        return {(row[0], row[1]) for row in await cursor.fetchall()}

    async def dissolve(self, keys: Collection[Key]) -> None:
        """Have these as sightings: the sources may differ about them now."""
        await self._connection.execute(_DISSOLVE, _named(keys))


def _sighting(source: Source, row: Sequence[Any]) -> Sighting:
    position, trade_date, shares, cash_micros, venue, execution_id, *names = row
    trade_id, customer_id, symbol = names
    return Sighting(
        source=source,
        position=position,
        trade_date=trade_date,
        shares=shares,
        cash_micros=cash_micros,
        venue=venue,
        execution_id=execution_id,
        trade_id=trade_id,
        customer_id="" if source is Source.VENUE else customer_id,
        symbol=symbol,
    )


def _named(keys: Collection[Key]) -> dict[str, Packed]:
    return {
        "venues": Texts([venue for venue, _ in keys]),
        "execution_ids": Texts([execution_id for _, execution_id in keys]),
    }


def _columns(found: Sequence[Agreed]) -> dict[str, Packed]:
    return {
        "venue_positions": Bigints([each.venue_position for each in found]),
        "gateway_positions": Bigints([each.gateway_position for each in found]),
        "order_positions": Bigints([each.order_position for each in found]),
        "ledger_positions": Bigints([each.ledger_position for each in found]),
        "shares": Bigints([each.shares for each in found]),
        "cash_micros": Bigints([each.cash_micros for each in found]),
        "trade_days": Bigints([(each.trade_date - FIRST_DAY).days for each in found]),
        "venues": Texts([each.venue for each in found]),
        "execution_ids": Texts([each.execution_id for each in found]),
        "trade_ids": Texts([each.trade_id for each in found]),
        "customer_ids": Texts([each.customer_id for each in found]),
        "symbols": Texts([each.symbol for each in found]),
    }
