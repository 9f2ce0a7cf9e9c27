"""The sums of a day, and the days that are sealed."""

from datetime import date
from typing import Any

import psycopg

from services.reconciliation.domain.day import FIRST_SEAL, DayOfSource, SealedDay, read
from services.reconciliation.domain.sighting import Source

_SUMS = """
WITH told AS (
    SELECT source, count(*) FILTER (WHERE is_fill) AS executions,
        sum(abs(shares)) FILTER (WHERE is_fill) AS shares,
        sum(abs(cash_micros)) FILTER (WHERE is_fill) AS cash_micros,
        count(DISTINCT (position, execution_id)) FILTER (WHERE NOT is_fill) AS corrections
    FROM sighting WHERE trade_date = %(trade_date)s
    GROUP BY source
), alike AS (
    SELECT count(*) AS executions, sum(abs(shares)) AS shares, sum(abs(cash_micros)) AS cash_micros
    FROM agreed_execution WHERE trade_date = %(trade_date)s
)
SELECT s.source, coalesce(t.executions, 0) + a.executions,
    (coalesce(t.shares, 0) + coalesce(a.shares, 0))::numeric::text,
    (coalesce(t.cash_micros, 0) + coalesce(a.cash_micros, 0))::numeric::text,
    coalesce(t.corrections, 0)
FROM alike AS a
CROSS JOIN generate_series(1, 4) AS s (source)
LEFT JOIN told AS t USING (source)
"""

_IS_UNSETTLED = """
SELECT EXISTS (
    SELECT FROM suspect AS d
    CROSS JOIN LATERAL (
        SELECT FROM sighting AS s
        WHERE s.venue = d.venue AND s.execution_id = d.execution_id
            AND s.trade_date = %(trade_date)s
        LIMIT 1
    ) AS of_the_day
)
"""

_FIRST_TRADED = """
SELECT min(trade_date) FROM (
    SELECT min(trade_date) AS trade_date FROM sighting
    UNION ALL
    SELECT min(trade_date) FROM agreed_execution
) AS first
"""


class Days:
    """Days, by date."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def last_sealed(self) -> date | None:
        """The last day there is; None: none is sealed."""
        return await self._one("SELECT max(trade_date) FROM day")

    async def first_traded(self) -> date | None:
        """The first day of which anything is told. Reads all that is known."""
        return await self._one(_FIRST_TRADED)

    async def is_unsettled(self, trade_date: date) -> bool:
        """Whether something of the day differs that is no break yet."""
        cursor = await self._connection.execute(_IS_UNSETTLED, {"trade_date": trade_date})
        return bool((await cursor.fetchall())[0][0])

    async def sums(self, trade_date: date) -> list[DayOfSource]:
        """What each source has of a day."""
        cursor = await self._connection.execute(_SUMS, {"trade_date": trade_date})
        return [
            DayOfSource(Source(row[0]), row[1], int(row[2]), int(row[3]), row[4])
            for row in await cursor.fetchall()
        ]

    async def latest_seal(self) -> bytes:
        """That of the last day sealed."""
        cursor = await self._connection.execute(
            "SELECT seal FROM day ORDER BY trade_date DESC LIMIT 1"
        )
        row = await cursor.fetchone()
        return bytes(row[0]) if row is not None else FIRST_SEAL

    async def add(
        self, trade_date: date, *, report: str, seal: bytes, previous_seal: bytes
    ) -> None:
        """Keep a sealed day; nothing if it is sealed already."""
        await self._connection.execute(
            "INSERT INTO day (trade_date, report, seal, previous_seal)"
            " VALUES (%(trade_date)s, %(report)s, %(seal)s, %(previous_seal)s)"
            " ON CONFLICT DO NOTHING",
            {
                "trade_date": trade_date,
                "report": report,
                "seal": seal,
                "previous_seal": previous_seal,
            },
        )

    async def find(self, trade_date: date) -> SealedDay | None:
        """A sealed day."""
        cursor = await self._connection.execute(
            "SELECT report, seal, previous_seal FROM day WHERE trade_date = %(trade_date)s",
            {"trade_date": trade_date},
        )
        row = await cursor.fetchone()
        return _day(row) if row is not None else None

    async def list(self, *, before: date | None, limit: int) -> list[SealedDay]:
        """Sealed days before a date, the newest first."""
        cursor = await self._connection.execute(
            "SELECT report, seal, previous_seal FROM day"
            " WHERE %(before)s::date IS NULL OR trade_date < %(before)s::date"
            " ORDER BY trade_date DESC LIMIT %(limit)s",
            {"before": before, "limit": limit},
        )
        return [_day(row) for row in await cursor.fetchall()]

    async def _one(self, query: str) -> date | None:
        cursor = await self._connection.execute(query.encode())
        found: date | None = (await cursor.fetchall())[0][0]
        return found


def _day(row: Any) -> SealedDay:
    return SealedDay(read(row[0]), bytes(row[1]), bytes(row[2]))
