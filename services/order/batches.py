"""What is done in one transaction: placing, taking up, and recording outcomes, a batch each.

Always in this order: lock the customers, read, decide by the rules, write. So whoever holds a
customer's lock sees everything that was decided before.
"""

from collections import Counter as Tally
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg
import structlog
from prometheus_client import Counter

from libs.clock import Clock
from libs.partition import partition_of
from libs.reasons import Reason
from libs.refusals import Refusal, Throttled
from services.order.announcer import Announcer
from services.order.database import Change, Database
from services.order.domain.controls.gate import Gate, may_be_crossed
from services.order.domain.journal import Journal, Told, fault_of
from services.order.domain.news import Amended, Executed, Replaced, ReplaceRejected
from services.order.domain.placing import Placement, Placing, place
from services.order.domain.requests import Request, requests_of
from services.order.domain.trade import Cause, Trade, TradeEvent, TradeEventKind, TradeStatus
from services.order.domain.turns import Applied, Claimed, Waiting
from services.order.domain.verdicts import Code, Verdict
from services.order.guard import Guard, inform
from services.order.store.amendments import Amendments
from services.order.store.customers import Customers
from services.order.store.events import Events
from services.order.store.own_orders import OwnOrders
from services.order.store.queue import Partitions, Queue
from services.order.store.replaces import Replaces
from services.order.store.requests import Requests
from services.order.store.resting import Resting
from services.order.store.trades import Trades

_placed = Counter("order_trades_placed", "New trades recorded")
_stopped = Counter("order_trades_stopped", "Trades that controls rejected or refused", ["reason"])
_outcomes = Counter("order_outcomes", "Outcomes of trades told", ["code"])
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
        answers = await self._database.run(
            Change.PLACE,
            lambda connection: place_trades(connection, placements, self._guard),
        )
        new_ids = {placement.trade_id for placement in placements}
        new = [each for each in answers if isinstance(each, Trade) and each.trade_id in new_ids]
        self._announcer.placed(trade.customer_id for trade in new)
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


class Applier:
    """Records outcomes batch by batch, and tells who watches after the commit."""

    def __init__(self, database: Database, announcer: Announcer, clock: Clock) -> None:
        self._database = database
        self._announcer = announcer
        self._clock = clock

    async def apply(self, told: Sequence[Told]) -> list[Applied]:
        """One answer per outcome, in order. Safe to repeat."""
        began = self._clock.monotonic()
        applied = await self._database.run(
            Change.APPLY, lambda connection: apply_outcomes(connection, told, self._clock)
        )
        self._announcer.changed(each.customer_id for each in applied if each.is_news)
        # Until the exchange took the order, and while it is asked to cancel it, a replace waits.
        self._announcer.placed(each.customer_id for each in applied if each.lets_replace)
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


async def place_trades(
    connection: psycopg.AsyncConnection,
    placements: Sequence[Placement],
    guard: Guard,
) -> list[Trade | Refusal]:
    """Record what is new; one answer per placement, in order."""
    customers, trades = Customers(connection), Trades(connection)
    customer_ids = sorted({placement.customer_id for placement in placements})
    await customers.lock(customer_ids)
    heads = await customers.heads(customer_ids)
    keys = sorted({placement.key for placement in placements})
    recorded = await trades.by_client_order_ids(keys)
    gate = guard.gate()
    new = [each for each in placements if each.key not in recorded]
    await inform(gate, connection, [(each.customer_id, each.terms) for each in new])
    placing = place(placements, recorded, heads, gate)
    if placing.events:
        await _keep_placed(connection, placing, gate)
    return placing.answers


async def _keep_placed(connection: psycopg.AsyncConnection, placing: Placing, gate: Gate) -> None:
    events = placing.events
    trades = [event.trade for event in events if event.kind is TradeEventKind.PLACED]
    rejected = [event.trade for event in events if event.kind is TradeEventKind.REJECTED]
    over = {trade.trade_id for trade in rejected}
    waiting = [trade for trade in trades if trade.trade_id not in over]
    heads = {event.trade.customer_id: event.seq for event in events}
    async with connection.pipeline():
        await Customers(connection).raise_heads(heads)
        await Trades(connection).add(trades, placing.decisions)
        await Events(connection).add(events)
        if rejected:
            await Trades(connection).save(rejected)
        if waiting:
            await Queue(connection).add(waiting)
        await _keep_own_orders(connection, waiting, gate)


async def _keep_own_orders(
    connection: psycopg.AsyncConnection, waiting: Sequence[Trade], gate: Gate
) -> None:
    """What later trades of the customers will be held against."""
    limits = [trade for trade in waiting if may_be_crossed(trade.terms)]
    if limits:
        await OwnOrders(connection).add_open_limits(limits)
    if gate.guarded:
        await OwnOrders(connection).remember(gate.guarded)


