"""Trades given other terms on request, a batch of requests in one transaction."""

from collections.abc import Sequence

import psycopg
import structlog

from libs.reasons import Reason
from libs.refusals import Refusal
from services.order import refusals
from services.order.announcer import Announcer
from services.order.database import Change, Database
from services.order.domain.controls.gate import Gate, likeness
from services.order.domain.journal import Journal
from services.order.domain.replacing import Replacement, is_repeat, revise, revised
from services.order.domain.trade import Trade
from services.order.guard import Gates, Guard, inform
from services.order.keeping import keep
from services.order.store.customers import Customers
from services.order.store.replaces import Replaces
from services.order.store.trades import Trades

_log = structlog.get_logger()


class Replacer:
    """Replaces trades batch by batch, and tells who is to know after the commit."""

    def __init__(self, database: Database, announcer: Announcer, guard: Guard) -> None:
        self._database = database
        self._announcer = announcer
        self._guard = guard

    async def replace(self, replacements: Sequence[Replacement]) -> list[Trade | Refusal]:
        """One answer per request, in order. Safe to repeat."""
        with self._guard.attempts() as gates:
            answers = await self._database.run(
                Change.APPLY, lambda connection: replace_trades(connection, replacements, gates)
            )
        replaced = [answer for answer in answers if isinstance(answer, Trade)]
        self._announcer.wanted_and_changed(trade.customer_id for trade in replaced)
        _log.info("trades_replaced", asked=len(replacements), replaced=len(replaced))
        return answers


async def replace_trades(
    connection: psycopg.AsyncConnection, replacements: Sequence[Replacement], gates: Gates
) -> list[Trade | Refusal]:
    """Replace strictly in order; one answer each."""
    trade_ids = sorted({each.trade_id for each in replacements})
    locking = await Customers(connection).lock_owners(trade_ids)
    trades = await Trades(connection).by_ids(trade_ids)
    heads = await locking.read()
    gate = gates.gate()
    journal = Journal(trades, heads, at=gate.at)
    keys = sorted({each.key for each in replacements})
    used = await Trades(connection).by_client_order_ids(keys)
    if used:
        journal.replaces = await Replaces(connection).by_client_order_ids(keys)
    new = [each for each in replacements if each.key not in used and each.trade_id in trades]
    wanted = [revised(trades[each.trade_id].terms, each.asked) for each in new]
    await inform(
        gate,
        connection,
        [(each.customer_id, terms) for each, terms in zip(new, wanted, strict=True)],
    )
    answers: list[Trade | Refusal] = []
    for each in replacements:
        answer = _replace(journal, each, gate, is_used=each.key in used)
        if isinstance(answer, Trade):
            used[each.key] = answer
        answers.append(answer)
    await keep(connection, journal)
    return answers


def _replace(
    journal: Journal, replacement: Replacement, gate: Gate, *, is_used: bool
) -> Trade | Refusal:
    trade = journal.trades.get(replacement.trade_id)
    if trade is None or trade.customer_id != replacement.customer_id:
        return refusals.no_such_trade()
    if is_used:
        known = is_repeat(replacement, journal.replaces.values())
        return trade if known else refusals.client_order_id_reused()
    try:
        step = revise(trade, replacement, gate.at.date())
        _let_through(gate, trade, replacement)
    except Refusal as refusal:
        return refusal
    journal.record(trade.trade_id, step)
    gate.revise(journal.trades[trade.trade_id])
    return journal.trades[trade.trade_id]


def _let_through(gate: Gate, trade: Trade, replacement: Replacement) -> None:
    """New terms go through the controls as those of a new trade do, but for the guard against
    duplicates: they take the place of others. Raises Refused or Throttled.
    """
    terms = revised(trade.terms, replacement.asked)
    gate.known.recents.pop(likeness(trade.customer_id, terms), None)
    decision = gate.judge(trade.customer_id, terms)
    if decision.failed is not None:
        raise refusals.stopped(Reason.ValueType(decision.failed.reason), decision.failed.text)
