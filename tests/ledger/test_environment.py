"""Where something around a ledger is not as it must be, it says that it is not ready."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import psycopg
import pytest
from msgspec.structs import replace
from psycopg import sql

from services.ledger.main import Settings, house
from services.ledger.service import LEDGER, PORTFOLIO
from stockbroker.ledger.v1 import statement_pb2
from tests.ledger.cluster import is_serving
from tests.ledger.desk import Desk, new_id
from tests.ledger.test_access import refusal
from tests.support.keys import Keys, bearer
from tests.support.wait import until

UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
END_ALL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
READERS_WAIT = """
    SELECT FROM pg_stat_activity
    WHERE application_name = 'ledger-read' AND wait_event_type = 'Lock'
        AND datname = current_database()
"""


@pytest.fixture
async def superuser(superuser_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(superuser_url, autocommit=True) as connection:
        yield connection


async def set_read_only(superuser: psycopg.AsyncConnection, value: str) -> None:
    """As a server is that another has taken over from."""
    name = sql.Identifier(superuser.info.dbname)
    statement = sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}")
    await superuser.execute(statement.format(name, sql.SQL(value)))
    await superuser.execute(END_ALL)


async def test_a_database_that_may_only_be_read_is_waited_for(
    desk: Desk, superuser: psycopg.AsyncConnection
) -> None:
    deposit = new_id()
    await desk.deposit(5)
    await set_read_only(superuser, "on")

    async def is_told() -> bool:
        return not await desk.is_ready(LEDGER) and await desk.is_ready(PORTFOLIO)

    await until(is_told)
    assert await refusal(desk.deposit(7, deposit=deposit)) == UNAVAILABLE
    assert await desk.cash_of() == (5, 0)

    await set_read_only(superuser, "off")
    await until(lambda: desk.is_ready(LEDGER))
    await desk.deposit(7, deposit=deposit)
    assert await desk.cash_of() == (12, 0)
    await desk.assert_books_balance()


async def test_a_ledger_older_than_its_tables_serves_nobody(
    settings: Settings, postgres_url: str, keys: Keys, superuser: psycopg.AsyncConnection
) -> None:
    async with house(settings) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(5)
    await superuser.execute("INSERT INTO schema_migration VALUES ('0999_from_the_future.sql', '')")
    async with house(settings) as rpc:
        desk = Desk(rpc.address, postgres_url, keys, waits_for="liveness")
        async with desk:
            assert await refusal(desk.deposit(7)) == UNAVAILABLE
            assert (await refusal(desk.cash_of()))[0] == grpc.StatusCode.UNAVAILABLE
            for service in ("", LEDGER, PORTFOLIO):
                assert not await is_serving(rpc.address, service)


async def test_readers_who_take_all_their_connections_do_not_stop_who_trades(
    settings: Settings, postgres_url: str, keys: Keys, superuser: psycopg.AsyncConnection
) -> None:
    here = replace(settings, read_connections=1)
    async with house(here) as rpc, Desk(rpc.address, postgres_url, keys) as desk:
        await desk.deposit(5)
        async with superuser.transaction():
            await superuser.execute("LOCK TABLE checkpoint")  # which no trade has to do with
            request = statement_pb2.GetStatementRequest(asset="USD")
            slow = desk.portfolio.GetStatement(request, metadata=bearer(keys.customer("alice")))
            reading = asyncio.ensure_future(slow.read())
            await until(lambda: desk.rows(READERS_WAIT))
            for _ in range(2):  # so long that who asks for a connection gives up
                assert await refusal(desk.cash_of()) == UNAVAILABLE
            assert await desk.is_ready(LEDGER)
            await desk.deposit(7)
        await reading
        assert await desk.cash_of() == (12, 0)
