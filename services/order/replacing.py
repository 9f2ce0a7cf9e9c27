"""Trades given other terms on request, a batch of requests in one transaction."""

from collections.abc import Sequence

import psycopg
import structlog

from libs.clock import Clock
from libs.refusals import Refusal
from services.order import refusals
from services.order.announcer import Announcer
from services.order.batches import keep
from services.order.database import Change, Database
from services.order.domain.journal import Journal
from services.order.domain.replacing import Replacement, is_repeat, revise
from services.order.domain.trade import Trade
from services.order.store.customers import Customers
from services.order.store.replaces import Replaces
from services.order.store.trades import Trades

_log = structlog.get_logger()


class Replacer:
    """Replaces trades batch by batch, and tells who is to know after the commit."""

    def __init__(self, database: Database, announcer: Announcer, clock: Clock) -> None:
        self._database = database
        self._announcer = announcer
        self._clock = clock

    async def replace(self, replacements: Sequence[Replacement]) -> list[Trade | Refusal]:
        """One answer per request, in order. Safe to repeat."""
        answers = await self._database.run(
            Change.APPLY, lambda connection: replace_trades(connection, replacements, self._clock)
        )
        replaced = [answer for answer in answers if isinstance(answer, Trade)]
        self._announcer.placed(trade.customer_id for trade in replaced)
        _log.info("trades_replaced", asked=len(replacements), replaced=len(replaced))
        return answers


async def replace_trades(
    connection: psycopg.AsyncConnection, replacements: Sequence[Replacement], clock: Clock
) -> list[Trade | Refusal]:
    """Replace strictly in order; one answer each."""
    trade_ids = sorted({each.trade_id for each in replacements})
    customers = Customers(connection)
    await customers.lock_owners(trade_ids)
    trades = await Trades(connection).by_ids(trade_ids)
    customer_ids = sorted({trade.customer_id for trade in trades.values()})
    journal = Journal(trades, await customers.heads(customer_ids), at=clock.now())
    keys = sorted({each.key for each in replacements})
    used = await Trades(connection).by_client_order_ids(keys)
    if used:
        journal.replaces = await Replaces(connection).by_client_order_ids(keys)
    answers: list[Trade | Refusal] = []
    for each in replacements:
        answer = _replace(journal, each, is_used=each.key in used)
        if isinstance(answer, Trade):
            used[each.key] = answer
        answers.append(answer)
    await keep(connection, journal)
    return answers


def _replace(journal: Journal, replacement: Replacement, *, is_used: bool) -> Trade | Refusal:
    trade = journal.trades.get(replacement.trade_id)
    if trade is None or trade.customer_id != replacement.customer_id:
        return refusals.no_such_trade()
    if is_used:
        known = is_repeat(replacement, journal.replaces.values())
        return trade if known else refusals.client_order_id_reused()
    try:
        step = revise(trade, replacement)
    except Refusal as refusal:
        return refusal
    journal.record(trade.trade_id, step)
    return journal.trades[trade.trade_id]
