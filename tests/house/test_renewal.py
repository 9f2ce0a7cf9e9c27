"""Services always have a token that is good, also when one could not be written for a while."""

import asyncio
from pathlib import Path

from libs.auth import Role, Verifier
from libs.clock import SystemClock
from services.house.folder import DataFolder
from services.house.ports import SERVICES
from services.house.renewal import renew_tokens
from tests.support.wait import until


class _Hours(SystemClock):
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        self.hour = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        await self.hour.acquire()


async def test_tokens_that_could_not_be_renewed_are_renewed_an_hour_later(tmp_path: Path) -> None:
    folder, clock, told = DataFolder(tmp_path), _Hours(), list[str]()
    folder.make_keys()
    in_the_way = folder.keys / "ledger.token.new"
    in_the_way.mkdir()
    renewal = asyncio.create_task(renew_tokens(folder, clock=clock, tell=told.append))
    clock.hour.release()
    await until(lambda: bool(told))
    assert "could not be renewed" in told[0]

    in_the_way.rmdir()
    clock.hour.release()
    await until(folder.token_file(SERVICES[-1]).exists)
    verifier = Verifier(folder.jwks_file)
    for service in SERVICES:
        caller = verifier.verify(folder.token_file(service).read_text())
        assert (caller.subject, caller.role) == (service, Role.SERVICE)
    renewal.cancel()
