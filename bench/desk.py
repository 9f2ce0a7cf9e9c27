"""What measures a house from end to end: places at its doors, waits until all is done, judges.

Everything is on this machine, the load too.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import msgspec
import psycopg

from bench.callers import BATCH, STREAMS, BatchDoor, Customers, Gate, Run, UnaryDoor
from bench.cash import endow
from bench.cpu import busy_seconds
from bench.firm import FirmDoor
from bench.judging import NotTrue, check_books, filled_at
from bench.premises import House
from bench.report import Row, waits
from bench.scale import Scale

CUSTOMERS = 4_000
_MOST_OPEN = 4_000
_LOOK_SECONDS = 0.2
_DRAIN_SECONDS = 120.0
_LOAD = "load"

Go = Callable[[], Awaitable[Run]]


class Taken(msgspec.Struct, frozen=True):
    """What became of a run that was found sound.

    `filled`: when each trade was, by the wall clock; `cpu_us`: of each process for a trade;
    `others`: the share of the CPU taken that was of others.
    """

    run: Run
    filled: dict[str, float]
    cpu_us: dict[str, float]
    others: float

    @property
    def rate(self) -> float:
        """Trades filled a second, until the last."""
        return len(self.filled) / (max(self.filled.values()) - self.run.began)

    @property
    def fill_seconds(self) -> list[float]:
        """From when due."""
        return [self.filled[trade_id] - due for trade_id, due in self.run.due.items()]


@asynccontextmanager
async def a_desk(
    house: House, scale: Scale, customers: Customers | None = None, *, is_outside: bool = False
) -> AsyncGenerator["Desk", None]:
    """What measures `house`, at the doors of its order processes; from outside: through Envoy.

    `customers`: who trade; None: new ones.
    """
    addresses = [house.public] if is_outside else list(house.orders.values())
    customers = customers or Customers(house.signing_key_file, CUSTOMERS)
    unary = UnaryDoor(addresses, customers, callers=scale.callers)
    batches = BatchDoor(addresses, customers)
    firm = FirmDoor(addresses[0], customers, callers=scale.callers)
    async with await psycopg.AsyncConnection.connect(
        house.databases["order"], autocommit=True
    ) as connection:
        yield Desk(house, scale, connection, Doors(customers, unary, batches, firm))
    for door in (unary, batches, firm):
        await door.close()


class Doors:
    """Both doors and who goes through them; `firm` places one by one through that of batches."""

    def __init__(
        self, customers: Customers, unary: UnaryDoor, batches: BatchDoor, firm: FirmDoor
    ) -> None:
        self.customers = customers
        self.unary = unary
        self.batches = batches
        self.firm = firm


class Desk:
    """Measures a house."""

    def __init__(
        self, house: House, scale: Scale, orders: psycopg.AsyncConnection, doors: Doors
    ) -> None:
        self.house = house
        self.doors = doors
        self._scale = scale
        self._orders = orders

    async def endow(self) -> None:
        """Cash for every customer."""
        await endow(self.house, self.doors.customers.ids)

    async def warm_up(self) -> None:
        """Through both doors, until every token was seen."""
        await self.doors.unary.greet()
        await self.doors.batches.run(1.0, self.gate())
        await self.drained()

    async def unary(self) -> list[Row]:
        """Many callers, a trade each."""
        door, scale = self.doors.unary, self._scale
        if scale.rate:
            go = lambda: door.paced(scale.seconds, scale.rate)  # noqa: E731
            return await self._measured("unary door", f"{scale.rate:,.0f}/s", go)
        go = lambda: door.run(scale.seconds, self.gate())  # noqa: E731
        return await self._measured("unary door", f"{scale.callers} callers x 1", go)

    async def batches(self) -> list[Row]:
        """A back-end with batches on streams."""
        door, scale = self.doors.batches, self._scale
        if scale.rate:
            go = lambda: door.paced(scale.seconds, scale.rate)  # noqa: E731
            return await self._measured("batch door", f"{scale.rate:,.0f}/s", go)
        go = lambda: door.run(scale.seconds, self.gate())  # noqa: E731
        return await self._measured("batch door", f"{STREAMS} streams, batches of {BATCH}", go)

    async def firm(self) -> list[Row]:
        """As many callers as at the unary door, with what libs/backend gives them."""
        go = lambda: self.doors.firm.run(self._scale.seconds, self.gate())  # noqa: E731
        note = f"{self._scale.callers} callers x 1, one stream"
        return await self._measured("libs/backend", note, go)

    async def take(self, go: Go) -> Taken:
        """Run a load until all it placed is done. Raises NotTrue."""
        busy, before = busy_seconds(), self.cpu()
        run = await go()
        await self.drained()
        took = {name: after - before[name] for name, after in self.cpu().items()}
        busy = busy_seconds() - busy
        filled = await filled_at(self.house.databases["order"], run)
        await check_books(self.house.databases["ledger"])
        each = {name: 1e6 * cpu / len(filled) for name, cpu in took.items()}
        return Taken(run, filled, each, max(0.0, 1 - sum(took.values()) / busy))

    def cpu(self) -> dict[str, float]:
        """Seconds of CPU that each process of the house, and the load, have taken so far."""
        return {**self.house.cpu_seconds(), _LOAD: time.process_time()}

    async def _measured(self, door: str, note: str, go: Go) -> list[Row]:
        """The rate, the waits, and what each process took. Raises NotTrue."""
        taken = await self.take(go)
        refused = f"{taken.run.refused:,} refused"
        return [
            Row(
                name=f"{door}: trades",
                value=taken.rate,
                unit="1/s",
                cpu_us=sum(taken.cpu_us.values()),
                note=f"{note}; {refused}; {taken.others:.0%} of the CPU taken was others'",
            ),
            *waits(f"{door}: answered", taken.run.ack_seconds, note="from when due"),
            *waits(f"{door}: filled", taken.fill_seconds, note="from when due"),
            *(
                Row(name=f"{door}: {name}", value=cost, unit="us", note="CPU per trade")
                for name, cost in sorted(taken.cpu_us.items(), key=lambda item: -item[1])
                if cost >= 1
            ),
        ]

    async def _open(self) -> int:
        cursor = await self._orders.execute("SELECT count(*) FROM open_trade")
        row = await cursor.fetchone()
        return int(row[0]) if row else 0

    async def drained(self, look_seconds: float = _LOOK_SECONDS) -> None:
        """Until no trade is open any more; how often to look. Raises NotTrue."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        while still := await self._open():
            if time.monotonic() > deadline:
                raise NotTrue(f"{still} trades are open {_DRAIN_SECONDS:.0f} s after the last")
            await asyncio.sleep(look_seconds)

    def gate(self) -> Gate:
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
