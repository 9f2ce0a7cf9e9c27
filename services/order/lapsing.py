"""DAY trades that nobody took up on their day are ended, whatever they wait behind."""

from collections.abc import Sequence

import psycopg
import structlog

from libs.clock import Clock
from libs.fills import day_of
from libs.refusals import Unavailable
from services.order.announcer import Announcer
from services.order.database import Change, Database
from services.order.domain.journal import Journal
from services.order.domain.lapsing import lapse
from services.order.domain.trade import Trade
from services.order.keeping import keep
from services.order.store.customers import Customers
from services.order.store.queue import Queue
from services.order.store.trades import Trades

_MOST = 500
_LOOK_SECONDS = 60.0
_log = structlog.get_logger()


async def keep_lapsing(database: Database, announcer: Announcer, clock: Clock) -> None:
    """Look now and once a minute, for ever."""
    await database.opened()
    while True:
        try:
            while await _lapse_some(database, announcer, clock):
                pass
        except Unavailable as lost:
            _log.warning("lapsing_put_off", error=lost.text)
        await clock.sleep(_LOOK_SECONDS)


async def _lapse_some(database: Database, announcer: Announcer, clock: Clock) -> bool:
    """End a batch of them; whether there may be more."""
    midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    async with database.connection() as connection:
        trade_ids = await Queue(connection).of_the_day(placed_before=midnight, limit=_MOST)
    if not trade_ids:
        return False
    ended = await database.run(Change.APPLY, lambda c: lapse_trades(c, trade_ids, clock))
    announcer.wanted_and_changed(trade.customer_id for trade in ended)
    _log.info("trades_lapsed", trades=len(ended))
    return len(ended) == _MOST


async def lapse_trades(
    connection: psycopg.AsyncConnection, trade_ids: Sequence[str], clock: Clock
) -> list[Trade]:
    """End those whose day is over and that nobody has taken up meanwhile. Safe to repeat."""
    locking = await Customers(connection).lock_owners(trade_ids)
    trades = await Trades(connection).by_ids(trade_ids)
    journal = Journal(trades, await locking.read(), at=clock.now())
    for trade_id in trade_ids:
        step = lapse(trades[trade_id], day_of(journal.at))
        if step is not None:
            journal.record(trade_id, step)
    await keep(connection, journal)
    return journal.changed()
