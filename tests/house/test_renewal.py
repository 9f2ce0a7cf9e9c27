"""Services always have a token that is good, also when one could not be written for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

from libs.auth import Role, Verifier
from libs.clock import SystemClock
from libs.tasks import end
from services.house.folder import DataFolder
from services.house.ports import SERVICES
from services.house.renewal import renew_tokens
from tests.support.wait import until


class _Time(SystemClock):
    """A clock that goes on when the test says so, and by more while the machine sleeps."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._goes_on = asyncio.Condition()
        self._monotonic = 0.0

    def now(self) -> datetime:
        return super().now() + self._ahead

    async def go_on(self, passed: timedelta, *, asleep: timedelta = timedelta()) -> None:
        """Let time pass; of it the machine sleeps a part."""
        async with self._goes_on:
            self._ahead += passed + asleep
            self._monotonic += passed.total_seconds()
            self._goes_on.notify_all()

    async def sleep(self, seconds: float) -> None:
        ends = self._monotonic + seconds
        async with self._goes_on:
            await self._goes_on.wait_for(lambda: self._monotonic >= ends)


@asynccontextmanager
async def _renewing(folder: DataFolder, clock: _Time, told: list[str]) -> AsyncIterator[None]:
    folder.make_keys()
    renewal = asyncio.create_task(renew_tokens(folder, clock=clock, tell=told.append))
    await asyncio.sleep(0)  # it looks at the clock
    yield
    await end(renewal)


async def test_tokens_that_could_not_be_renewed_are_renewed_an_hour_later(tmp_path: Path) -> None:
    folder, clock, told = DataFolder(tmp_path), _Time(), list[str]()
    async with _renewing(folder, clock, told):
        in_the_way = folder.keys / "ledger.token.new"
        in_the_way.mkdir()
        await clock.go_on(timedelta(hours=1))
        await until(lambda: bool(told))
        assert "could not be renewed" in told[0]

        in_the_way.rmdir()
        await clock.go_on(timedelta(hours=1))
        await until(folder.token_file(SERVICES[-1]).exists)
        verifier = Verifier(folder.jwks_file)
        for service in SERVICES:
            caller = verifier.verify(folder.token_file(service).read_text())
            assert (caller.subject, caller.role) == (service, Role.SERVICE)


async def test_after_the_machine_slept_tokens_are_renewed_within_a_minute(tmp_path: Path) -> None:
    folder, clock = DataFolder(tmp_path), _Time()
    async with _renewing(folder, clock, []):
        await clock.go_on(timedelta(minutes=1), asleep=timedelta(days=3))
        await until(folder.token_file(SERVICES[-1]).exists)
