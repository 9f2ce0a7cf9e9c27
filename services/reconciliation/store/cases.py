"""Suspects and breaks as the rules need them: read and written for many executions at once."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.case import Case, Closing, Opening, Ruling
from services.reconciliation.domain.sighting import Key
from services.reconciliation.store.sightings import Sightings

# Each key is looked up on its own, so that no plan depends on how many there are.
_SUSPECTS = """
SELECT s.venue, s.execution_id, s.class, s.noticed_at
FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS k (venue, execution_id)
CROSS JOIN LATERAL (
    SELECT * FROM suspect WHERE venue = k.venue AND execution_id = k.execution_id OFFSET 0
) AS s
"""

_OPEN = """
SELECT b.venue, b.execution_id, b.class, b.break_id::text
FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS k (venue, execution_id)
CROSS JOIN LATERAL (
    SELECT * FROM break
    WHERE venue = k.venue AND execution_id = k.execution_id AND closed_at IS NULL
    OFFSET 0
) AS b
"""

_NOTE = """
INSERT INTO suspect (venue, execution_id, class, noticed_at)
SELECT venue, execution_id, class, noticed_at
FROM unnest(%(venues)s::text[], %(execution_ids)s::text[], %(classes)s::smallint[],
    %(noticed_ats)s::timestamptz[]) AS k (venue, execution_id, class, noticed_at)
ON CONFLICT DO NOTHING
"""

_CLEAR = """
DELETE FROM suspect AS s
USING unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS k (venue, execution_id)
WHERE s.venue = k.venue AND s.execution_id = k.execution_id
"""

_ADD = """
INSERT INTO break (break_id, venue, execution_id, class, trade_id, trade_date, told, noticed_at,
    opened_at, last_seen_at)
SELECT i.break_id, i.venue, i.execution_id, i.class, i.trade_id, i.trade_date, i.told::jsonb,
    i.noticed_at, %(now)s, %(now)s
FROM unnest(%(break_ids)s::uuid[], %(venues)s::text[], %(execution_ids)s::text[],
    %(classes)s::smallint[], %(trade_ids)s::text[], %(trade_dates)s::date[], %(told)s::text[],
    %(noticed_ats)s::timestamptz[])
    AS i (break_id, venue, execution_id, class, trade_id, trade_date, told, noticed_at)
ON CONFLICT (venue, execution_id, class) WHERE closed_at IS NULL DO NOTHING
"""

_CLOSE = """
UPDATE break AS b SET closed_at = %(now)s, ending = i.ending
FROM unnest(%(break_ids)s::uuid[], %(endings)s::smallint[]) AS i (break_id, ending)
WHERE b.break_id = i.break_id AND b.closed_at IS NULL
"""

_STAY = """
UPDATE break AS b SET last_seen_at = %(now)s, told = i.told::jsonb
FROM unnest(%(break_ids)s::uuid[], %(told)s::text[]) AS i (break_id, told)
WHERE b.break_id = i.break_id AND b.closed_at IS NULL
"""


class Cases:
    """What is known of executions, and what is ruled about them."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def load(self, keys: Iterable[Key]) -> list[Case]:
        """Everything known of these executions."""
        wanted = sorted(keys)
        named = _names(wanted)
        sightings = await Sightings(self._connection).of(wanted)
        cursor = await self._connection.execute(_SUSPECTS, named)
        noticed: dict[Key, dict[int, datetime]] = {}
        for venue, execution_id, number, noticed_at in await cursor.fetchall():
            noticed.setdefault((venue, execution_id), {})[number] = noticed_at
        cursor = await self._connection.execute(_OPEN, named)
        open_breaks: dict[Key, dict[BreakClass, str]] = {}
        for venue, execution_id, number, break_id in await cursor.fetchall():
            open_breaks.setdefault((venue, execution_id), {})[BreakClass(number)] = break_id
        return [
            Case(
                key=key,
                sightings=tuple(sightings[key]),
                noticed=noticed.get(key, {}),
                open_breaks=open_breaks.get(key, {}),
            )
            for key in wanted
        ]

    async def due(self, noticed_by: datetime, *, limit: int) -> list[Key]:
        """Suspects noticed by then, the oldest first."""
        cursor = await self._connection.execute(
            "SELECT venue, execution_id FROM suspect WHERE noticed_at <= %(noticed_by)s"
            " ORDER BY noticed_at LIMIT %(limit)s",
            {"noticed_by": noticed_by, "limit": limit},
        )
        return [(row[0], row[1]) for row in await cursor.fetchall()]

    async def none_noticed_after(self, moment: datetime) -> None:
        """The clock was set back: what was noticed later counts as noticed then."""
        await self._connection.execute(
            "UPDATE suspect SET noticed_at = %(moment)s WHERE noticed_at > %(moment)s",
            {"moment": moment},
        )

    async def suspects(self, rulings: Sequence[Ruling]) -> None:
        """Note who is a suspect, of what and since when, and who is none any more."""
        await self._connection.execute(_CLEAR, _names([ruling.key for ruling in rulings]))
        noted = [(ruling.key, *each) for ruling in rulings for each in ruling.suspected.items()]
        if noted:
            await self._connection.execute(
                _NOTE,
                {
                    **_names([key for key, _, _ in noted]),
                    "classes": [int(each) for _, each, _ in noted],
                    "noticed_ats": [noticed_at for _, _, noticed_at in noted],
                },
            )

    async def open(self, openings: Sequence[tuple[str, Opening]], *, now: datetime) -> None:
        """Open breaks under these ids."""
        found = [opening for _, opening in openings]
        await self._connection.execute(
            _ADD,
            {
                **_names([opening.key for opening in found]),
                "break_ids": [break_id for break_id, _ in openings],
                "classes": [int(opening.break_class) for opening in found],
                "trade_ids": [opening.trade_id for opening in found],
                "trade_dates": [opening.trade_date for opening in found],
                "told": [_text(opening.told) for opening in found],
                "noticed_ats": [opening.noticed_at for opening in found],
                "now": now,
            },
        )

    async def close(self, closings: Sequence[Closing], *, now: datetime) -> None:
        """These are over."""
        await self._connection.execute(
            _CLOSE,
            {
                "break_ids": [closing.break_id for closing in closings],
                "endings": [int(closing.end) for closing in closings],
                "now": now,
            },
        )

    async def stay(self, told: Sequence[tuple[str, Any]], *, now: datetime) -> None:
        """These breaks are still there: what the sources say of each now."""
        await self._connection.execute(
            _STAY,
            {
                "break_ids": [break_id for break_id, _ in told],
                "told": [_text(sightings) for _, sightings in told],
                "now": now,
            },
        )


def _names(keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "venues": [venue for venue, _ in keys],
        "execution_ids": [execution_id for _, execution_id in keys],
    }


def _text(sightings: Any) -> str:
    return msgspec.json.encode(sightings).decode()