async def apply_outcomes(
    connection: psycopg.AsyncConnection, told: Sequence[Told], clock: Clock
) -> list[Applied]:
    """Record outcomes strictly in order; one answer each."""
    sound = [each for each in told if not fault_of(each)]
    trade_ids = sorted({each.trade_id for each in sound})
    heads = await Customers(connection).lock_owners(trade_ids)
    trades = await Trades(connection).by_ids(trade_ids)
    customer_ids = sorted(heads)
    journal = Journal(trades, heads, at=clock.now())
    fills = {each.outcome.execution.key for each in sound if isinstance(each.outcome, Executed)}
    amended = {each.outcome.amendment.key for each in sound if isinstance(each.outcome, Amended)}
    if fills or amended:
        journal.executions = await Events(connection).executions(sorted(fills | amended))
    if amended:
        journal.amendments = await Amendments(connection).by_keys(sorted(amended))
    answers = [
        each.outcome for each in sound if isinstance(each.outcome, Replaced | ReplaceRejected)
    ]
    if answers:
        replace_ids = sorted({each.replace_id for each in answers})
        journal.replaces = await Replaces(connection).by_ids(replace_ids)
    judged = [(each, journal.apply(each), journal.trades.get(each.trade_id)) for each in told]
    await keep(connection, journal)
    unclaimed = await Queue(connection).unclaimed(customer_ids)
    waiting = {each.customer_id: each for each in unclaimed}
    return [_applied(verdict, trade, waiting) for _, verdict, trade in judged]


def _applied(verdict: Verdict, trade: Trade | None, waiting: Mapping[str, Waiting]) -> Applied:
    if trade is None:
        return Applied(verdict, None, "", None)
    lets_replace = bool(verdict.steps) and trade.is_to_be_replaced
    waits = waiting.get(trade.customer_id)
    return Applied(verdict, trade.status, trade.customer_id, waits, lets_replace)


async def keep(connection: psycopg.AsyncConnection, journal: Journal) -> None:
    """Write what the journal holds: events, where trades stand, who leaves the queue."""
    if not journal.events:
        return
    changed = journal.changed()
    fills = [event.execution for event in journal.events if event.execution is not None]
    told = [event for event in journal.events if event.replace is not None]
    gone = [trade for trade in changed if not trade.needs_turn]
    customer_ids = sorted({trade.customer_id for trade in changed})
    async with connection.pipeline():
        heads = {customer_id: journal.heads[customer_id] for customer_id in customer_ids}
        await Customers(connection).raise_heads(heads)
        if told:
            await _keep_replaces(connection, journal, told)
        if amended := [event for event in journal.events if event.amendment is not None]:
            await _keep_amendments(connection, journal, amended)
        await Trades(connection).save(changed)
        if fills:
            await Events(connection).add_executions(fills)
        await Events(connection).add(journal.events)
        if gone:
            queue = Queue(connection)
            await queue.remove(gone)
            await queue.promote(sorted({trade.customer_id for trade in gone}))
            await _keep_resting(connection, gone)
        ended = [t for t in gone if t.status.is_terminal and may_be_crossed(t.terms)]
        if ended:
            await OwnOrders(connection).remove_open_limits(ended)
        await _keep_requests(connection, journal)


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


@dataclass(frozen=True, slots=True)
class Claims:
    """What was taken up, and the partitions the caller leads no more."""

    trades: list[tuple[Claimed, Trade]]
    cancels: list[tuple[Claimed, Trade]]
    replaces: list[tuple[Claimed, Trade]]
    lost_partitions: list[int]
    started: list[str]


async def claim_trades(
    connection: psycopg.AsyncConnection,
    epochs: Mapping[int, int],
    customer_ids: Iterable[str],
    clock: Clock,
    *,
    halted_ids: Collection[str] = (),
) -> Claims:
    """Take up each customer's oldest open trade, all cancels and replaces, under the epochs given.

    Customers of partitions with another epoch are left out; of `halted_ids` cancels alone are taken
    up. `started`: customers whose trade got its turn now.
    """
    held = await Partitions(connection).hold(sorted(epochs))
    lost = sorted(partition for partition, epoch in epochs.items() if held.get(partition) != epoch)
    led = epochs.keys() - set(lost)
    wanted = sorted({each for each in customer_ids if partition_of(each) in led})
    locked = await Customers(connection).lock_known(wanted)
    free = [each for each in locked if each not in halted_ids]
    claimed = await Queue(connection).claim(free, epochs)
    requested = await Requests(connection).claim(list(locked), epochs)
    if not claimed and not requested:
        return Claims([], [], [], lost, [])
    taken_up = {each.trade_id for each in (*claimed, *(each.claimed for each in requested))}
    trades = await Trades(connection).by_ids(sorted(taken_up))
    journal = Journal(trades, locked, at=clock.now())
    for each in claimed:
        journal.start(each.trade_id)
    await keep(connection, journal)
    of_requests = [(each, journal.trades[each.claimed.trade_id]) for each in requested]
    return Claims(
        [(each, journal.trades[each.trade_id]) for each in claimed],
        [(each.claimed, trade) for each, trade in of_requests if not each.is_replace],
        [
            (each.claimed, trade)
            for each, trade in of_requests
            if each.is_replace and trade.is_to_be_replaced and trade.customer_id not in halted_ids
        ],
        lost,
        [event.trade.customer_id for event in journal.events],
    )
