"""Outcomes of trades recorded, a batch in one transaction."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence

import psycopg
import structlog
from prometheus_client import Counter

from libs.clock import Clock
from services.order.announcer import Announcer
from services.order.database import Change, Database
from services.order.domain.event import Execution
from services.order.domain.journal import Journal, Told, fault_of
from services.order.domain.news import Amended, Executed, Replaced, ReplaceRejected
from services.order.domain.trade import Trade
from services.order.domain.turns import Applied, Waiting
from services.order.domain.verdicts import Code, Verdict
from services.order.keeping import keep
from services.order.store.amendments import Amendments
from services.order.store.customers import Customers
from services.order.store.events import Events
from services.order.store.later import Later
from services.order.store.queue import Queue
from services.order.store.replaces import Replaces
from services.order.store.trades import Trades

_outcomes = Counter("order_outcomes", "Outcomes of trades told", ["code"])
_log = structlog.get_logger()


class Applier:
    """Records outcomes batch by batch, and tells who watches after the commit."""

    def __init__(self, database: Database, announcer: Announcer, clock: Clock) -> None:
        self._database = database
        self._announcer = announcer
        self._clock = clock

    async def apply(self, told: Sequence[Told]) -> list[Applied]:
        """One answer per outcome, in order. Safe to repeat."""
        began = self._clock.monotonic()
        committed = await self._database.run(
            Change.APPLY, lambda connection: apply_outcomes(connection, told, self._clock)
        )
        applied = await committed.read()
        self._announcer.changed(each.customer_id for each in applied if each.is_news)
        # Until the exchange took the order, and while it is asked to cancel it, a replace waits.
        self._announcer.wanted(each.customer_id for each in applied if each.lets_replace)
        took_ms = round((self._clock.monotonic() - began) * 1000, 1)
        _log.info("outcomes_applied", outcomes=len(told), ms=took_ms)
        _count(applied, told)
        return applied


def _count(applied: Sequence[Applied], told: Sequence[Told]) -> None:
    for code, count in Tally(each.verdict.code for each in applied).items():
        _outcomes.labels(code.name).inc(count)
    for each, outcome in zip(applied, told, strict=True):
        if each.verdict.code is Code.IMPOSSIBLE:
            detail = each.verdict.detail
            _log.error("outcome_impossible", trade_id=outcome.trade_id[:36], detail=detail)


async def apply_outcomes(
    connection: psycopg.AsyncConnection, told: Sequence[Told], clock: Clock
) -> Later[list[Applied]]:
    """Record outcomes strictly in order; one answer each, to be read when it is committed."""
    faults = [fault_of(each) for each in told]
    sound = [each for each, fault in zip(told, faults, strict=True) if not fault]
    trade_ids = sorted({each.trade_id for each in sound})
    locking = await Customers(connection).lock_owners(trade_ids)
    asking = await Trades(connection).ask(trade_ids)
    known = await _known_fills(connection, sound)
    heads = await locking.read()
    journal = Journal(await Trades(connection).told(asking), heads, at=clock.now())
    await _look_up(connection, journal, sound)
    if known is not None:
        journal.executions = await known.read()
    judged = [
        (journal.apply(each, fault), journal.trades.get(each.trade_id))
        for each, fault in zip(told, faults, strict=True)
    ]
    advanced = await keep(connection, journal)
    if advanced is None:
        advanced = await Queue(connection).advance(sorted(heads))
    return advanced.then(lambda waiting: _applied_all(judged, waiting))


async def _known_fills(
    connection: psycopg.AsyncConnection, told: Sequence[Told]
) -> Later[dict[tuple[str, str], Execution]] | None:
    """Those told of that are on record; None where none is told of."""
    fills = {each.outcome.execution.key for each in told if isinstance(each.outcome, Executed)}
    fills |= {each.outcome.amendment.key for each in told if isinstance(each.outcome, Amended)}
    return await Events(connection).executions(sorted(fills)) if fills else None


async def _look_up(
    connection: psycopg.AsyncConnection, journal: Journal, told: Sequence[Told]
) -> None:
    """What else is on record of what is told; seldom anything."""
    amended = {each.outcome.amendment.key for each in told if isinstance(each.outcome, Amended)}
    if amended:
        journal.amendments = await Amendments(connection).by_keys(sorted(amended))
    replace_ids = {
        each.outcome.replace_id
        for each in told
        if isinstance(each.outcome, Replaced | ReplaceRejected)
    }
    if replace_ids:
        journal.replaces = await Replaces(connection).by_ids(sorted(replace_ids))


def _applied_all(
    judged: Sequence[tuple[Verdict, Trade | None]], advanced: Sequence[Waiting]
) -> list[Applied]:
    waiting = {each.customer_id: each for each in advanced}
    return [_applied(verdict, trade, waiting) for verdict, trade in judged]


def _applied(verdict: Verdict, trade: Trade | None, waiting: Mapping[str, Waiting]) -> Applied:
    if trade is None:
        return Applied(verdict, None, "", None)
    lets_replace = bool(verdict.steps) and trade.is_to_be_replaced
    waits = waiting.get(trade.customer_id)
    return Applied(verdict, trade.status, trade.customer_id, waits, lets_replace)
