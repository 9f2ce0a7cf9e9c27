"""From end to end: how many trades a second are placed over gRPC, held, executed, posted, FILLED.

Everything is on this machine, the load too. The doors are those of the order service: Envoy, which
stands before them in a house, is not in the way.
"""

import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
import psycopg
from msgspec.structs import replace
from rich.progress import Progress

from bench.callers import BATCH, STREAMS, BatchDoor, Customers, Gate, Run, UnaryDoor
from bench.cpu import busy_seconds
from bench.echo import UNARY, Echo
from bench.judging import check_books, filled_at
from bench.premises import House, running_house
from bench.report import Row
from bench.scale import Scale
from libs.auth import Role, Signer
from libs.embedded import Postgres
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

_CUSTOMERS = 4_000
_CASH_MICROS = 10**13
_MOST_OPEN = 4_000
_LOOK_SECONDS = 0.2
_DRAIN_SECONDS = 120.0
_AT_ONCE = 256
_LOAD = "load"

Go = Callable[[], Awaitable[Run]]


async def rounds(
    _postgres: Postgres, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other; the house brings a server of its own."""
    task = progress.add_task("a house", total=2 + 4 * scale.rounds)

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    async with AsyncExitStack() as stack:
        house = stack.enter_context(running_house())
        desk = await stack.enter_async_context(a_desk(house, scale))
        step("customers")
        await desk.endow()
        await desk.warm_up()
        async with Echo() as echo:
            for number in range(1, scale.rounds + 1):
                step(f"round {number}: {UNARY}")
                floors = [await echo.unary(scale), await echo.batches(scale)]
                step(f"round {number}: unary door")
                unary = await desk.unary()
                step(f"round {number}: batch door")
                batches = await desk.batches()
                step(f"round {number}: {UNARY} again")
                floors[0] = _mean(floors[0], await echo.unary(scale))
                yield [*floors, *_against(floors[0], unary), *_against(floors[1], batches)]


def _mean(one: Row, other: Row) -> Row:
    return replace(one, value=(one.value + other.value) / 2)


def _against(floor: Row, rows: Sequence[Row]) -> list[Row]:
    """The first row, the rate, gets its ratio."""
    rate, *others = rows
    return [replace(rate, floor=floor.name, ratio=rate.value / floor.value), *others]


@asynccontextmanager
async def a_desk(house: House, scale: Scale) -> AsyncGenerator["Desk", None]:
    """What measures `house`, at its doors."""
    customers = Customers(house.signing_key_file, _CUSTOMERS)
    unary = UnaryDoor(house.services["order"], customers, callers=scale.callers)
    batches = BatchDoor(house.services["order"], customers)
    async with await psycopg.AsyncConnection.connect(
        house.databases["order"], autocommit=True
    ) as connection:
        yield Desk(house, scale, connection, Doors(customers, unary, batches))
    await unary.close()
    await batches.close()


class Doors:
    """Both doors and who goes through them."""

    def __init__(self, customers: Customers, unary: UnaryDoor, batches: BatchDoor) -> None:
        self.customers = customers
        self.unary = unary
        self.batches = batches


class Desk:
    """Measures a house."""

    def __init__(
        self, house: House, scale: Scale, orders: psycopg.AsyncConnection, doors: Doors
    ) -> None:
        self._house = house
        self._scale = scale
        self._orders = orders
        self._doors = doors

    async def endow(self) -> None:
        """Cash for every customer."""
        token = Signer(self._house.signing_key_file).mint("bench", Role.OPERATOR)
        metadata = (("authorization", f"Bearer {token}"),)
        left = iter(self._doors.customers.ids)
        async with grpc.aio.insecure_channel(self._house.services["ledger"]) as channel:
            ledger = LedgerServiceStub(channel)

            async def work() -> None:
                for customer in left:
                    request = ledger_pb.DepositRequest(
                        deposit_id=str(uuid.uuid4()),
                        customer_id=customer,
                        amount_micros=_CASH_MICROS,
                    )
                    await ledger.Deposit(request, metadata=metadata, timeout=_DRAIN_SECONDS)

            await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def warm_up(self) -> None:
        """Through both doors, until every token was seen."""
        await self._doors.unary.greet()
        await self._doors.batches.run(1.0, self._gate())
        await self._drained()

    async def unary(self) -> list[Row]:
        """Many callers, a trade each."""
        door, scale = self._doors.unary, self._scale
        if scale.rate:
            go = lambda: door.paced(scale.seconds, scale.rate)  # noqa: E731
            return await self._measured("unary door", f"{scale.rate:,.0f}/s", go)
        go = lambda: door.run(scale.seconds, self._gate())  # noqa: E731
        return await self._measured("unary door", f"{scale.callers} callers x 1", go)

    async def batches(self) -> list[Row]:
        """A back-end with batches on streams."""
        door, scale = self._doors.batches, self._scale
        if scale.rate:
            go = lambda: door.paced(scale.seconds, scale.rate)  # noqa: E731
            return await self._measured("batch door", f"{scale.rate:,.0f}/s", go)
        go = lambda: door.run(scale.seconds, self._gate())  # noqa: E731
        return await self._measured("batch door", f"{STREAMS} streams, batches of {BATCH}", go)

    async def _measured(self, door: str, note: str, go: Go) -> list[Row]:
        """The rate, the waits, and what each process took, checked. Raises NotTrue."""
        busy, before = busy_seconds(), self._cpu()
        run = await go()
        await self._drained()
        took = {name: after - before[name] for name, after in self._cpu().items()}
        busy = busy_seconds() - busy
        filled = await filled_at(self._house.databases["order"], run)
        await check_books(self._house.databases["ledger"])
        count, seconds = len(filled), max(filled.values()) - run.began
        each = {name: 1e6 * cpu / count for name, cpu in took.items()}
        waits = [filled[trade_id] - due for trade_id, due in run.due.items()]
        others = max(0.0, 1 - sum(took.values()) / busy)
        return [
            Row(
                name=f"{door}: trades",
                value=count / seconds,
                unit="1/s",
                cpu_us=sum(each.values()),
                note=f"{note}; {others:.0%} of the CPU taken was others'",
            ),
            *_waits(f"{door}: answered", run.ack_seconds),
            *_waits(f"{door}: filled", waits),
            *(
                Row(name=f"{door}: {name}", value=cost, unit="us", note="CPU per trade")
                for name, cost in sorted(each.items(), key=lambda item: -item[1])
                if cost >= 1
            ),
        ]

    def _cpu(self) -> dict[str, float]:
        return {**self._house.cpu_seconds(), _LOAD: time.process_time()}

    async def _open(self) -> int:
        cursor = await self._orders.execute("SELECT count(*) FROM open_trade")
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def _drained(self) -> None:
        """Until no trade is open any more."""
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await self._open():
                await asyncio.sleep(_LOOK_SECONDS)

    def _gate(self) -> Gate:
        """Lets through while not too many trades are open: looked at now and then."""
        looked_at, is_open = 0.0, asyncio.Event()
        looking: asyncio.Task[None] | None = None

        async def look() -> None:
            while await self._open() > _MOST_OPEN:
                await asyncio.sleep(_LOOK_SECONDS)
            is_open.set()

        async def gate() -> None:
            nonlocal looked_at, looking
            if time.monotonic() - looked_at > _LOOK_SECONDS and (looking is None or looking.done()):
                looked_at = time.monotonic()
                is_open.clear()
                looking = asyncio.create_task(look())
            await is_open.wait()

        return gate


def _waits(name: str, seconds: Sequence[float]) -> list[Row]:
    hundredths = statistics.quantiles(seconds, n=100)
    return [
        Row(name=f"{name}, {what}", value=hundredths[place] * 1e3, unit="ms", note="from when due")
        for what, place in (("p50", 49), ("p99", 98))
    ]
