"""Trades placed, a batch in one transaction."""

from collections import Counter as Tally
from collections.abc import Mapping, Sequence

import psycopg
import structlog
from prometheus_client import Counter

from libs.clock import Clock
from libs.reasons import Reason
from libs.refusals import Refusal, Throttled
from services.order.announcer import Announcer
from services.order.database import Change, Database
from services.order.domain.controls.gate import Gate, may_be_crossed
from services.order.domain.event import TradeEventKind
from services.order.domain.placing import Placement, Placing, place
from services.order.domain.trade import Trade, TradeStatus
from services.order.guard import Gates, Guard, inform
from services.order.store.customers import Customers
from services.order.store.events import Events
from services.order.store.later import Later
from services.order.store.own_orders import OwnOrders
from services.order.store.placed import Placed
from services.order.store.trades import Trades

_placed = Counter("order_trades_placed", "New trades recorded")
_stopped = Counter("order_trades_stopped", "Trades that controls rejected or refused", ["reason"])
_log = structlog.get_logger()


class Placer:
    """Places trades batch by batch, and tells who is to know after the commit."""

    def __init__(
        self, database: Database, announcer: Announcer, clock: Clock, guard: Guard
    ) -> None:
        self._database = database
        self._announcer = announcer
        self._clock = clock
        self._guard = guard

    async def place(self, placements: Sequence[Placement]) -> list[Trade | Refusal]:
        """One answer per placement, in order. Safe to repeat."""
        began = self._clock.monotonic()
        with self._guard.attempts() as gates:
            answers, begun = await self._database.run(
                Change.PLACE, lambda connection: place_trades(connection, placements, gates)
            )
        new_ids = {placement.trade_id for placement in placements}
        new = [each for each in answers if isinstance(each, Trade) and each.trade_id in new_ids]
        self._announcer.changed(trade.customer_id for trade in new)
        self._announcer.wanted(await begun.read() if begun else ())
        _placed.inc(len(new))
        _count_stopped(new, answers)
        took_ms = round((self._clock.monotonic() - began) * 1000, 1)
        _log.info("trades_placed", placements=len(placements), new=len(new), ms=took_ms)
        return answers


def _count_stopped(new: Sequence[Trade], answers: Sequence[Trade | Refusal]) -> None:
    for trade in new:
        if trade.status is TradeStatus.REJECTED:
            _stopped.labels(Reason.Name(Reason.ValueType(trade.standing.reason))).inc()
    for answer in answers:
        if isinstance(answer, Throttled):
            _stopped.labels(Reason.Name(answer.reason)).inc()


async def place_trades(
    connection: psycopg.AsyncConnection,
    placements: Sequence[Placement],
    gates: Gates,
) -> tuple[list[Trade | Refusal], Later[list[str]] | None]:
    """Record what is new; one answer per placement, in order.

    Also the customers who had no open trade before: a trade that is not the first in line is taken
    up when the one before it ends. None: nothing is new.
    """
    counts = Tally(sorted(placement.customer_id for placement in placements))
    reserved = await Customers(connection).reserve(counts)
    keys = sorted({placement.key for placement in placements})
    recorded = await Trades(connection).by_client_order_ids(keys)
    heads = await reserved.read()
    gate = gates.gate()
    new = [each for each in placements if each.key not in recorded]
    await inform(gate, connection, [(each.customer_id, each.terms) for each in new])
    placing = place(placements, recorded, heads, gate)
    begun = await _keep_placed(connection, placing, gate) if placing.events else None
    if amiss := _amiss(placing, heads, counts):
        await Customers(connection).set_heads(amiss)
    return placing.answers, begun


def _amiss(placing: Placing, heads: Mapping[str, int], counts: Mapping[str, int]) -> dict[str, int]:
    """The heads of customers who did not get one event for each placement, or had some rejected."""
    after = dict(heads) | {event.trade.customer_id: event.seq for event in placing.events}
    rejected = {e.trade.customer_id for e in placing.events if e.kind is TradeEventKind.REJECTED}
    return {
        customer_id: head
        for customer_id, head in after.items()
        if head != heads[customer_id] + counts[customer_id] or customer_id in rejected
    }


async def _keep_placed(
    connection: psycopg.AsyncConnection, placing: Placing, gate: Gate
) -> Later[list[str]]:
    """The customers who had no open trade before."""
    events = placing.events
    trades = [event.trade for event in events if event.kind is TradeEventKind.PLACED]
    rejected = [event for event in events if event.kind is TradeEventKind.REJECTED]
    over = {event.trade.trade_id for event in rejected}
    waiting = [trade for trade in trades if trade.trade_id not in over]
    begun = await Placed(connection).add(trades, placing.decisions, over)
    if rejected:
        await Events(connection).record(rejected)
    await _keep_own_orders(connection, waiting, gate)
    return begun


async def _keep_own_orders(
    connection: psycopg.AsyncConnection, waiting: Sequence[Trade], gate: Gate
) -> None:
    """What later trades of the customers will be held against."""
    limits = [trade for trade in waiting if may_be_crossed(trade.terms)]
    if limits:
        await OwnOrders(connection).add_open_limits(limits)
    if gate.guarded:
        await OwnOrders(connection).remember(gate.guarded)
