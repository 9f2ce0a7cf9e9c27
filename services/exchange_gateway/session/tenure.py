"""One process at a time holds the session; others wait for their turn."""

from collections.abc import Awaitable, Callable

import structlog

from libs.clock import Clock
from libs.refusals import Unavailable
from services.exchange_gateway.session.lease import Lease
from services.exchange_gateway.session.running import Outside, RunningSession
from services.exchange_gateway.session.together import together
from services.exchange_gateway.store.lease import Start
from services.exchange_gateway.venues import Venue
from stockbroker.common.v1.reason_pb2 import Reason

_RETRY_SECONDS = 0.25
_log = structlog.get_logger()


class Tenure:
    """Takes the session when it is free, runs it, and starts over from the database on any trouble.

    `on_change` hears True when this process holds the session and can answer, False when not.
    """

    def __init__(
        self,
        lease: Lease,
        outside: Outside,
        *,
        clock: Clock,
        on_change: Callable[[bool], Awaitable[None]],
    ) -> None:
        self._lease = lease
        self._outside = outside
        self._clock = clock
        self._on_change = on_change
        self._session: RunningSession | None = None

    @property
    def venue(self) -> Venue:
        """The venue, whoever holds the session."""
        return self._outside.venue

    @property
    def session(self) -> RunningSession | None:
        """The session, while this process holds it."""
        return self._session

    def held(self) -> RunningSession:
        """The session. Raises Unavailable while another process holds it, or none can."""
        if self._session is None:
            raise Unavailable(
                Reason.REASON_UNAVAILABLE, "this process does not hold the session with the venue"
            )
        return self._session

    async def run(self) -> None:
        """Work for ever."""
        while True:
            try:
                start = await self._lease.take()
                try:
                    await self._serve(start)
                finally:
                    await self._lease.leave(start.seat)
            except Unavailable as lost:
                _log.warning("session_given_up", error=lost.text)
            except Exception:
                _log.exception("session_failed")
            await self._clock.sleep(_RETRY_SECONDS)

    async def _serve(self, start: Start) -> None:
        _log.info("session_taken", session_id=start.seat.session_id, term=start.seat.term)
        session = RunningSession(self._outside, start)
        try:
            self._session = session
            await self._on_change(True)
            await together(session.run(), self._lease.keep(start.seat))
        finally:
            self._session = None
            await self._on_change(False)
            await session.close()
