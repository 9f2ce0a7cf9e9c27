"""After the faults: wait until everything is decided, then read everything anew and judge it."""

import asyncio
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

from libs.clock import Clock
from services.chaos.domain.checks import check
from services.chaos.domain.checks_of_customers import check_told_once
from services.chaos.domain.checks_of_stops import triggered
from services.chaos.domain.history import Ack, Event, History, Journal
from services.chaos.domain.verdict import Claim, Violation
from services.chaos.load import ENDOWMENT, Load
from services.chaos.neighbours import Customer, Operator, Refused, insist
from services.chaos.record import Record
from services.chaos.store import Databases

SETTLE_SECONDS = 15.0
_LOOK_SECONDS = 0.1
_READING_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Books:
    """Where to read. `resolved`: the trades that an operator has resolved."""

    operator: Operator
    databases: Databases
    resolved: frozenset[str]


async def settle(record: Record, clock: Clock, amended: Set[str]) -> float:
    """Wait until every trade is decided, or rests, and all of `amended` is told; how long it took.

    SETTLE_SECONDS at most, and as long again for what takes its time.
    """
    took = await _until(lambda: not (record.is_behind(math.inf) or amended - record.amended), clock)
    return took + await _until(lambda: not record.standing().open, clock)


async def close(load: Load, record: Record, operator: Operator, clock: Clock) -> float:
    """The exchange's day ends, and what rests until it is canceled is; how long it took.

    SETTLE_SECONDS at most from the answers on. Raises Refused.
    """
    await insist(operator.close_exchange)
    await asyncio.gather(*(trader.cancel_resting() for trader in load.traders))
    return await _until(lambda: not (record.standing().open or record.resting), clock)


async def _until(is_so: Callable[[], bool], clock: Clock) -> float:
    began_at = clock.monotonic()
    while not is_so():
        if clock.monotonic() - began_at >= SETTLE_SECONDS:
            break
        await clock.sleep(_LOOK_SECONDS)
    return clock.monotonic() - began_at


async def read_all(load: Load, record: Record, books: Books) -> History:
    """Everything there is to know, read once more from the beginning. Raises Refused."""
    gate = asyncio.Semaphore(_READING_AT_ONCE)

    async def read(customer: Customer) -> list[Event]:
        async with gate:
            return await insist(customer.whole_story)

    customers = [trader.customer for trader in load.traders]
    stories = await asyncio.gather(*map(read, customers))
    return History(
        endowments={customer.name: ENDOWMENT for customer in customers},
        acks=[ack for acks in record.acks.values() for ack in acks],
        events=dict(zip((customer.name for customer in customers), stories, strict=True)),
        venue=await books.databases.venue(),
        journal=await _books(books.operator),
        gateway=await books.databases.gateway(),
        replaces=record.replaces,
        unanswered=await books.databases.unanswered(),
        resolved=books.resolved,
        orders=record.orders,
    )


async def _books(operator: Operator) -> Journal:
    """The journal, and what the house finds broken: reconciliation has time to read everything."""
    journal = await insist(operator.journal)
    complaints = await insist(operator.complaints)
    for _ in range(int(SETTLE_SECONDS)):
        if not complaints:
            break
        await asyncio.sleep(1.0)
        complaints = await insist(operator.complaints)
    return replace(journal, broken=[*journal.broken, *complaints])


def judge(history: History, record: Record) -> list[Violation]:
    """Every breach: of what is there now, and of what was told meanwhile."""
    told = [
        violation
        for customer, live in record.events.items()
        for violation in check_told_once(customer, live, history.events.get(customer, ()))
    ]
    return [*check(history), *told, *record.refusals]


def unreadable(error: Refused) -> Violation:
    """The house does not tell what became of the trades."""
    return Violation(Claim.LOST, "house", f"the history cannot be read: {error}")


def counts_of(history: History) -> dict[str, int]:
    """The figures of a history."""
    acks: Sequence[Ack] = history.acks
    events = [event for story in history.events.values() for event in story]
    ends = [*{event.trade_id: event.status for event in events if event.is_terminal}.values()]
    return {
        "orders_answered": len({(ack.customer, ack.client_order_id) for ack in acks}),
        "answers": len(acks),
        "trades": sum(event.kind == "PLACED" for event in events),
        "events": len(events),
        "decided": len(ends),
        **{status.lower(): ends.count(status) for status in sorted(set(ends))},
        "replaces_taken": len(set(history.replaces)),
        "replaced": sum(event.kind == "REPLACED" for event in events),
        "replaces_rejected": sum(event.kind == "REPLACE_REJECTED" for event in events),
        "stops": len({event.trade_id for event in events if event.is_stop}),
        "stops_held": len(history.gateway.held),
        "stops_triggered": len(triggered(history)),
        "resolved": len(history.resolved),
        "venue_fills": len(history.venue.fills),
        "venue_amendments": len(history.venue.amendments),
        "ledger_fills": sum(
            transfer.kind == "execution" and transfer.is_done
            for transfer in history.journal.transfers
        ),
        "ledger_entries": len(history.journal.entries),
    }
