"""The one right to speak for a session: a lease by the database's clock.

The holder says a few times a second that it is there. When it was not heard for a while, or leaves,
the first other process to see it raises the term and is the holder. No clock of ours has to be
right: every write names the term, so a holder that was frozen or cut off can write nothing any
more, and it asks the database before it logs on to the venue again.
"""

import asyncio
import contextlib
from typing import NoReturn

import structlog

from libs.clock import Clock
from libs.postgres import Lane
from libs.refusals import Unavailable
from services.exchange_gateway.store import lease
from services.exchange_gateway.store.lease import Start
from services.exchange_gateway.store.progress import Deposed, Seat
from stockbroker.common.v1.reason_pb2 import Reason

BEAT_SECONDS = 0.3
GONE_SECONDS = 1.2
_GIVE_UP_SECONDS = 5.0
_log = structlog.get_logger()


class Lease:
    """Takes, keeps and gives up the session `session_id`."""

    def __init__(self, dsn: str, *, session_id: str, clock: Clock) -> None:
        self._session_id = session_id
        self._clock = clock
        self._lane = Lane(dsn, name="gateway-lease", give_up_seconds=GONE_SECONDS)

    async def take(self) -> Start:
        """Wait for the session, for ever if need be, and take it. Raises Unavailable."""
        is_standby = False
        while True:
            start = await self._lane.run(
                lambda c: lease.take(c, self._session_id, seconds=GONE_SECONDS)
            )
            if start is not None:
                return start
            if not is_standby:
                _log.info("session_standby", session_id=self._session_id)
                is_standby = True
            await self._clock.sleep(BEAT_SECONDS)

    async def keep(self, seat: Seat) -> NoReturn:
        """Keep the session for ever. Raises Unavailable once another has it, or nobody can tell."""
        heard_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(BEAT_SECONDS)
            try:
                async with asyncio.timeout(GONE_SECONDS):
                    await self._lane.run(lambda c: lease.stay(c, seat))
                heard_at = self._clock.monotonic()
            except Deposed:
                raise
            except (Unavailable, TimeoutError):
                if self._clock.monotonic() - heard_at > _GIVE_UP_SECONDS:
                    raise Unavailable(
                        Reason.REASON_UNAVAILABLE, "the database does not answer"
                    ) from None

    async def leave(self, seat: Seat) -> None:
        """Give the session up, so that another need not wait; best effort."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(GONE_SECONDS):
                await self._lane.run(lambda c: lease.leave(c, seat))

    async def close(self) -> None:
        """Close the connection."""
        await self._lane.close()
