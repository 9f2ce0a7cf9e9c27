"""Trades, cancels and replaces taken up, a batch in one transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from libs.clock import Clock
from libs.partition import partition_of
from services.order.domain.journal import Journal
from services.order.domain.trade import Trade
from services.order.domain.turns import Claimed, Requested
from services.order.keeping import keep
from services.order.store.customers import Customers
from services.order.store.history import History
from services.order.store.queue import Partitions, Queue
from services.order.store.requests import Requests
from services.order.store.trades import Trades

# Of a customer at once, so that what is answered stays small and soon.
_MOST_REQUESTS = 1_000


@dataclass(frozen=True, slots=True)
class Claims:
    """What was taken up, and the partitions the caller leads no more."""

    trades: list[tuple[Claimed, Trade]]
    cancels: list[tuple[Requested, Trade]]
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
    """Take up each customer's oldest open trade, cancels and replaces, under the epochs given.

    Customers of partitions with another epoch are left out; of `halted_ids` cancels alone are taken
    up. `started`: customers whose trade got its turn now.
    """
    holding = await Partitions(connection).hold(sorted(epochs))
    named = sorted({each for each in customer_ids if partition_of(each) in epochs})
    locking = await Customers(connection).lock_known(named)
    held, heads = await holding.read(), await locking.read()
    lost = sorted(partition for partition, epoch in epochs.items() if held.get(partition) != epoch)
    led = epochs.keys() - set(lost)
    locked = [each for each in heads if partition_of(each) in led]
    free = [each for each in locked if each not in halted_ids]
    claiming = await Queue(connection).claim(free, epochs)
    requesting = await Requests(connection).claim(locked, epochs, most=_MOST_REQUESTS)
    claimed, requested = await claiming.read(), await requesting.read()
    if not claimed and not requested:
        return Claims([], [], [], lost, [])
    trades = await _trades(connection, [trade for _, trade in claimed], requested)
    journal = Journal(trades, heads, at=clock.now())
    for each, _ in claimed:
        journal.start(each.trade_id)
    await keep(connection, journal)
    of_requests = [(each, journal.trades[each.claimed.trade_id]) for each in requested]
    return Claims(
        [(each, journal.trades[each.trade_id]) for each, _ in claimed],
        [(each, trade) for each, trade in of_requests if not each.is_replace],
        [
            (each.claimed, trade)
            for each, trade in of_requests
            if each.is_replace and trade.is_to_be_replaced and trade.customer_id not in halted_ids
        ],
        lost,
        [event.trade.customer_id for event in journal.events],
    )


async def _trades(
    connection: psycopg.AsyncConnection,
    claimed: Sequence[Trade],
    requested: Sequence[Requested],
) -> dict[str, Trade]:
    """All trades taken up, by id: those that were claimed, and those something is asked for."""
    trades = {each.trade_id: each for each in await History(connection).trades(claimed)}
    missing = {each.claimed.trade_id for each in requested} - trades.keys()
    if missing:
        trades |= await Trades(connection).by_ids(sorted(missing))
    return trades
