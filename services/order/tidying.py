"""What is kept for a while only is emptied once a day, beside all work."""

from datetime import timedelta

import structlog

from libs.clock import Clock
from libs.refusals import Unavailable
from services.order.database import Database
from services.order.store.own_orders import BEGINNING, Key, OwnOrders

# Twice the longest time that a guard against duplicates can look back.
_KEPT = timedelta(days=2)
_MOST = 1_000
_DAY_SECONDS = 86_400.0
_SOON_SECONDS = 60.0
_log = structlog.get_logger()


async def keep_tidy(database: Database, clock: Clock) -> None:
    """Forget what is too old now and once a day, for ever; where that fails, again in a minute."""
    await database.opened()
    while True:
        seconds = _DAY_SECONDS
        try:
            await _forget(database, clock)
        except Unavailable:
            seconds = _SOON_SECONDS
        await clock.sleep(seconds)


async def _forget(database: Database, clock: Clock) -> None:
    """Batch after batch, each a transaction of its own."""
    before, forgotten = clock.now() - _KEPT, 0
    key: Key | None = BEGINNING
    while key is not None:
        async with database.connection() as connection:
            key, gone = await OwnOrders(connection).forget(key, before=before, most=_MOST)
        forgotten += gone
    _log.info("recent_orders_forgotten", orders=forgotten)
