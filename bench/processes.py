"""Whether a house trades faster when its order and execution services have more processes.

A house for each count, from one process each to as many as there are processors, and the same
load, at the doors of all order processes. The ledger, the exchange gateway and the simulator
have one process each: what they write has one writer.
"""

import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

from msgspec.structs import replace
from rich.progress import Progress

from bench.desk import a_desk
from bench.premises import running_house
from bench.proving import prove
from bench.report import Row
from bench.scale import Scale

_MOST = 8


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other."""
    counts = _counts(os.cpu_count() or 1)
    task = progress.add_task("a house", total=len(counts) * scale.rounds)
    for number in range(1, scale.rounds + 1):
        first, rows = list[Row](), list[Row]()
        for count in counts:
            progress.update(task, description=f"round {number}: {_name(count)}", advance=1)
            found = await _traded(scale, count)
            first = first or found
            rows += [_against(own, row, count) for own, row in zip(first, found, strict=True)]
        yield rows


async def _traded(scale: Scale, count: int) -> list[Row]:
    """Rates at both doors. Raises NotTrue."""
    many = str(count)
    async with AsyncExitStack() as stack:
        house = stack.enter_context(running_house(ORDER_PROCESSES=many, EXECUTION_WORKERS=many))
        desk = await stack.enter_async_context(a_desk(house, scale))
        await desk.endow()
        await desk.warm_up()
        rows = [(await desk.unary())[0], (await desk.batches())[0]]
        await prove(house)
        return rows


def _against(own: Row, row: Row, count: int) -> Row:
    """`own`: of the same door of the first house."""
    name = f"{_name(count)}: {row.name}"
    return replace(row, name=name, floor=_name(1), ratio=row.value / own.value)


def _counts(processors: int) -> list[int]:
    """1, 2, 4, ... up to as many as there are processors.

    >>> _counts(2), _counts(6)
    ([1, 2], [1, 2, 4])
    """
    return [count for count in (1, 2, 4, _MOST) if count <= max(2, processors)]


def _name(count: int) -> str:
    return "1 process each" if count == 1 else f"{count} processes each"
