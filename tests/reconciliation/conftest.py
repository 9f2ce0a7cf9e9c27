"""A house for all tests that change records by hand."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.reconciliation.scene import Scene
from tests.support.house import House, running_house


@pytest.fixture(scope="session")
def watched_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose reconciliation is impatient: for tests of the group `reconciliation`."""
    folder = tmp_path_factory.mktemp("watched")
    with running_house(folder, INTERVAL_SECONDS="0.2", GRACE_SECONDS="0.6") as house:
        yield house


@pytest.fixture
async def watched(watched_house: House) -> AsyncIterator[Scene]:
    """The house and its operators."""
    scene = Scene(watched_house)
    yield scene
    await scene.channel.close()
