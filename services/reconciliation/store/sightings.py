"""What the sources say, row by row, and how far each is read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
import psycopg

from libs.postgres.arrays import Bigints, Flags, Packed, Texts
from services.reconciliation.domain.progress import Progress
from services.reconciliation.domain.sighting import Key, Page, Place, Sighting, Source, upper_bound

FIRST_DAY = date(2000, 1, 1)

_SELECT = """
SELECT source, position, part, trade_date, shares, cash_micros, is_fill, venue, execution_id,
    trade_id, customer_id, symbol, amendment_id, is_archived
"""

_BETWEEN = """
FROM sighting
WHERE source = %(source)s
    AND (position, venue, execution_id)
        > (%(after_position)s::bigint, %(after_venue)s, %(after_execution_id)s)
    AND (position, venue, execution_id)
        <= (%(until_position)s::bigint, %(until_venue)s, %(until_execution_id)s)
"""

_OF_KEYS = """
FROM unnest(%(venues)s::text[], %(execution_ids)s::text[]) AS k (a_venue, an_execution_id)
CROSS JOIN LATERAL (
    SELECT * FROM sighting WHERE venue = k.a_venue AND execution_id = k.an_execution_id OFFSET 0
) AS s
ORDER BY venue, execution_id, source, position, part
"""

_READ_BETWEEN = _SELECT + _BETWEEN
_READ_OF_KEYS = _SELECT + _OF_KEYS

_KEEP = """
INSERT INTO sighting (source, position, part, trade_date, shares, cash_micros, is_fill, venue,
    execution_id, trade_id, customer_id, symbol, amendment_id, is_archived)
SELECT source, position, part, date '2000-01-01' + trade_day::integer, shares, cash_micros,
    is_fill, venue, execution_id, trade_id, customer_id, symbol, amendment_id, are_archived
FROM unnest(%(sources)s::bigint[], %(positions)s::bigint[], %(parts)s::bigint[],
    %(trade_days)s::bigint[], %(shares)s::bigint[], %(cash_micros)s::bigint[],
    %(are_fills)s::boolean[], %(venues)s::text[], %(execution_ids)s::text[],
    %(trade_ids)s::text[], %(customer_ids)s::text[], %(symbols)s::text[],
    %(amendment_ids)s::text[], %(are_archived)s::boolean[])
    AS i (source, position, part, trade_day, shares, cash_micros, is_fill, venue, execution_id,
        trade_id, customer_id, symbol, amendment_id, are_archived)
ON CONFLICT (venue, execution_id, source, position, part) DO UPDATE
SET trade_date = excluded.trade_date, shares = excluded.shares,
    cash_micros = excluded.cash_micros, is_fill = excluded.is_fill,
    trade_id = excluded.trade_id, customer_id = excluded.customer_id, symbol = excluded.symbol,
    amendment_id = excluded.amendment_id, is_archived = excluded.is_archived
"""

# Each row is looked up on its own, so that no plan depends on how many there are.
_FORGET = """
DELETE FROM sighting WHERE ctid = ANY(ARRAY(
    SELECT s.ctid
    FROM json_populate_recordset(NULL::sighting, %(rows)s::json) AS i
    CROSS JOIN LATERAL (
        SELECT x.ctid FROM sighting AS x
        WHERE (x.venue, x.execution_id, x.source, x.position, x.part)
            = (i.venue, i.execution_id, i.source, i.position, i.part)
        LIMIT 1
    ) AS s
))
"""

_SAVE_READING = """
UPDATE reading AS r
SET read_position = i.p, read_venue = i.v, read_execution_id = i.x,
    reread_position = i.rp, reread_venue = i.rv, reread_execution_id = i.rx
FROM unnest(%(sources)s::smallint[], %(p)s::bigint[], %(v)s::text[], %(x)s::text[],
    %(rp)s::bigint[], %(rv)s::text[], %(rx)s::text[]) AS i (source, p, v, x, rp, rv, rx)
