"""Who holds the session, as the database tells."""

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from services.exchange_gateway.store.progress import Deposed, Seat, Step

# The rows of progress wait for what the holder before has in progress; see LANES in main.py.
_TAKE = """
WITH taken AS (
    INSERT INTO venue_session AS s (session_id, term, seen_at)
    VALUES (%(session_id)s, 1, clock_timestamp())
    ON CONFLICT (session_id) DO UPDATE
    SET term = s.term + 1, taken_at = clock_timestamp(), seen_at = clock_timestamp()
    WHERE s.seen_at < clock_timestamp() - make_interval(secs => %(seconds)s)
        OR s.seen_at > clock_timestamp() + make_interval(secs => %(seconds)s)
    RETURNING session_id, term
)
INSERT INTO progress AS p (session_id, lane, term)
SELECT session_id, lane, term FROM taken, unnest(%(lanes)s::text[]) AS lane ORDER BY lane
ON CONFLICT (session_id, lane) DO UPDATE SET term = excluded.term
RETURNING p.lane, p.term, p.next_seq
"""

_STAY = """
UPDATE venue_session SET seen_at = clock_timestamp()
WHERE session_id = %(session_id)s AND term = %(term)s
"""

_LEAVE = """
UPDATE venue_session SET seen_at = '-infinity'
WHERE session_id = %(session_id)s AND term = %(term)s
"""

_UNANSWERED = """
SELECT o.trade_id::text, o.command_seq,
       extract(epoch FROM clock_timestamp() - o.created_at)::double precision
FROM unanswered_order u JOIN venue_order o ON o.trade_id = u.trade_id
WHERE u.session_id = %(session_id)s ORDER BY o.command_seq
"""

_UNANSWERED_REPLACES = """
SELECT v.trade_id::text, v.command_seq,
       extract(epoch FROM clock_timestamp() - v.created_at)::double precision
FROM venue_replace v JOIN venue_order o ON o.trade_id = v.trade_id
WHERE v.session_id = %(session_id)s AND v.answered_by_seq IS NULL AND v.command_seq > 0
    AND o.state <> 4
ORDER BY v.command_seq
"""


@dataclass(frozen=True, slots=True)
class Pending:
    """An order, or a replace, without an answer: its last number, and how old it is."""

    trade_id: str
    command_seq: int
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Start:
    """What a process that takes the session finds."""

    seat: Seat
    venue: str
    report_offset: int
    next_seq: dict[Step, int]
    unanswered: Sequence[Pending]
    unanswered_replaces: Sequence[Pending]


async def take(
    connection: psycopg.AsyncConnection, session_id: str, *, seconds: float
) -> Start | None:
    """The session under a new term, if its holder was not heard for `seconds`.

    A time ahead of now counts as not heard.
    """
    parameters = {"session_id": session_id, "lanes": list(Step), "seconds": seconds}
    cursor = await connection.execute(_TAKE, parameters)
    rows = await cursor.fetchall()
    if not rows:
        return None
    cursor = await connection.execute(
        "SELECT venue, report_offset FROM venue_session WHERE session_id = %(session_id)s",
        parameters,
    )
    session = await cursor.fetchone()
    if session is None:
        raise Deposed
    return Start(
        seat=Seat(session_id, term=rows[0][1]),
        venue=session[0],
        report_offset=session[1],
        next_seq={Step(lane): next_seq for lane, _, next_seq in rows},
        unanswered=await _pending(connection, _UNANSWERED, session_id),
        unanswered_replaces=await _pending(connection, _UNANSWERED_REPLACES, session_id),
    )


async def _pending(
    connection: psycopg.AsyncConnection, query: str, session_id: str
) -> Sequence[Pending]:
    cursor = await connection.execute(query.encode(), {"session_id": session_id})
    return [Pending(*row) for row in await cursor.fetchall()]


async def stay(connection: psycopg.AsyncConnection, seat: Seat) -> None:
    """The holder is here. Raises Deposed when it is another one now."""
    cursor = await connection.execute(_STAY, {"session_id": seat.session_id, "term": seat.term})
    if cursor.rowcount != 1:
        raise Deposed


async def leave(connection: psycopg.AsyncConnection, seat: Seat) -> None:
    """The holder goes: another need not wait."""
    await connection.execute(_LEAVE, {"session_id": seat.session_id, "term": seat.term})
