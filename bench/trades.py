"""From end to end: trades placed over gRPC, held for, executed, posted and FILLED, a second."""

from collections.abc import AsyncGenerator, Sequence

from msgspec.structs import replace
from rich.progress import Progress

from bench.echo import UNARY, Echo
from bench.report import Row
from bench.scale import Scale
from bench.shared import Shared


async def rounds(
    shared: Shared, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other."""
    task, desk = progress.add_task("a house", total=5 * scale.rounds), shared.desk

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    async with Echo() as echo:
        for number in range(1, scale.rounds + 1):
            step(f"round {number}: {UNARY}")
            floors = [await echo.unary(scale), await echo.batches(scale)]
            step(f"round {number}: unary door")
            unary = await desk.unary()
            step(f"round {number}: batch door")
            batches = await desk.batches()
            step(f"round {number}: one by one through the batch door")
            firm = await desk.firm()
            step(f"round {number}: {UNARY} again")
            floors[0] = _mean(floors[0], await echo.unary(scale))
            yield [
                *floors,
                *_against(floors[0], unary),
                *_against(floors[1], batches),
                *_against(floors[0], firm),
            ]


def _mean(one: Row, other: Row) -> Row:
    return replace(one, value=(one.value + other.value) / 2)


def _against(floor: Row, rows: Sequence[Row]) -> list[Row]:
    """The first row, the rate, gets its ratio."""
    rate, *others = rows
    return [replace(rate, floor=floor.name, ratio=rate.value / floor.value), *others]
