"""What no order of a house can be faster than here: its rows alone, and its nudges alone.

The house's own rate, at the batch door just before, is told as a share of both.
"""

import tempfile
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec.structs import replace
from rich.progress import Progress

from bench import jetstream, rows
from bench.desk import Desk, a_desk
from bench.premises import a_server, running_house
from bench.report import Row
from bench.scale import Scale
from libs.embedded import Nats


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other."""
    task = progress.add_task("a house", total=4 * scale.rounds)

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    for number in range(1, scale.rounds + 1):
        step(f"round {number}: a house that trades")
        async with AsyncExitStack() as stack:
            house = stack.enter_context(running_house())
            desk = await stack.enter_async_context(a_desk(house, scale))
            await desk.endow()
            await desk.warm_up()
            rate, each = await _traded(desk, scale)
        step(f"round {number}: {rows.NAME}")
        with a_server() as postgres:
            by_rows = await rows.row(postgres, each, scale.seconds)
        step(f"round {number}: JetStream")
        folder = tempfile.TemporaryDirectory(prefix="stockbroker-bench-")
        with folder as path, Nats(Path(path)) as nats:
            by_nudges = await jetstream.row(nats, scale.seconds)
        yield [
            by_rows,
            by_nudges,
            replace(rate, floor=by_rows.name, ratio=rate.value / by_rows.value),
        ]


async def _traded(desk: Desk, scale: Scale) -> tuple[Row, rows.Written]:
    """The rate at the batch door, and what a trade writes."""
    before = await rows.written(desk.house.databases)
    taken = await desk.take(lambda: desk.doors.batches.run(scale.seconds, desk.gate()))
    after = await rows.written(desk.house.databases)
    others = f"{taken.others:.0%} of the CPU taken was others'"
    rate = Row(name="batch door: trades", value=taken.rate, unit="1/s", note=others)
    return rate, after.each(before, len(taken.filled))
