"""A house as a whole: how soon it serves, what it needs, one trade alone, reads and streams."""

import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from functools import partial

from rich.progress import Progress

from bench import memory, reads, watching
from bench.desk import Desk, a_desk
from bench.premises import running_house
from bench.report import Row, waits
from bench.scale import Scale

_SHARE = 0.5
_LOOK_SECONDS = 0.05  # whether it is done; about as long as it takes


async def rounds(scale: Scale, progress: Progress) -> AsyncGenerator[list[Row], None]:
    """The rows of one round after the other, each on a new house."""
    task = progress.add_task("a house", total=7 * scale.rounds)

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    for number in range(1, scale.rounds + 1):
        async with AsyncExitStack() as stack:
            began = time.perf_counter()
            house = stack.enter_context(running_house())
            started = time.perf_counter() - began
            rows = [Row(name="start", value=started, unit="s", note="empty folder to all serving")]
            rows += memory.of_house(house, "idle")
            desk = await stack.enter_async_context(a_desk(house, scale))
            step(f"round {number}: customers")
            await desk.endow()
            await desk.warm_up()
            step(f"round {number}: one trade alone")
            rows += await _alone(desk, scale)
            step(f"round {number}: the rate")
            rate = (await desk.take(lambda d=desk: d.doors.unary.run(scale.seconds, d.gate()))).rate  # type: ignore[misc]
            rows += memory.of_house(house, "loaded")
            step(f"round {number}: reads")
            rows += await _reads(desk, scale, rate)
            step(f"round {number}: streams")
            rows += await _streams(desk, scale)
            yield rows


async def _alone(desk: Desk, scale: Scale) -> list[Row]:
    """One trade after the other, each placed when nothing else is there to do."""
    done = partial(desk.drained, _LOOK_SECONDS)
    taken = await desk.take(lambda: desk.doors.unary.in_turn(scale.seconds, done))
    note = f"{len(taken.filled):,} trades, {taken.others:.0%} of the CPU taken was others'"
    return [
        *waits("one trade alone: answered", taken.run.ack_seconds, note=note),
        *waits("one trade alone: filled", taken.fill_seconds, note=note),
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
