"""A house for all tests that change records by hand."""

from collections.abc import AsyncIterator

import pytest

from tests.reconciliation.scene import Scene
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
