"""Trades canceled on request, a batch of requests in one transaction."""

from collections.abc import Sequence

import psycopg
import structlog

from libs.clock import Clock
from libs.refusals import Refusal
from services.order import refusals
from services.order.announcer import Announcer
from services.order.database import Change, Database
from services.order.domain.canceling import Cancellation, cancel
from services.order.domain.journal import Journal
from services.order.domain.trade import Trade
from services.order.keeping import keep
from services.order.store.customers import Customers
from services.order.store.trades import Trades

_log = structlog.get_logger()


class Canceler:
    """Cancels trades batch by batch, and tells who is to know after the commit."""

    def __init__(self, database: Database, announcer: Announcer, clock: Clock) -> None:
        self._database = database
        self._announcer = announcer
        self._clock = clock

    async def cancel(self, cancellations: Sequence[Cancellation]) -> list[Trade | Refusal]:
        """One answer per request, in order. Safe to repeat."""
        answers = await self._database.run(
            Change.APPLY, lambda connection: cancel_trades(connection, cancellations, self._clock)
        )
        canceled = [answer for answer in answers if isinstance(answer, Trade)]
        # There is something to do: at the exchange, or for the next trade of the customer.
        self._announcer.wanted_and_changed(trade.customer_id for trade in canceled)
        _log.info("trades_canceled", asked=len(cancellations), canceled=len(canceled))
        return answers


async def cancel_trades(
    connection: psycopg.AsyncConnection, cancellations: Sequence[Cancellation], clock: Clock
) -> list[Trade | Refusal]:
    """Cancel strictly in order; one answer each."""
    trade_ids = sorted({each.trade_id for each in cancellations})
    locking = await Customers(connection).lock_owners(trade_ids)
    trades = await Trades(connection).by_ids(trade_ids)
    heads = await locking.read()
    journal = Journal(trades, heads, at=clock.now())
    answers = [_cancel(journal, each) for each in cancellations]
    await keep(connection, journal)
    return answers


def _cancel(journal: Journal, cancellation: Cancellation) -> Trade | Refusal:
    trade = journal.trades.get(cancellation.trade_id)
    if trade is None or not cancellation.may_name(trade):
        return refusals.no_such_trade()
    try:
        step = cancel(trade, cancellation.cause)
    except Refusal as refusal:
        return refusal
    if step is not None:
        journal.record(trade.trade_id, step)
    return journal.trades[trade.trade_id]