WHERE r.source = i.source
"""


class Sightings:
    """The table of sightings."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def behind(self, page: Page, *, is_reread: bool) -> list[Sighting]:
        """What is known of the source from where the page begins to where it ends."""
        until = upper_bound(page, is_reread=is_reread)
        cursor = await self._connection.execute(
            _READ_BETWEEN.encode(),
            {"source": page.source, **bounds_of(page.after, until)},
            binary=True,
        )
        return [sighting_from(row) for row in await cursor.fetchall()]

    async def of(self, keys: Iterable[Key]) -> dict[Key, list[Sighting]]:
        """All there is of these executions."""
        found: dict[Key, list[Sighting]] = {key: [] for key in keys}
        cursor = await self._connection.execute(
            _READ_OF_KEYS.encode(),
            {"venues": [venue for venue, _ in found], "execution_ids": [x for _, x in found]},
            binary=True,
        )
        for row in await cursor.fetchall():
            sighting = sighting_from(row)
            found[sighting.key].append(sighting)
        return found

    async def keep(self, sightings: Sequence[Sighting]) -> None:
        """Keep these as they are told now."""
        await self._connection.execute(_KEEP, _columns(sightings))

    async def forget(self, sightings: Sequence[Sighting]) -> None:
        """These are told no more."""
        await self._connection.execute(_FORGET, {"rows": _json(sightings)})

    async def readings(self) -> dict[Source, Progress]:
        """How far each source was read when it was last noted."""
        cursor = await self._connection.execute(
            "SELECT source, read_position, read_venue, read_execution_id,"
            " reread_position, reread_venue, reread_execution_id FROM reading"
        )
        return {
            Source(row[0]): Progress(read=Place(*row[1:4]), reread=Place(*row[4:7]))
            for row in await cursor.fetchall()
        }

    async def save_readings(
        self, sources: Mapping[Source, Progress], read: Sequence[Place]
    ) -> None:
        """Note how far each source is read anew, and up to where all it told is kept: `read`."""
        reread = [progress.reread for progress in sources.values()]
        await self._connection.execute(
            _SAVE_READING,
            {
                "sources": [int(source) for source in sources],
                "p": [place.position for place in read],
                "v": [place.venue for place in read],
                "x": [place.execution_id for place in read],
                "rp": [place.position for place in reread],
                "rv": [place.venue for place in reread],
                "rx": [place.execution_id for place in reread],
            },
        )


def sighting_from(row: Sequence[Any]) -> Sighting:
    """From the columns of a sighting."""
    source, position, part, trade_date, shares, cash_micros, is_fill, *names = row
    venue, execution_id, trade_id, customer_id, symbol, amendment_id, is_archived = names
    return Sighting(
        source=Source(source),
        position=position,
        part=part,
        trade_date=trade_date,
        shares=shares,
        cash_micros=cash_micros,
        is_fill=is_fill,
        venue=venue,
        execution_id=execution_id,
        trade_id=trade_id,
        customer_id=customer_id,
        symbol=symbol,
        amendment_id=amendment_id,
        is_archived=is_archived,
    )


def _columns(sightings: Sequence[Sighting]) -> dict[str, Packed]:
    return {
        "sources": Bigints([each.source for each in sightings]),
        "positions": Bigints([each.position for each in sightings]),
        "parts": Bigints([each.part for each in sightings]),
        "trade_days": Bigints([(each.trade_date - FIRST_DAY).days for each in sightings]),
        "shares": Bigints([each.shares for each in sightings]),
        "cash_micros": Bigints([each.cash_micros for each in sightings]),
        "are_fills": Flags([each.is_fill for each in sightings]),
        "venues": Texts([each.venue for each in sightings]),
        "execution_ids": Texts([each.execution_id for each in sightings]),
        "trade_ids": Texts([each.trade_id for each in sightings]),
        "customer_ids": Texts([each.customer_id for each in sightings]),
        "symbols": Texts([each.symbol for each in sightings]),
        "amendment_ids": Texts([each.amendment_id for each in sightings]),
        "are_archived": Flags([each.is_archived for each in sightings]),
    }


def bounds_of(after: Place, until: Place) -> dict[str, Any]:
    """Two places, as parameters of a statement."""
    return {
        "after_position": after.position,
        "after_venue": after.venue,
        "after_execution_id": after.execution_id,
        "until_position": until.position,
        "until_venue": until.venue,
        "until_execution_id": until.execution_id,
    }


def _json(sightings: Sequence[Sighting]) -> str:
    return msgspec.json.encode(sightings).decode()
