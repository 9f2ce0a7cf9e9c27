"""Customers who trade all the time, each with an app of their own."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from libs.auth import Signer
from libs.tasks import end
from services.chaos.domain.history import CASH, Order
from services.chaos.domain.wishes import SYMBOLS
from services.chaos.neighbours import Customer, Operator, insist
from services.chaos.record import Record
from services.chaos.trader import PatientTrader, Trader

ENDOWMENT = {CASH: 1_000_000_000_000, **dict.fromkeys(SYMBOLS, 10_000)}
_ENDOWING_AT_ONCE = 16
_ASKING_AT_ONCE = 8
_PATIENT = 2
_PATIENT_RATE = 1.0
# What is never answered is in doubt after five seconds.
_PATIENT_REST_SECONDS = 8.0


def names(seed: int, count: int) -> list[str]:
    """The customers of a drill."""
    return [f"c{seed}-{number}" for number in range(count)]


def patient_names(seed: int) -> list[str]:
    """Those beside them whose orders take their time by the exchange's scripts."""
    return [f"p{seed}-{number}" for number in range(_PATIENT)]


async def endow(operator: Operator, customers: Sequence[str]) -> None:
    """Give everybody cash and shares. Raises Refused."""
    gate = asyncio.Semaphore(_ENDOWING_AT_ONCE)

    async def give(customer: str, asset: str, amount: int) -> None:
        async with gate:
            await insist(lambda: operator.endow(customer, asset, amount))

    async with asyncio.TaskGroup() as group:
        for customer in customers:
            for asset, amount in ENDOWMENT.items():
                group.create_task(give(customer, asset, amount))


class Load:
    """All customers."""

    def __init__(self, traders: Sequence[Trader]) -> None:
        self.traders = traders
        self._trading: list[asyncio.Task[None]] = []

    def begin(self, *, seconds: float) -> None:
        """Everybody begins to trade, for so long; who is patient ends before the others."""
        self._trading = [asyncio.create_task(trader.trade()) for trader in self.traders]
        for trader in self.traders:
            if isinstance(trader, PatientTrader):
                rests_after = max(0.0, seconds - _PATIENT_REST_SECONDS)
                asyncio.get_running_loop().call_later(rests_after, trader.stop)

    async def stop(self, *, seconds: float) -> None:
        """Nothing new; wait until everything asked for is answered, so long at most."""
        for trader in self.traders:
            trader.stop()
        await asyncio.wait(self._trading, timeout=seconds)
        await self.end()

    async def end(self) -> None:
        """Nobody trades any more, answered or not."""
        await end(*self._trading)

    async def ask_again(self, rng: random.Random, *, count: int) -> None:
        """Some of all orders once more: each must be the trade it was."""
        gate = asyncio.Semaphore(_ASKING_AT_ONCE)

        async def ask(trader: Trader, order: Order) -> None:
            async with gate:
                await trader.place(order)

        placed = [(trader, order) for trader in self.traders for order in trader.orders]
        chosen = rng.sample(placed, min(count, len(placed)))
        await asyncio.gather(*(ask(trader, order) for trader, order in chosen))


@asynccontextmanager
async def trading(
    address: str, signer: Signer, record: Record, *, rate: float
) -> AsyncIterator[Load]:
    """Customers who watch already; `rate` is that of all together, orders per second."""
    each = rate / len(record.customers) / 1.8  # orders per decision, bursts included
    traders = [
        *(
            _trader(Trader, Customer(address, signer, name), record, each)
            for name in record.customers
        ),
        *(
            _trader(PatientTrader, Customer(address, signer, name), record, _PATIENT_RATE)
            for name in record.patient
        ),
    ]
    watching = [asyncio.create_task(trader.watch()) for trader in traders]
    load = Load(traders)
    try:
        yield load
    finally:
        await load.end()
        await end(*watching)
        for trader in traders:
            await trader.customer.door.channel.close()


def _trader(kind: type[Trader], customer: Customer, record: Record, rate: float) -> Trader:
    return kind(customer, record, random.Random(customer.name), rate=rate)
