"""Who holds the session: an advisory lock and a term."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg
import structlog

from libs.clock import Clock
from libs.refusals import Unavailable
from services.exchange_gateway.store.progress import Deposed, Seat, Step
from stockbroker.common.v1.reason_pb2 import Reason

_log = structlog.get_logger()

_TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended('exchange_gateway/' || %s::text, 0))"

_TAKE = """
WITH taken AS (
    INSERT INTO venue_session AS s (session_id, term) VALUES (%(session_id)s, 1)
    ON CONFLICT (session_id) DO UPDATE SET term = s.term + 1, taken_at = clock_timestamp()
    RETURNING session_id, term
)
INSERT INTO progress AS p (session_id, lane, term)
SELECT session_id, lane, term FROM taken, unnest(%(lanes)s::text[]) AS lane ORDER BY lane
ON CONFLICT (session_id, lane) DO UPDATE SET term = excluded.term
RETURNING p.lane, p.term, p.next_seq
"""

_UNANSWERED = """
SELECT o.trade_id::text, o.command_seq
FROM unanswered_order u JOIN venue_order o ON o.trade_id = u.trade_id
WHERE u.session_id = %(session_id)s ORDER BY o.command_seq
"""


@dataclass(frozen=True, slots=True)
class Start:
    """What a process that takes the session finds."""

    seat: Seat
    venue: str
    report_offset: int
    next_seq: dict[Step, int]
    unanswered: dict[str, int]


class Lease:
    """The one right to speak for a session: an advisory lock that lives and dies with a connection.

    The lock makes a second process wait; the term, raised by each taker, makes sure that one that
    was paused and wakes up later can write nothing any more.
    """

    def __init__(
        self, dsn: str, *, session_id: str, clock: Clock, poll_seconds: float = 0.5
    ) -> None:
        self._dsn = dsn
        self._session_id = session_id
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._connection: psycopg.AsyncConnection | None = None

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[Start]:
        """Wait for the session, for ever if need be, and hold it. Raises Unavailable."""
        try:
            self._connection = connection = await self._connect()
            try:
                await self._wait(connection)
                yield await self._take(connection)
            finally:
                self._connection = None
                await connection.close()
        except psycopg.OperationalError as error:
            raise Unavailable(Reason.REASON_UNAVAILABLE, "the database does not answer") from error

    async def lost(self) -> None:
        """Raise Unavailable once the connection that holds the session is gone.

        Waiting costs nothing.
        """
        if self._connection is None:
            raise Deposed
        try:
            async for _ in self._connection.notifies():
                pass
        except psycopg.OperationalError:
            text = "the connection that holds the session is gone"
            raise Unavailable(Reason.REASON_UNAVAILABLE, text) from None

    async def _connect(self) -> psycopg.AsyncConnection:
        """A connection whose death either side notices within seconds."""
        return await psycopg.AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            connect_timeout=5,
            keepalives_idle=2,
            keepalives_interval=1,
            keepalives_count=3,
            application_name="gateway-lease",
            options="-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1"
            " -c tcp_keepalives_count=3",
        )

    async def _wait(self, connection: psycopg.AsyncConnection) -> None:
        """Poll: a waiting lock would hold a snapshot and keep vacuum from its work."""
        is_standby = False
        while True:
            cursor = await connection.execute(_TRY_LOCK, [self._session_id])
            row = await cursor.fetchone()
            if row is not None and row[0]:
                return
            if not is_standby:
                _log.info("session_standby", session_id=self._session_id)
                is_standby = True
            await self._clock.sleep(self._poll_seconds)

    async def _take(self, connection: psycopg.AsyncConnection) -> Start:
        parameters = {"session_id": self._session_id, "lanes": list(Step)}
        cursor = await connection.execute(_TAKE, parameters)
        rows = await cursor.fetchall()
        cursor = await connection.execute(
            "SELECT venue, report_offset FROM venue_session WHERE session_id = %(session_id)s",
            parameters,
        )
        session = await cursor.fetchone()
        if session is None:
            raise Deposed
        cursor = await connection.execute(_UNANSWERED, parameters)
        return Start(
            seat=Seat(self._session_id, term=rows[0][1]),
            venue=session[0],
            report_offset=session[1],
            next_seq={Step(lane): next_seq for lane, _, next_seq in rows},
            unanswered=dict(await cursor.fetchall()),
        )
