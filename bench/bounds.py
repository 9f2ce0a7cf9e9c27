"""What no order of a house can be faster than here: its rows alone, and its nudges alone.

The house's own rate, at the batch door just before, is told as a share of both.
"""

import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from msgspec.structs import replace
from rich.progress import Progress

from bench import jetstream, rows
from bench.desk import Desk
from bench.premises import a_server
from bench.report import Row
from bench.scale import Scale
from bench.shared import Shared
from libs.embedded import Nats


async def rounds(
    shared: Shared, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of the one round."""
    task = progress.add_task("a house that trades", total=3)
    rate, each = await _traded(shared.desk, scale)
    progress.update(task, advance=1, description=rows.name_of())
    with a_server() as postgres:
        by_rows = await rows.row(postgres, each, scale.seconds)
    progress.update(task, advance=1, description="JetStream")
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
