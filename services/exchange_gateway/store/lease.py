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


@dataclass(frozen=True, slots=True)
class Pending:
    """An order without an answer, under the number it was sent last, and how old it is."""

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
    cursor = await connection.execute(_UNANSWERED, parameters)
    return Start(
        seat=Seat(session_id, term=rows[0][1]),
        venue=session[0],
        report_offset=session[1],
        next_seq={Step(lane): next_seq for lane, _, next_seq in rows},
        unanswered=[Pending(*row) for row in await cursor.fetchall()],
    )


async def stay(connection: psycopg.AsyncConnection, seat: Seat) -> None:
    """The holder is here. Raises Deposed when it is another one now."""
    cursor = await connection.execute(_STAY, {"session_id": seat.session_id, "term": seat.term})
    if cursor.rowcount != 1:
        raise Deposed


async def leave(connection: psycopg.AsyncConnection, seat: Seat) -> None:
    """The holder goes: another need not wait."""
    await connection.execute(_LEAVE, {"session_id": seat.session_id, "term": seat.term})
