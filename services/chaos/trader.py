"""Customers: what each asks for, insists on, and is told."""

import asyncio
import contextlib
import functools
import random

from services.chaos.domain.history import Event, Order
from services.chaos.domain.wishes import SYMBOLS, Wishes
from services.chaos.neighbours import Away, Customer, Refused, insist
from services.chaos.record import Record
from services.chaos.revising import Revising

_BURST = 5
_CHANCE_OF_CANCEL = 0.1
_CHANCE_OF_REPLACES = 0.4
_PAUSE_SECONDS = 0.1


class Trader:
    """One customer: places orders at `rate` per second until told to stop, and watches."""

    def __init__(
        self, customer: Customer, record: Record, rng: random.Random, *, rate: float
    ) -> None:
        self.customer = customer
        self.orders: list[Order] = []
        self._record = record
        self._rng = rng
        self._wishes = Wishes(rng, record.prices)
        self._revising = Revising(customer, record, self._wishes, rng)
        self._resting: dict[str, Order] = {}  # that may rest, by trade
        self._rate = rate
        self._seq = 0
        self._has_stopped = asyncio.Event()

    def stop(self) -> None:
        """Place nothing new; what was begun is brought to its answer."""
        self._has_stopped.set()

    async def trade(self) -> None:
        """Until stopped; replaces go on beside it."""
        async with asyncio.TaskGroup() as beside:
            while not await self._rests(self._rng.expovariate(self._rate)):
                trade_id = await self._place_some()
                if trade_id and self._rng.random() < _CHANCE_OF_CANCEL:
                    await self._cancel(trade_id)
                if self._rng.random() < _CHANCE_OF_REPLACES:
                    self._revise_some(beside)

    def _revise_some(self, beside: asyncio.TaskGroup) -> None:
        """One of the orders at rest in the market."""
        at_rest = [trade for trade in self._resting.items() if trade[1].symbol in SYMBOLS]
        if at_rest:
            beside.create_task(self._revising.revise(*self._rng.choice(at_rest)))

    async def _place_some(self) -> str:
        """One order, now and then a burst; the id of the last trade."""
        trade_id = ""
        for _ in range(self._rng.choice((1, 1, 1, 1, _BURST))):
            order = self._wishes.next_order(self.orders)
            self.orders.append(order)
            trade_id = await self.place(order)
            if order.may_rest and self._record.is_open(trade_id):
                self._resting[trade_id] = order
        return trade_id

    async def place(self, order: Order) -> str:
        """The trade's id, once it is answered; empty: it was refused.

        The same id makes it one trade, however often it is sent.
        """
        self._record.asked(self.customer.name, order)
        while True:
            try:
                trade_id = await self.customer.place(order)
            except Away as away:
                self._record.unanswered(str(away))
                await asyncio.sleep(_PAUSE_SECONDS)
            except Refused as refused:
                self._record.refused(self.customer.name, order.client_order_id, str(refused))
                return ""
            else:
                self._record.answered(self.customer.name, order.client_order_id, trade_id)
                return trade_id

    async def _cancel(self, trade_id: str) -> None:
        """Ask once: whether it was in time is told by its events."""
        with contextlib.suppress(Away, Refused):
            await self.customer.cancel(trade_id)

    async def cancel_resting(self) -> None:
        """Have all that rests until it is canceled canceled; insist on an answer."""
        for trade_id, order in tuple(self._resting.items()):
            if order.time_in_force == "GTC":
                with contextlib.suppress(Refused):
                    await insist(functools.partial(self.customer.cancel, trade_id))

    async def watch(self) -> None:
        """Every event, over any number of cut-offs."""
        while True:
            try:
                async for event in self.customer.watch(self._seq):
                    self._note(event)
            except (Away, Refused) as away:
                self._record.unanswered(f"WATCH {away}")
            await asyncio.sleep(_PAUSE_SECONDS)

    def _note(self, event: Event | None) -> None:
        if event is not None:
            self._seq = event.seq
            self._record.told(self.customer.name, event)
            if event.is_terminal:
                self._resting.pop(event.trade_id, None)

    async def _rests(self, seconds: float) -> bool:
        """Wait; whether it was told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._has_stopped.wait()
        except TimeoutError:
            return False
        return True


class PatientTrader(Trader):
    """Places what takes its time, each with an order that waits behind it, and waits for both."""

    async def trade(self) -> None:
        """Until stopped."""
        while not await self._rests(self._rng.expovariate(self._rate)):
            trade_ids = [await self._place_next() for _ in range(2)]
            while any(map(self._record.is_open, trade_ids)):
                if await self._rests(_PAUSE_SECONDS):
                    return

    async def _place_next(self) -> str:
        order = self._wishes.next_slow_order(self.orders)
        self.orders.append(order)
        return await self.place(order)
