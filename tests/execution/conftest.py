"""A street of neighbours, an exchange, and workers to set on it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.execution.main import Settings
from services.execution.store import MIGRATIONS
from tests.execution.desk import Desk
from tests.execution.fakes import Street, street
from tests.support.keys import Keys
from tests.support.nats_server import NatsServer


@pytest.fixture
async def neighbours(keys: Keys) -> AsyncIterator[Street]:
    """Order, ledger and gateway, serving."""
    async with street(keys.jwks_file) as found:
        yield found


@pytest.fixture
def own_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A NATS server of this test alone; not started."""
    server = NatsServer(tmp_path / "own-nats")
    yield server
    server.kill()


@pytest.fixture
def postgres_url(new_database: Callable[..., str]) -> str:
    """A fresh database with the tables of workers, and nothing in them."""
    return new_database(MIGRATIONS)


@pytest.fixture
def new_settings(keys: Keys, neighbours: Street, postgres_url: str) -> Callable[..., Settings]:
    """Makes settings of a worker at the given NATS.

    Tests of one process share the stream, which costs a second to make, one after the other.
    """

    def make(nats_url: str, /, **more: object) -> Settings:
        terms: dict[str, object] = {
            "database_url": postgres_url,
            "nats_url": nats_url,
            "jwks_file": keys.jwks_file,
            "service_token_file": keys.token_file("execution"),
            "order_address": neighbours.addresses["order"],
            "ledger_address": neighbours.addresses["ledger"],
            "gateway_address": neighbours.addresses["gateway"],
            "nudge_stream": "EXECUTION-TESTS",
            "nudge_prefix": "execution-tests",
        }
        return Settings(**(terms | more))  # type: ignore[arg-type]  # names are those of Settings

    return make


@pytest.fixture
async def desk(
    keys: Keys, neighbours: Street, nats_url: str, new_settings: Callable[..., Settings]
) -> AsyncIterator[Desk]:
    """Sets workers on the neighbours, with the session's NATS."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Desk(keys, neighbours, nats_url, new_settings))


@pytest.fixture
async def own_desk(
    keys: Keys, neighbours: Street, own_nats: NatsServer, new_settings: Callable[..., Settings]
) -> AsyncIterator[Desk]:
    """The same with a NATS of this test alone, to be killed at will."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(Desk(keys, neighbours, own_nats.url, new_settings))
