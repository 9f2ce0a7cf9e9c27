"""What is done in one transaction about trades that fail again and again."""

from collections.abc import Sequence

import psycopg

from libs.clock import Clock
from services.order import refusals
from services.order.domain.parking import Action, Fault, Faulted, Instruction
from services.order.domain.trade import Trade
from services.order.store.customers import Customers
from services.order.store.parking import Parking
from services.order.store.queue import Partitions
from services.order.store.trades import Trades


async def record_faults(
    connection: psycopg.AsyncConnection, faults: Sequence[Fault], park_after: int, clock: Clock
) -> list[Faulted]:
    """Count them, if their epochs are the newest; those that counted, now or before."""
    partitions = sorted({fault.partition for fault in faults})
    held = await (await Partitions(connection).hold(partitions)).read()
    current = [fault for fault in faults if held.get(fault.partition) == fault.epoch]
    locking = await Customers(connection).lock_known([fault.customer_id for fault in current])
    known = await locking.read()
    counted = [fault for fault in current if fault.customer_id in known]
    if not counted:
        return []
    parking = Parking(connection)
    added = await parking.add_faults(counted, park_after=park_after, at=clock.now())
    if len(added) == len(counted):
        return added
    done = {each.customer_id for each in added}
    rest = [fault for fault in counted if fault.customer_id not in done]
    return added + await parking.find_faults(rest)


async def obey(
    connection: psycopg.AsyncConnection, instruction: Instruction, action: Action, clock: Clock
) -> Trade:
    """Do to a parked trade what an operator says; the trade as it stands.

    What was done to it last is not done again. Raises NotFound, or Refused when it is not parked.
    """
    await Customers(connection).lock_owners([instruction.trade_id])
    trade = (await Trades(connection).by_ids([instruction.trade_id])).get(instruction.trade_id)
    if trade is None:
        raise refusals.no_such_trade()
    parking = Parking(connection)
    if await parking.is_done(instruction, action):
        return trade
    do = parking.release if action is Action.RELEASE else parking.condemn
    if not await do(instruction, at=clock.now()):
        raise refusals.not_parked()
    return trade
