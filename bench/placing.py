"""Placing alone: how many trades a second are recorded while the execution service stands still.

The process is stopped, so that nobody takes up what was placed; when it goes on, every trade must
be executed as in any other run. The unary door is compared with an echo of the same messages, the
batch door with the rows that it wrote, written by pgbench.
"""

import os
import signal
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import msgspec
from rich.progress import Progress

from bench import rows
from bench.callers import BatchDoor, Run, UnaryDoor
from bench.desk import Desk
from bench.echo import Echo
from bench.premises import House, a_server
from bench.report import Row, waits
from bench.scale import Scale
from bench.shared import Shared

_SHARE = 0.5  # of the time of other figures: all of it is executed afterwards
_WHAT = "a placement"


async def rounds(
    shared: Shared, scale: Scale, progress: Progress
) -> AsyncGenerator[list[Row], None]:
    """The rows of the one round."""
    task, desk = progress.add_task("an echo", total=4), shared.desk

    def step(what: str) -> None:
        progress.update(task, advance=1, description=what)

    async with Echo() as echo:
        floor = await echo.unary(scale)
    step("unary door")
    unary = await _placed(desk, desk.doors.unary, scale)
    step("batch door")
    batches = await _placed(desk, desk.doors.batches, scale)
    step(rows.name_of(_WHAT))
    with a_server() as postgres:
        by_rows = await rows.row(postgres, batches.each, scale.seconds, of=_WHAT, steps=1)
    yield [
        floor,
        by_rows,
        *_told("placing alone, unary door", unary, floor),
        *_told("placing alone, batch door", batches, by_rows),
    ]


class _Placed(msgspec.Struct, frozen=True):
    """Trades that were placed while nobody took them up, and executed afterwards.

    `each`: rows of one; `cpu_us`: of all processes, for one.
    """

    run: Run
    seconds: float
    cpu_us: float
    each: rows.Written


async def _placed(desk: Desk, door: UnaryDoor | BatchDoor, scale: Scale) -> _Placed:
    """Raises NotTrue."""
    found: list[_Placed] = []

    async def go() -> Run:
        with nobody_takes_up(desk.house):
            before = await rows.written(desk.house.databases)
            cpu = sum(desk.cpu().values())
            run = await door.run(scale.seconds * _SHARE, _free)
            seconds, cpu = time.time() - run.began, sum(desk.cpu().values()) - cpu
            after = await rows.written(desk.house.databases)
        placed = len(run.due)
        found.append(_Placed(run, seconds, 1e6 * cpu / placed, after.each(before, placed)))
        return run

    await desk.take(go)
    return found[0]


def _told(name: str, placed: _Placed, floor: Row) -> list[Row]:
    count = len(placed.run.due)
    rate = count / placed.seconds
    return [
        Row(
            name=name,
            value=rate,
            unit="1/s",
            floor=floor.name,
            ratio=rate / floor.value,
            cpu_us=placed.cpu_us,
            note=f"execution stands still; all {count:,} trades were executed afterwards",
        ),
        *waits(f"{name}: answered", placed.run.ack_seconds),
    ]


@contextmanager
def nobody_takes_up(house: House) -> Iterator[None]:
    """The execution service stands still."""
    os.kill(house.pids["execution"], signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(house.pids["execution"], signal.SIGCONT)


async def _free() -> None:
    """However many are open."""
