"""A ledger of a test's own, spoken to over a real channel on a real database."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from libs.embedded import Postgres
from libs.proof.checkpoint import SigningKey
from services.ledger.main import MIGRATIONS, Settings, house
from tests.ledger.calendar import Calendar, calendar_of_ledgers
from tests.ledger.desk import Desk
from tests.ledger.past import At, Past, lived_by
from tests.support.keys import Keys


@pytest.fixture
def postgres_url(new_database: Callable[..., str]) -> str:
    """A fresh database with the tables of a ledger, and nothing in them."""
    return new_database(MIGRATIONS)


@pytest.fixture
def superuser_url(postgres: Postgres, postgres_url: str) -> str:
    """The ledger's database, entered by who may do anything."""
    return postgres.url(str(conninfo_to_dict(postgres_url)["dbname"]), "postgres")


@pytest.fixture
def settings(postgres_url: str, keys: Keys, tmp_path: Path) -> Settings:
    """What a ledger is told."""
    SigningKey.new().write(tmp_path / "ledger.pem", tmp_path / "ledger.pub")
    return Settings(
        database_url=postgres_url,
        jwks_file=keys.jwks_file,
        signing_key_file=str(tmp_path / "ledger.pem"),
    )


@pytest.fixture
async def desk(settings: Settings, postgres_url: str, keys: Keys) -> AsyncIterator[Desk]:
    """Callers of a ledger that has just been opened."""
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        yield desk


@pytest.fixture
def calendar() -> Iterator[Calendar]:
    """The ledger's; whoever asks for it does so before the ledger opens."""
    with calendar_of_ledgers() as calendar:
        yield calendar


@pytest.fixture
async def past(
    settings: Settings, postgres_url: str, keys: Keys, calendar: Calendar
) -> AsyncIterator[Past]:
    """Months in which a ledger traded."""
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        yield await lived_by(desk, calendar)


@pytest.fixture
async def archive(past: Past, postgres_url: str, tmp_path: Path) -> AsyncIterator[At]:
    """Who archives them."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        yield At(past, connection, tmp_path)
