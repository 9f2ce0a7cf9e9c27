"""Breaks as operators read them, and their words on them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import IntEnum
from typing import Any

import msgspec
import psycopg

from services.reconciliation.domain.break_class import BreakClass
from services.reconciliation.domain.sighting import Sighting

_BREAK = """
SELECT b.break_id::text, b.venue, b.execution_id, b.class, b.trade_id, b.trade_date, b.told::text,
    b.noticed_at, b.opened_at, b.last_seen_at, b.closed_at, b.ending, s.state
FROM break AS b
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN b.closed_at IS NOT NULL THEN 3
        WHEN EXISTS (SELECT FROM explanation AS e WHERE e.break_id = b.break_id) THEN 2
        ELSE 1
    END AS state
) AS s
"""

_OF_ALL = "WHERE"
_NOT_OVER = "WHERE b.closed_at IS NULL AND"  # an index has them alone

_WANTED = """
    (%(before)s::uuid IS NULL OR b.break_id < %(before)s::uuid)
    AND s.state = ANY(%(states)s::int[]) AND b.class = ANY(%(classes)s::int[])
ORDER BY b.break_id DESC
LIMIT %(limit)s
"""

_OPEN_OF_DAY = """
WHERE b.trade_date = %(trade_date)s AND b.closed_at IS NULL
ORDER BY b.break_id
LIMIT %(limit)s
"""

_BY_ID = "WHERE b.break_id = %(break_id)s::uuid"

_LIST = _BREAK + _OF_ALL + _WANTED
_LIST_NOT_OVER = _BREAK + _NOT_OVER + _WANTED
_OF_DAY = _BREAK + _OPEN_OF_DAY
_FIND = _BREAK + _BY_ID

_EXPLAIN = """
INSERT INTO explanation (break_id, operator, reason_text, explained_at)
SELECT break_id, %(operator)s, %(reason_text)s, %(now)s FROM break WHERE break_id = %(break_id)s
ON CONFLICT DO NOTHING
"""


class BreakState(IntEnum):
    """Where a break stands. The numbers are those of the contract."""

    OPEN = 1
    EXPLAINED = 2
    CLOSED = 3


class Explanation(msgspec.Struct, frozen=True):
    """An operator's words."""

    operator: str
    reason_text: str
    explained_at: datetime


class StoredBreak(msgspec.Struct, frozen=True, kw_only=True):
    """A break as it is on record. `ending`: 0 while it is not over."""

    break_id: str
    venue: str
    execution_id: str
    break_class: BreakClass
    trade_id: str
    trade_date: date
    told: list[Sighting]
    noticed_at: datetime
    opened_at: datetime
    last_seen_at: datetime
    closed_at: datetime | None
    ending: int
    state: BreakState
    explanations: list[Explanation]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which breaks; `before`: older than the break of this id."""

    states: Sequence[int]
    classes: Sequence[int]
    before: str | None
    limit: int


class Breaks:
    """The breaks, the newest first."""

    def __init__(self, connection: psycopg.AsyncConnection) -> None:
        self._connection = connection

    async def list(self, wanted: Wanted) -> Sequence[StoredBreak]:
        """Those that are wanted."""
        asked = {**msgspec.structs.asdict(wanted)}
        asked["states"], asked["classes"] = list(wanted.states), list(wanted.classes)
        query = _LIST if BreakState.CLOSED in wanted.states else _LIST_NOT_OVER
        return await self._read(query, asked)

    async def find(self, break_id: str) -> StoredBreak | None:
        """One of them."""
        found = await self._read(_FIND, {"break_id": break_id})
        return found[0] if found else None

    async def open_of(self, trade_date: date, *, limit: int) -> Sequence[StoredBreak]:
        """Those of a day that are not over, the oldest first."""
        return await self._read(_OF_DAY, {"trade_date": trade_date, "limit": limit})

    async def count_of(self, trade_date: date) -> tuple[int, int]:
        """How many of a day are not over, and how many are."""
        cursor = await self._connection.execute(
            "SELECT count(*) FILTER (WHERE closed_at IS NULL),"
            " count(*) FILTER (WHERE closed_at IS NOT NULL)"
            " FROM break WHERE trade_date = %(trade_date)s",
            {"trade_date": trade_date},
        )
        rows = await cursor.fetchall()
        return rows[0][0], rows[0][1]

    async def count_open(self) -> dict[BreakClass, int]:
        """How many are not over, by class."""
        cursor = await self._connection.execute(
            "SELECT class, count(*) FROM break WHERE closed_at IS NULL GROUP BY class"
        )
        return {BreakClass(row[0]): row[1] for row in await cursor.fetchall()}

    async def are_over(self, break_ids: Sequence[str]) -> dict[str, bool]:
        """Of these breaks, as far as there are such, whether each is over."""
        cursor = await self._connection.execute(
            "SELECT break_id::text, closed_at IS NOT NULL FROM break"
            " WHERE break_id = ANY(%(break_ids)s::uuid[])",
            {"break_ids": [*break_ids]},
        )
        return dict(await cursor.fetchall())

    async def count_suspects(self) -> int:
        """How many executions differ and are no breaks yet."""
        cursor = await self._connection.execute(
            "SELECT count(DISTINCT (venue, execution_id)) FROM suspect"
        )
        return int((await cursor.fetchall())[0][0])

    async def explain(
        self, break_id: str, *, operator: str, reason_text: str, now: datetime
    ) -> None:
        """Put words on record, once; nothing for a break there is not."""
        await self._connection.execute(
            _EXPLAIN,
            {
                "break_id": break_id,
                "operator": operator,
                "reason_text": reason_text,
                "now": now,
            },
        )

    async def page_token_key(self) -> bytes:
        """The key that all processes share."""
        cursor = await self._connection.execute("SELECT key FROM page_token_key")
        return bytes((await cursor.fetchall())[0][0])

    async def _read(self, query: str, asked: Mapping[str, Any]) -> "Sequence[StoredBreak]":
        cursor = await self._connection.execute(query.encode(), asked)
        rows = await cursor.fetchall()
        words = await self._explanations([row[0] for row in rows])
        return [_break(row, words.get(row[0], [])) for row in rows]

    async def _explanations(self, break_ids: Sequence[str]) -> dict[str, "Sequence[Explanation]"]:
        found: dict[str, Any] = {}
        if break_ids:
            cursor = await self._connection.execute(
                "SELECT break_id::text, operator, reason_text, explained_at FROM explanation"
                " WHERE break_id = ANY(%(break_ids)s::uuid[]) ORDER BY explained_at",
                {"break_ids": [*break_ids]},
            )
            for break_id, *words in await cursor.fetchall():
                found.setdefault(break_id, []).append(Explanation(*words))
        return found


def _break(row: Sequence[Any], explanations: Sequence[Explanation]) -> StoredBreak:
    break_id, venue, execution_id, number, trade_id, trade_date, told, *rest = row
    noticed_at, opened_at, last_seen_at, closed_at, ending, state = rest
    return StoredBreak(
        break_id=break_id,
        venue=venue,
        execution_id=execution_id,
        break_class=BreakClass(number),
        trade_id=trade_id,
        trade_date=trade_date,
        told=msgspec.json.decode(told, type=list[Sighting]),
        noticed_at=noticed_at,
        opened_at=opened_at,
        last_seen_at=last_seen_at,
        closed_at=closed_at,
        ending=ending,
        state=BreakState(state),
        explanations=[*explanations],
    )
