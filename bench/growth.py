"""Whether a trade costs more as customers and old trades become many.

One house is filled in steps. After each step the same is measured, and each figure is a ratio to
that of the house of the first step, which has few customers and no history:

- what a trade costs at the batch door, by the few customers of the first step and by anyone;
- how many rows and pages PostgreSQL looks at for a trade;
- a portfolio and the first page of the trades, each read alone;
- what the house costs while nothing happens.

Customers get their money by transfers in the ledger. Old trades are real ones, placed at the batch
door by anyone: each has its rows in every database, its hashes, and was compared.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
from msgspec.structs import replace
from rich.progress import Progress

from bench import filling
from bench.callers import BatchDoor, Customers
from bench.cash import endow
from bench.desk import Desk, a_desk
from bench.premises import House, a_folder, running_in
from bench.proving import books_hold
from bench.report import Row
from bench.scale import Scale
from stockbroker.ledger.v1.portfolio_service_pb2 import GetPortfolioRequest
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from stockbroker.order.v1.order_service_pb2 import ListTradesRequest
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

_LOOPS = 3  # of each cost; the median counts
_READS = 200
_IDLE_SECONDS = 5.0
_TIMEOUT_SECONDS = 60.0
_LEAST_US = 5.0  # of a process in a trade; less is not shown
_FEW, _MANY = 1_000, 100_000
_TARGET = "<= 1.3"
_BYTES_OF_MB = 2**20

Step = Callable[[str], None]


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of the one round; the house brings a server of its own."""
    task = progress.add_task("a house", total=None)

    def step(what: str) -> None:
        progress.update(task, description=what)

    with a_folder() as folder:
        started = time.perf_counter()
        async with AsyncExitStack() as stack:
            house = stack.enter_context(running_in(folder))
            first_start = time.perf_counter() - started
            few = Customers(house.signing_key_file, _FEW)
            desk = await stack.enter_async_context(a_desk(house, scale, few))
            rows = await Growth(desk, scale, step).measured()
        yield [*rows, *_starts(folder, first_start)]


