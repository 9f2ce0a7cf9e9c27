"""A house as a whole: how soon it serves, what it needs, one trade alone, reads and streams.

The first suite of a house that is shared, so that its memory is that of a new one.
"""

from collections.abc import AsyncGenerator
from functools import partial

from msgspec.structs import replace
from rich.progress import Progress

from bench import flush, memory, reads, watching
from bench.desk import Desk
from bench.report import Row, waits
from bench.scale import Scale
from bench.shared import Shared

_SHARE = 0.5
_LOOK_SECONDS = 0.05  # whether it is done; about as long as it takes
_FLUSHING_SECONDS = 0.5


async def rounds(
    shared: Shared, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of the one round."""
    task, desk = progress.add_task("a house", total=4), shared.desk

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    step("one trade alone")
    rows = [*shared.first, *await _alone(desk, scale)]
    step("the rate")
    rate = (await desk.take(lambda: desk.doors.unary.run(scale.seconds, desk.gate()))).rate
    rows += memory.of_house(desk.house, "loaded")
    step("reads")
    rows += await _reads(desk, scale, rate)
    step("streams")
    yield [*rows, *await _streams(desk, scale)]


async def _alone(desk: Desk, scale: Scale) -> list[Row]:
    """One trade after the other, each placed when nothing else is there to do.

    What it waits for is compared with what the disk takes to keep a page, before and after.
    """
    done = partial(desk.drained, _LOOK_SECONDS)
    flushes = flush.waits(_FLUSHING_SECONDS)
    taken = await desk.take(lambda: desk.doors.unary.in_turn(scale.seconds, done))
    flushes += flush.waits(_FLUSHING_SECONDS)
    note = f"{len(taken.filled):,} trades, {taken.others:.0%} of the CPU taken was others'"
    floor = waits("the disk keeps 8 kB", flushes, note=f"fdatasync, {len(flushes):,} in turn")
    answered = waits("one trade alone: answered", taken.run.ack_seconds, note=note)
    filled = waits("one trade alone: filled", taken.fill_seconds, note=note)
    return [*floor, *_compared(answered, floor), *_compared(filled, floor)]


def _compared(rows: list[Row], floors: list[Row]) -> list[Row]:
    return [
        replace(row, floor=floor.name, ratio=row.value / floor.value)
        for row, floor in zip(rows, floors, strict=True)
    ]


async def _reads(desk: Desk, scale: Scale, rate: float) -> list[Row]:
    door, half = desk.doors.unary, rate * _SHARE
    note = f"while {half:,.0f} trades a second are placed"
    return await reads.while_trading(
        desk.house,
        desk.doors.customers,
        lambda: desk.take(lambda: door.paced(scale.seconds, half)),
        note,
    )


async def _streams(desk: Desk, scale: Scale) -> list[Row]:
    door = desk.doors.batches
    return await watching.while_trading(
        desk.house,
        desk.doors.customers,
        lambda: desk.take(lambda: door.run(scale.seconds, desk.gate())),
    )
