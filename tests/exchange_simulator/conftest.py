"""An exchange of the test's own, on a real database and a real port, and members of it."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.exchange_simulator.database import MIGRATIONS
from services.exchange_simulator.main import Settings, house
from tests.exchange_simulator.member import Exchange, Member
from tests.support.keys import Keys


@pytest.fixture
def postgres_url(new_database: Callable[..., str]) -> str:
    """A fresh database with the tables of an exchange, and nothing in them."""
    return new_database(MIGRATIONS)


@pytest.fixture
def settings(postgres_url: str, keys: Keys) -> Callable[..., Settings]:
    """Settings on one database, so that an exchange can be started on it again."""

    def make(**changes: Any) -> Settings:
        calm: dict[str, Any] = {"market_moves_per_second": 0.0} | changes
        return Settings(database_url=postgres_url, jwks_file=keys.jwks_file, **calm)

    return make


@pytest.fixture
async def exchange(settings: Callable[..., Settings], keys: Keys) -> AsyncIterator[Exchange]:
    """A running exchange that moves only when traded on."""
    async with house(settings()) as rpc, Exchange(rpc.address, keys) as running:
        await running.ready()
        yield running


@pytest.fixture
async def member(exchange: Exchange) -> AsyncIterator[Member]:
    """A member that is logged on."""
    async with exchange.member() as logged_on:
        yield logged_on
