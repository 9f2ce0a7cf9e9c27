"""What can be traded: the venue's list, kept for when the venue is away."""

import structlog

from libs.clock import Clock
from libs.postgres import Pool
from libs.refusals import Unavailable
from services.exchange_gateway.domain import Instrument
from services.exchange_gateway.store.session import SessionStore
from services.exchange_gateway.venues import Venue, VenueAway
from stockbroker.common.v1.reason_pb2 import Reason

_log = structlog.get_logger()


class Listing:
    """Asks the venue at most every `max_age_seconds`, and only when somebody wants to know."""

    def __init__(
        self, pool: Pool, venue: Venue, *, session_id: str, clock: Clock, max_age_seconds: float
    ) -> None:
        self._pool = pool
        self.venue = venue
        self._session_id = session_id
        self._clock = clock
        self._max_age_seconds = max_age_seconds
        self._known: list[Instrument] = []
        self._asked_at: float | None = None

    async def list(self) -> list[Instrument]:
        """By symbol. Raises Unavailable when nothing was ever heard and the venue is away."""
        now = self._clock.monotonic()
        if self._asked_at is None or now - self._asked_at > self._max_age_seconds:
            self._asked_at = now
            await self._refresh()
        if not self._known:
            self._asked_at = None
            raise Unavailable(Reason.REASON_UNAVAILABLE, "the venue has not said what it lists")
        return self._known

    async def _refresh(self) -> None:
        try:
            listed = await self.venue.list_instruments()
        except VenueAway as error:
            _log.warning("instruments_unanswered", error=str(error))
            if not self._known:
                async with self._pool.connection() as connection:
                    store = SessionStore(connection, self._session_id)
                    self._known = await store.list_instruments()
            return
        if listed != self._known:
            async with self._pool.connection() as connection:
                await SessionStore(connection, self._session_id).save_instruments(listed)
            self._known = listed
