"""Whether a house stays as it is when it trades for long: the same load, window after window.

With a rate, trades come singly at that rate, and waits count from when each was due; without one,
the batch door is kept as busy as it will be. Each window is judged as every run is. After each it
is told what the databases have grown by for a trade, and how large the tables are that hold only
what is under way: these must not grow, and vacuum must keep up with what is dead in them.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack

import psycopg
from msgspec.structs import replace
from rich.progress import Progress

from bench.callers import Run
from bench.desk import Desk, Taken, a_desk
from bench.filling import sizes
from bench.premises import House, running_house
from bench.proving import prove
from bench.report import Row, waits
from bench.scale import Scale

_WINDOWS = 10
_LEAST_SECONDS = 1.0
# What is under way, by database; a row goes or is overwritten when a trade is over.
_PASSING = {
    "order": ("open_trade", "customer_head"),
    "exchange_gateway": ("unanswered_order",),
    "ledger": ("account",),
}
_SIZE = """
    SELECT pg_total_relation_size(relid), n_dead_tup, autovacuum_count
    FROM pg_stat_user_tables WHERE relname = %s
"""
_BYTES_OF_MB = 2**20


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of the one round; the house brings a server of its own."""
    task = progress.add_task("a house", total=1 + _WINDOWS)
    async with AsyncExitStack() as stack:
        house = stack.enter_context(running_house())
        desk = await stack.enter_async_context(a_desk(house, scale))
        progress.update(task, advance=1, description="customers")
        await desk.endow()
        await desk.warm_up()
        soak, rows = _Soak(desk, scale), list[Row]()
        for number in range(1, _WINDOWS + 1):
            progress.update(task, advance=1, description=f"window {number} of {_WINDOWS}")
            rows += await soak.window(f"window {number}")
        progress.update(task, description="a look at all of it")
        await prove(house)
        yield rows


class _Soak:
    """Each window is compared with the first."""

    def __init__(self, desk: Desk, scale: Scale) -> None:
        self._desk = desk
        self._seconds = max(_LEAST_SECONDS, 60 * scale.minutes / _WINDOWS)
        self._rate = scale.rate
        self._first: dict[str, float] = {}
        self._placed = 0

    async def window(self, name: str) -> list[Row]:
        """Its figures. Raises NotTrue."""
        before = await sizes(self._desk.house)
        taken = await self._desk.take(self._run)
        after = await sizes(self._desk.house)
        done = len(taken.filled)
        self._placed += done
        note = f"{self._placed:,} trades so far; {taken.run.refused:,} refused"
        note += f"; {taken.others:.0%} of the CPU taken was others'"
        grown = sum(after.values()) - sum(before.values())
        return [
            *self._compared(name, _figures(taken, note)),
            Row(name=f"{name}: disk for a trade", value=grown / done, unit="B", note="as it grew"),
            *self._compared(name, await _passing(self._desk.house)),
        ]

    async def _run(self) -> Run:
        doors = self._desk.doors
        if self._rate:
            return await doors.unary.paced(self._seconds, self._rate)
        return await doors.batches.run(self._seconds, self._desk.gate())

    def _compared(self, window: str, rows: list[Row]) -> list[Row]:
        found = []
        for row in rows:
            first = self._first.setdefault(row.name, row.value)
            ratio = row.value / first if first else None
            found.append(
                replace(row, name=f"{window}: {row.name}", floor="the first window", ratio=ratio)
            )
        return found


def _figures(taken: Taken, note: str) -> list[Row]:
    return [
        Row(name="trades", value=taken.rate, unit="1/s", note=note),
        Row(name="CPU for a trade", value=sum(taken.cpu_us.values()), unit="us"),
        *waits("answered", taken.run.ack_seconds, note="from when due"),
        *waits("filled", taken.fill_seconds, note="from when due"),
    ]


async def _passing(house: House) -> list[Row]:
    """The tables that hold only what is under way."""
    rows = []
    for database, tables in _PASSING.items():
        for table in tables:
            size, dead, vacuums = await _size(house.databases, database, table)
            note = f"with its indexes; {dead:,} dead rows; vacuumed {vacuums} times"
            rows.append(Row(name=table, value=size / _BYTES_OF_MB, unit="MB", note=note))
    return rows


async def _size(databases: Mapping[str, str], database: str, table: str) -> tuple[int, int, int]:
    async with await psycopg.AsyncConnection.connect(databases[database]) as connection:
        row = await (await connection.execute(_SIZE, [table])).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])
