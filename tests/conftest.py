"""What tests of every service share: keys, real PostgreSQL, real NATS.

Each pytest-xdist worker has servers of its own, on free ports, in a temporary folder.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from libs.embedded import Nats, Postgres, Tuning
from tests.support import room
from tests.support.databases import Databases
from tests.support.groups import Groups, together
from tests.support.house import House, running_house
from tests.support.keys import Keys

room.choose()
# The proxy by which packages are fetched is no way to what tests start.
os.environ.setdefault("no_grpc_proxy", "127.0.0.1")
_groups = Groups()

# A claim does not depend on how fast the machine is just now.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")


def pytest_xdist_auto_num_workers() -> int:
    """Of `-n auto`: one more than there are processors, for tests wait as much as they compute."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As xdist does: the tests of a group follow each other."""
    together(items)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What a group shares ends with the group."""
    _groups.leave(item, nextitem)


def pytest_sessionfinish() -> None:
    """Or else with the session."""
    _groups.close()


def pytest_collection_finish() -> None:
    """What is there before the first test is there to stay: the collector looks at it no more."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """Keys and tokens of this test alone."""
    folder = tmp_path / "keys"
    folder.mkdir()
    return Keys(folder)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL server for this worker's tests; do not stop it: others use it too."""
    tuning = Tuning(shared_buffers_mb=128, max_wal_size_mb=256, is_durable=False)
    with Postgres(tmp_path_factory.mktemp("postgres"), tuning=tuning) as server:
        yield server
        words = f"PostgreSQL ended by itself; its last words:\n{server.child.last_words()}"
        assert server.child.is_running, words


@pytest.fixture(scope="session")
def databases(postgres: Postgres) -> Iterator[Databases]:
    """Makes databases on it."""
    databases = Databases(postgres)
    yield databases
    databases.close()


@pytest.fixture
def new_database(databases: Databases) -> Iterator[Callable[..., str]]:
    """Makes fresh databases, and gives their URLs: empty ones, or with these migrations applied."""
    urls: list[str] = []

    def make(migrations: Path | None = None) -> str:
        urls.append(databases.make(migrations))
        return urls[-1]

    yield make
    # A connection whose making was cancelled is closed by the collector alone; until then the
    # server waits for its password, and DROP DATABASE for the server process that does.
    gc.collect()
    for url in urls:
        databases.drop(url)


@pytest.fixture
def postgres_url(new_database: Callable[..., str]) -> str:
    """A fresh empty database with its own role."""
    return new_database()


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nats]:
    """A NATS server with JetStream for this worker's tests; do not stop it."""
    with Nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
def nats_url(nats: Nats) -> str:
    """Where NATS answers. Others use it too: name streams and subjects uniquely."""
    return nats.url


@pytest.fixture(scope="session")
def groups() -> Groups:
    """Keeps what the tests of a group share, as long as the group lasts."""
    return _groups


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, groups: Groups) -> House:
    """A whole running house, for tests marked `xdist_group("house")`; name customers uniquely."""
    return groups.open("house", running_house(tmp_path_factory.mktemp("house")))
