"""What each transaction about trades ends with: it writes what the journal holds.

Always in this order: lock the customers, read, decide by the rules, write. So whoever holds a
customer's lock sees everything that was decided before.
"""

from collections.abc import Sequence

import psycopg

from services.order.domain.controls.gate import may_be_crossed
from services.order.domain.event import Cause, TradeEvent, TradeEventKind
from services.order.domain.journal import Journal
from services.order.domain.requests import Request, requests_of
from services.order.domain.trade import Trade
from services.order.domain.turns import Waiting
from services.order.store.amendments import Amendments
from services.order.store.events import Events
from services.order.store.later import Later
from services.order.store.own_orders import OwnOrders
from services.order.store.queue import Queue
from services.order.store.replaces import Replaces
from services.order.store.requests import Requests
from services.order.store.resting import Resting


async def keep(
    connection: psycopg.AsyncConnection, journal: Journal
) -> Later[list[Waiting]] | None:
    """Write what the journal holds: events, where trades stand, who leaves the queue.

    If somebody does, which oldest trades of its customers nobody has taken up yet.
    """
    if not journal.events:
        return None
    changed = journal.changed()
    fills = [event.execution for event in journal.events if event.execution is not None]
    told = [event for event in journal.events if event.replace is not None]
    gone = [trade for trade in changed if not trade.needs_turn]
    if told:
        await _keep_replaces(connection, journal, told)
    if amended := [event for event in journal.events if event.amendment is not None]:
        await _keep_amendments(connection, journal, amended)
    if fills:
        await Events(connection).add_executions(fills)
    await Events(connection).record(journal.events)
    if gone:
        await Queue(connection).remove(gone)
        await _keep_gone(connection, gone)
    await _keep_requests(connection, journal)
    return await Queue(connection).advance(sorted(journal.heads)) if gone else None


async def _keep_gone(connection: psycopg.AsyncConnection, gone: Sequence[Trade]) -> None:
    """These do not hold up their customers' next trades any more."""
    await _keep_resting(connection, gone)
    ended = [t for t in gone if t.status.is_terminal and may_be_crossed(t.terms)]
    if ended:
        await OwnOrders(connection).remove_open_limits(ended)


async def _keep_replaces(
    connection: psycopg.AsyncConnection, journal: Journal, told: Sequence[TradeEvent]
) -> None:
    """Replaces that were asked for or answered, and what they make of their trades."""
    replaces = Replaces(connection)
    asked = [event for event in told if event.cause is Cause.CUSTOMER]
    answered = [event for event in told if event.kind is not TradeEventKind.REPLACE_REQUESTED]
    if asked:
        await replaces.add(asked)
    if answered:
        await replaces.answer(answered)
    trade_ids = sorted({event.trade.trade_id for event in told})
    await replaces.revise([journal.trades[trade_id] for trade_id in trade_ids])


async def _keep_amendments(
    connection: psycopg.AsyncConnection, journal: Journal, events: Sequence[TradeEvent]
) -> None:
    """What the exchange took back of fills."""
    await Amendments(connection).add(events)
    trade_ids = sorted({event.trade.trade_id for event in events})
    await Amendments(connection).take_back([journal.trades[trade_id] for trade_id in trade_ids])


async def _keep_resting(connection: psycopg.AsyncConnection, gone: Sequence[Trade]) -> None:
    """Trades that left the queue for the exchange's book, and those that left that."""
    resting = [trade for trade in gone if trade.rests]
    over = [trade for trade in gone if trade.terms.may_rest and not trade.rests]
    if resting:
        await Resting(connection).add(resting)
    if over:
        await Resting(connection).remove(over)


async def _keep_requests(connection: psycopg.AsyncConnection, journal: Journal) -> None:
    """What the exchange is asked for since this transaction, and what no more."""
    open_requests = requests_of(journal.trades.values())
    if asked := open_requests - journal.requests:
        await Requests(connection).add(sorted(asked, key=_by_trade), at=journal.at)
    if answered := journal.requests - open_requests:
        await Requests(connection).remove(sorted(answered, key=_by_trade))


def _by_trade(request: Request) -> tuple[str, bool]:
    return request.trade_id, request.is_replace