class Growth:
    """Fills a house, and measures it after each step."""

    def __init__(self, desk: Desk, scale: Scale, step: Step) -> None:
        self._desk = desk
        self._house = desk.house
        self._scale = scale
        self._step = step
        self._first: dict[str, float] = {}  # figures of the first step, by what they are of

    async def measured(self) -> list[Row]:
        """Of every step. Raises NotTrue."""
        desk, house = self._desk, self._house
        self._step("customers")
        await desk.endow()
        await desk.warm_up()
        few = desk.doors.customers.ids
        rows = await self._figures(named(len(few), 0), desk.doors.batches)
        everyone, door = few, desk.doors.batches
        for count in sorted({min(_MANY, self._scale.customers), self._scale.customers}):
            self._step(f"{_short(count)} customers")
            crowd = Customers(house.signing_key_file, max(count, len(few)), with_token=0)
            await endow(house, crowd.ids[len(everyone) :])
            everyone, door = crowd.ids, BatchDoor([house.services["order"]], crowd)
            rows += await self._figures(named(len(everyone), 0), door)
        if self._scale.history:
            self._step(f"{_short(self._scale.history)} old trades")
            rows += await self._aged(len(everyone), door)
        self._step("a look at all of it")
        await books_hold(house)
        return rows

    async def _aged(self, customers: int, door: BatchDoor) -> list[Row]:
        """After old trades: the figures, and the bytes that each of them takes."""
        await filling.settle(self._house)
        before = await filling.sizes(self._house)
        done = await filling.trade(self._desk, door, self._scale.history)
        await filling.settle(self._house)
        after = await filling.sizes(self._house)
        taken = {name: (after[name] - before[name]) / done for name in before}
        sizes = {**taken, "all databases": sum(taken.values())}
        note = f"{done:,} trades, after VACUUM; tables and indexes"
        return [
            *await self._figures(named(customers, self._scale.history), door),
            *(
                Row(name=f"disk for a trade: {name}", value=size, unit="B", note=note)
                for name, size in sorted(sizes.items(), key=lambda item: -item[1])
                if size >= 1
            ),
        ]

    async def _figures(self, label: str, anyone: BatchDoor) -> list[Row]:
        """Of the house as it is now."""
        await filling.settle(self._house)
        self._step(f"{label}: trades")
        few = self._desk.doors.batches
        rows = await self._costs(label, f"by {_FEW:,}", few)
        if anyone is not few:
            rows += await self._costs(label, "by anyone", anyone)
        rows += await self._looked_at(label, anyone)
        await filling.settle(self._house)
        self._step(f"{label}: reads")
        rows += await self._reads(label)
        self._step(f"{label}: nothing")
        return [*rows, await self._idle(label)]

    async def _costs(self, label: str, who: str, door: BatchDoor) -> list[Row]:
        desk, seconds = self._desk, self._scale.seconds
        await desk.take(lambda: door.run(1.0, desk.gate()))  # what was filled meanwhile warms up
        taken = [
            await desk.take(lambda: door.run(seconds, desk.gate()))  # what is measured
            for _ in range(_LOOPS)
        ]
        note = f"median of {_LOOPS} loops; others took up to {max(t.others for t in taken):.0%}"
        costs = _medians([each.cpu_us for each in taken])
        total = statistics.median(sum(each.cpu_us.values()) for each in taken)
        rate = statistics.median(each.rate for each in taken)
        name, of = f"{label}: {who}", "CPU of a trade"
        return [
            self.against("trades", Row(name=f"{name}: trades", value=rate, unit="1/s", note=note)),
            self.against(
                "CPU", Row(name=f"{name}: CPU", value=total, unit="us", target=_TARGET, note=of)
            ),
            *(
                self.against(
                    process, Row(name=f"{name}: {process}", value=cost, unit="us", note=of)
                )
                for process, cost in sorted(costs.items(), key=lambda item: -item[1])
                if cost >= _LEAST_US
            ),
        ]

    async def _looked_at(self, label: str, door: BatchDoor) -> list[Row]:
        """By all there is: a plan that reads a whole table shows, whatever the machine does."""
        desk = self._desk
        before = await filling.read_so_far(self._house)
        run = await door.run(self._scale.seconds, desk.gate())
        await desk.drained()
        after = await filling.read_so_far(self._house)
        note = "looked at by PostgreSQL for a trade, by anyone"
        return [
            self.against(name, Row(name=f"{label}: {name}", value=count, unit="", note=note))
            for name in before
            if (count := (after[name] - before[name]) / len(run.due)) >= 1
        ]

    async def _reads(self, label: str) -> list[Row]:
        """One call after the other, each of somebody who has traded for long."""
        services, customers = self._house.services, self._desk.doors.customers
        async with (
            grpc.aio.insecure_channel(services["ledger"]) as ledger,
            grpc.aio.insecure_channel(services["order"]) as order,
        ):
            portfolio: Any = PortfolioServiceStub(ledger)
            trades: Any = OrderServiceStub(order)
            calls = {
                "GetPortfolio": (portfolio.GetPortfolio, GetPortfolioRequest()),
                "ListTrades": (trades.ListTrades, ListTradesRequest()),
            }
            rows = []
            for name, (method, request) in calls.items():
                took = []
                for _ in range(_READS):
                    began = time.perf_counter()
                    metadata = customers.anybody()
                    await method(request, metadata=metadata, timeout=_TIMEOUT_SECONDS)
                    took.append(1e3 * (time.perf_counter() - began))
                half = statistics.median(took)
                row = Row(name=f"{label}: {name}, p50", value=half, unit="ms", note="alone")
                rows.append(self.against(name, row))
        return rows

    async def _idle(self, label: str) -> Row:
        before = self._house.cpu_seconds()
        await asyncio.sleep(_IDLE_SECONDS)
        took = {name: now - before[name] for name, now in self._house.cpu_seconds().items()}
        each = {name: 1e3 * seconds / _IDLE_SECONDS for name, seconds in took.items()}
        most = sorted(each.items(), key=lambda item: -item[1])[:3]
        note = "CPU in a second; " + ", ".join(f"{name} {cost:.0f}" for name, cost in most)
        total = sum(each.values())
        return self.against(
            "nothing", Row(name=f"{label}: nothing", value=total, unit="ms", note=note)
        )

    def against(self, what: str, row: Row) -> Row:
        """With its ratio to the same figure of the first step."""
        first = self._first.setdefault(what, row.value)
        return replace(row, floor="the first", ratio=row.value / first if first else None)


def _starts(folder: Path, first: float) -> list[Row]:
    """How soon the house serves again with all that is in `folder`."""
    began = time.perf_counter()
    with running_in(folder) as house:
        again = time.perf_counter() - began
        assert isinstance(house, House)
    return [
        Row(name="start on an empty folder", value=first, unit="s"),
        Row(
            name="start with all of it",
            value=again,
            unit="s",
            floor="start on an empty folder",
            ratio=again / first,
            note="until all services take calls",
        ),
    ]


def _medians(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.median(one[name] for one in each) for name in each[0]}


def named(customers: int, history: int) -> str:
    """What a step is called."""
    return f"{_short(customers)} customers, {_short(history)} old trades"


def _short(count: int) -> str:
    """1,000,000 is 1M."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if count >= size and count % size == 0:
            return f"{count // size}{letter}"
    return f"{count:,}"
