"""Rounds on a test's own database, and a house for all tests that change records by hand."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.postgres import migrate
from services.reconciliation.main import MIGRATIONS
from tests.reconciliation.scene import Scene
from tests.reconciliation.scripted import Desk, MakeDesk
from tests.support.groups import Groups
from tests.support.house import House, running_house


@pytest.fixture(scope="session")
def watched_house(tmp_path_factory: pytest.TempPathFactory, groups: Groups) -> House:
    """A house whose reconciliation is impatient: for tests of the group `reconciliation`."""
    folder = tmp_path_factory.mktemp("watched")
    house = running_house(folder, INTERVAL_SECONDS="0.2", GRACE_SECONDS="0.6")
    return groups.open("reconciliation", house)


@pytest.fixture
async def watched(watched_house: House) -> AsyncIterator[Scene]:
    """The house and its operators."""
    scene = Scene(watched_house)
    yield scene
    await scene.channel.close()


@pytest.fixture
async def make_desk(postgres_url: str) -> AsyncIterator[MakeDesk]:
    """Desks on this test's database."""
    await migrate(postgres_url, MIGRATIONS)
    desks: list[Desk] = []

    def make(**rhythm: Any) -> Desk:
        desks.append(Desk(postgres_url, **rhythm))
        return desks[-1]

    yield make
    for desk in desks:
        await desk.close()


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    """One that has run for longer than the grace, with one honest fill."""
    desk = make_desk()
    desk.everywhere("e-0")
    await desk.rounds_for(8)
    return desk
