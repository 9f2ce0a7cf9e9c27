"""The ledger: how many operations a second it makes durable, how long a caller waits, its size."""

import asyncio
import statistics
import time
from collections.abc import AsyncGenerator
from functools import partial

import msgspec
from msgspec.structs import replace
from rich.progress import Progress

from bench.books import Calls, call, seed, writing
from bench.cpu import Cpu
from bench.doors import Doors
from bench.floors import NAME, PgBench
from bench.loads import Load, Loads
from bench.premises import a_server
from bench.report import Row, median
from bench.scale import Scale
from bench.size import measured as measured_size
from libs.embedded import Postgres
from services.ledger.writer import Writer

_CALLERS, _CALL_ITEMS = 4, 250
_MANY_CALLERS = 64
_IN_PROCESS = "writer in process"


class Asked(msgspec.Struct, frozen=True):
    """One figure of how many a second."""

    name: str
    load: Load
    target: str


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other."""
    with a_server() as postgres:
        async for rows in _on(postgres, scale, progress):
            yield rows


async def _on(
    postgres: Postgres, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    loads = Loads(scale.accounts)
    asked = [
        Asked("transfers, spread", loads.spread, ">= 2.0"),
        Asked("transfers, one hot account", loads.hot, ">= 2.5"),
        Asked("holds and posts, spread", loads.holds, ">= 2.0"),
        Asked("holds and posts, one hot account", loads.hot_holds, ">= 2.5"),
        Asked("holds and fills, spread", loads.fills, ""),
    ]
    task = progress.add_task("the books, and their size", total=scale.rounds * (len(asked) + 4))
    step = partial(progress.update, task, advance=1)
    pgbench, cpu = PgBench(postgres, accounts=scale.accounts), Cpu(postgres)
    _, url, size = await asyncio.gather(
        pgbench.prepare(), seed(postgres, "bench_ledger", scale.accounts), measured_size(postgres)
    )
    for number in range(1, scale.rounds + 1):
        step(description=f"round {number}: {NAME}")
        floors = [await pgbench.row(scale.seconds)]
        rows = []
        async with writing(url) as writer:
            for what in asked:
                step(description=f"round {number}: {what.name}")
                rows.append(await _rate(writer, what, scale.seconds, cpu))
            step(description=f"round {number}: {_MANY_CALLERS} callers")
            waits = await _waits(writer, loads.spread, scale.seconds)
        step(description=f"round {number}: through gRPC")
        async with Doors(url) as doors:
            rows.append(await doors.rate(scale))
        step(description=f"round {number}: {NAME} again")
        floors.append(await pgbench.row(scale.seconds))
        (floor,) = median([[row] for row in floors])  # of two: their mean
        rows = [replace(r, floor=NAME, ratio=r.value / floor.value) for r in rows]
        yield [floor, *rows, *waits, *size]


async def _run(
    writer: Writer, load: Load, *, callers: int, items: int, seconds: float
) -> tuple[Calls, float]:
    """What all callers got done together, and in how many seconds."""
    began = time.perf_counter()
    is_over = partial(_is_past, began + seconds)
    each = [call(writer, load, items, is_over=is_over) for _ in range(callers)]
    found = Calls()
    for calls in await asyncio.gather(*each):
        found.operations += calls.operations
        found.seconds += calls.seconds
    return found, time.perf_counter() - began


async def _rate(writer: Writer, asked: Asked, seconds: float, cpu: Cpu) -> Row:
    before = cpu.seconds()
    calls, took = await _run(
        writer, asked.load, callers=_CALLERS, items=_CALL_ITEMS, seconds=seconds
    )
    return Row(
        name=asked.name,
        value=calls.operations / took,
        unit="1/s",
        cpu_us=1e6 * (cpu.seconds() - before) / calls.operations,
        target=asked.target,
        note=f"{_IN_PROCESS}, {_CALLERS} callers x {_CALL_ITEMS}",
    )


async def _waits(writer: Writer, load: Load, seconds: float) -> list[Row]:
    """How long each of many callers waits for one operation."""
    calls, _ = await _run(writer, load, callers=_MANY_CALLERS, items=1, seconds=seconds)
    hundredths = statistics.quantiles(calls.seconds, n=100)
    note = f"{_IN_PROCESS}, {_MANY_CALLERS} callers x 1"
    return [
        Row(name="wait for a transfer, p50", value=hundredths[49] * 1e3, unit="ms", note=note),
        Row(
            name="wait for a transfer, p99",
            value=hundredths[98] * 1e3,
            unit="ms",
            target="<= 25",
            note=note,
        ),
    ]


def _is_past(moment: float) -> bool:
    return time.perf_counter() >= moment
