"""What a drill notes of a process that it killed is so: that it is back, or that it never came."""

import asyncio
import subprocess
from pathlib import Path

import msgspec
import pytest

from libs.clock import SystemClock
from services.chaos.domain.nemesis import Fault, Kind
from services.chaos.domain.verdict import Claim
from services.chaos.drill import Drill
from services.chaos.flood import Flood
from services.chaos.house import House, Told
from services.chaos.neighbours import Operator
from services.chaos.proxy import Ways
from services.chaos.record import Record
from tests.support.keys import Keys

KILL = Fault(0.0, Kind.KILL, "sleeper")


class Sleeper:
    """A house of one process, which nobody starts again but the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        """The process, and its id for all to read."""
        process = subprocess.Popen(["/bin/sleep", "1000"])
        pids = {"sleeper": process.pid}
        told = Told("", "127.0.0.1:9", "", "", {}, {}, {}, {}, "", pids, 0)
        fresh = self._folder / "house.json.new"
        fresh.write_bytes(msgspec.json.encode(told))
        fresh.replace(self._folder / "house.json")
        self.process = process
        return process

    def drill(self) -> Drill:
        """A drill of it, of little patience."""
        house = House(self._folder, self.process, Ways({}))
        signer = Keys(self._folder).signer
        return Drill(
            house,
            Operator("127.0.0.1:9", signer),
            flood=Flood(house.told, signer),
            record=Record(SystemClock(), [], []),
            patience_seconds=1.0,
        )


@pytest.fixture
def sleeper(tmp_path: Path) -> Sleeper:
    return Sleeper(tmp_path)


async def test_a_part_that_never_answers_again_is_not_back_and_is_a_breach(
    sleeper: Sleeper,
) -> None:
    drill = sleeper.drill()
    running = asyncio.create_task(drill.run([KILL], seconds=10))
    await asyncio.to_thread(sleeper.process.wait)
    await running

    (struck,) = drill.struck
    assert struck.back_at is None
    assert [(one.claim, one.subject) for one in await drill.away()] == [(Claim.STUCK, "sleeper")]


async def test_a_part_that_is_started_again_is_back(sleeper: Sleeper) -> None:
    drill = sleeper.drill()
    running = asyncio.create_task(drill.run([KILL], seconds=10))
    await asyncio.to_thread(sleeper.process.wait)
    again = sleeper.start()
    await running

    (struck,) = drill.struck
    assert struck.back_at is not None
    assert await drill.away() == []
    again.kill()
    again.wait()
