"""The supervisor, with stand-ins for the parts."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libs.clock import SystemClock
from libs.embedded import CannotRun
from services.house.parts import Part
from services.house.supervisor import Change, Supervisor
from tests.house.stand_in import DEAF, DIES, SLOW, StandIn
from tests.support.wait import until

Told = list[tuple[str, Change]]


class HastyClock(SystemClock):
    """Remembers how long it was to sleep, and sleeps shortly."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(min(seconds, 0.02))


class Desk:
    """A supervisor and what it told."""

    def __init__(self, *stages: list[StandIn], start_seconds: float = 10.0) -> None:
        self.told: Told = []
        self.words: list[str] = []
        self.clock = HastyClock()
        self.supervisor = Supervisor(
            [list(stage) for stage in stages],
            report=self._report,
            clock=self.clock,
            start_seconds=start_seconds,
            stop_seconds=0.5,
        )

    def has_told(self, *expected: tuple[str, Change]) -> Callable[[], bool]:
        """Whether all of `expected` were told, for `until`."""
        return lambda: all(self.told.count(one) >= expected.count(one) for one in expected)

    def _report(self, part: Part, change: Change, seconds: float, words: str) -> None:
        self.told.append((part.name, change))
        self.words.append(words)


@asynccontextmanager
async def _running(*stages: list[StandIn]) -> AsyncIterator[Desk]:
    desk = Desk(*stages)
    try:
        await desk.supervisor.start()
        yield desk
    finally:
        await desk.supervisor.stop()


async def test_a_stage_starts_when_the_one_before_it_is_ready(tmp_path: Path) -> None:
    database, cache = StandIn("database", tmp_path), StandIn("cache", tmp_path)
    service = StandIn("service", tmp_path)
    async with _running([database, cache], [service]) as desk:
        before = desk.told[: desk.told.index(("service", Change.STARTING))]
        assert {("database", Change.READY), ("cache", Change.READY)} <= set(before)
        assert desk.told[-1] == ("service", Change.READY)


async def test_what_is_killed_is_brought_back(tmp_path: Path) -> None:
    service = StandIn("service", tmp_path)
    async with _running([service]) as desk:
        first = service.child.pid
        service.child.send(signal.SIGKILL)
        await until(desk.has_told(("service", Change.READY), ("service", Change.READY)))
        assert ("service", Change.DIED) in desk.told
        assert service.child.is_running
        assert service.child.pid != first


async def test_what_keeps_dying_is_tried_again_at_growing_intervals(tmp_path: Path) -> None:
    service = StandIn("service", tmp_path)
    async with _running([service]) as desk:
        service.is_hindered = True
        service.child.send(signal.SIGKILL)
        hindered = ("service", Change.CANNOT_START)
        await until(desk.has_told(*[hindered] * 8))
        pauses = [pause for pause in desk.clock.slept if pause >= 0.1]
        assert pauses[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
        service.is_hindered = False
        await until(service.is_ready)


async def test_what_cannot_be_spawned_is_tried_again_until_it_can(tmp_path: Path) -> None:
    service = StandIn("service", tmp_path)
    async with _running([service]) as desk:
        service.cannot_be_spawned = True
        service.child.send(signal.SIGKILL)
        await until(desk.has_told(*[("service", Change.CANNOT_START)] * 2))
        assert "No space left on device" in desk.words[-1]
        service.cannot_be_spawned = False
        await until(desk.has_told(*[("service", Change.READY)] * 2))


async def test_a_part_that_cannot_run_here_ends_the_start_with_its_last_words(
    tmp_path: Path,
) -> None:
    good, bad = StandIn("good", tmp_path), StandIn("bad", tmp_path, misdeed=DIES)
    with pytest.raises(CannotRun, match=r"bad ended with status 1 .*(?s:.*)full of eels"):
        async with _running([good, bad]):
            pass
    assert not good.child.is_running


async def test_a_part_that_does_not_get_ready_ends_the_start(tmp_path: Path) -> None:
    slow = StandIn("slow", tmp_path, misdeed=SLOW)
    desk = Desk([slow], start_seconds=0.3)
    with pytest.raises(CannotRun, match="slow was not ready within"):
        await desk.supervisor.start()
    await desk.supervisor.stop()
    assert not slow.child.is_running


async def test_the_last_stage_ends_first_and_what_is_deaf_is_killed(tmp_path: Path) -> None:
    database, service = StandIn("database", tmp_path), StandIn("service", tmp_path, misdeed=DEAF)
    async with _running([database], [service]) as desk:
        pass
    stopped = [name for name, change in desk.told if change is Change.STOPPED]
    assert stopped == ["service", "database"]
    assert (service.child.returncode, database.child.returncode) == (-9, -15)


async def test_nothing_is_brought_back_while_stopping(tmp_path: Path) -> None:
    parts = [StandIn(f"part{number}", tmp_path) for number in range(3)]
    async with _running(parts) as desk:
        for part in parts:
            part.child.send(signal.SIGKILL)
    assert not any(part.child.is_running for part in parts)
    assert [change for _, change in desk.told].count(Change.STARTING) <= 6


async def test_a_start_given_up_halfway_leaves_nothing(tmp_path: Path) -> None:
    ready, slow = StandIn("ready", tmp_path), StandIn("slow", tmp_path, misdeed=SLOW)
    desk = Desk([ready, slow])
    starting = asyncio.create_task(desk.supervisor.start())
    await until(desk.has_told(("ready", Change.READY)))
    starting.cancel()
    await asyncio.wait({starting})
    await desk.supervisor.stop()
    assert not ready.child.is_running
    assert not slow.child.is_running
