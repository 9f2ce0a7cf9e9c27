"""A house for several suites: it starts, and its customers get money and are known, but once."""

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec

from bench import memory
from bench.cpu import Others
from bench.desk import Desk, a_desk
from bench.premises import running_house
from bench.report import Row
from bench.scale import Scale


class Shared(msgspec.Struct, frozen=True):
    """`first`: rows of its start, and of its memory before anybody came."""

    desk: Desk
    first: list[Row]


@asynccontextmanager
async def a_shared_house(scale: Scale) -> AsyncGenerator[Shared, None]:
    """On an empty folder; in the end stopped, and all of it gone. Raises CannotRun, NotTrue."""
    began, others = time.perf_counter(), Others()
    with running_house() as house:
        seconds = time.perf_counter() - began
        note = f"empty folder to all serving; {others.share():.0%} of the CPU taken was others'"
        start = Row(name="start", value=seconds, unit="s", note=note)
        first = [start, *memory.of_house(house, "idle")]
        async with a_desk(house, scale) as desk:
            await desk.endow()
            await desk.warm_up()
            yield Shared(desk, first)
