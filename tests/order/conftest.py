"""The order service on real PostgreSQL and NATS, with a gateway that only lists instruments."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import psycopg
import pytest

from libs.embedded import Postgres
from services.order.database import MIGRATIONS
from services.order.main import Settings, house
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1 import market_pb2
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceServicer,
    add_ExchangeGatewayServiceServicer_to_server,
)
from stockbroker.ledger.v1 import posting_pb2
from stockbroker.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    add_LedgerServiceServicer_to_server,
)
from tests.order.client import Order
from tests.order.months import make_months
from tests.support.keys import Keys
from tests.support.wait import until

MakeHouse = Callable[..., AbstractAsyncContextManager[Order]]


class ListingGateway(ExchangeGatewayServiceServicer):
    """Lists `symbols`, tells `last_prices` and a `book`; nothing else is needed here."""

    def __init__(self) -> None:
        self.symbols = {"AAPL": True, "MSFT": True, "BRK.B": True, "HALT": False}
        self.asked = 0
        self.last_prices: dict[str, int] = {}
        self.best: dict[str, tuple[int, int]] = {}
        self.asked_for_prices = 0
        self.book = market_pb2.GetBookResponse()
        self.is_away = False

    async def ListInstruments(
        self, request: gateway_pb.ListInstrumentsRequest, context: Any
    ) -> gateway_pb.ListInstrumentsResponse:
        self.asked += 1
        return gateway_pb.ListInstrumentsResponse(
            instruments=[
                gateway_pb.Instrument(symbol=symbol, name=symbol, is_tradable=is_tradable)
                for symbol, is_tradable in sorted(self.symbols.items())
            ]
        )

    async def ListQuotes(
        self, request: market_pb2.ListQuotesRequest, context: Any
    ) -> market_pb2.ListQuotesResponse:
        self.asked_for_prices += 1
        await self._answer(context)
        return market_pb2.ListQuotesResponse(
            quotes=[self._quote(symbol) for symbol in self.symbols]
        )

    def _quote(self, symbol: str) -> market_pb2.Quote:
        quote = market_pb2.Quote(symbol=symbol, last_price_micros=self.last_prices.get(symbol, 0))
        if symbol in self.best:
            quote.bid.price_micros, quote.ask.price_micros = self.best[symbol]
        return quote

    async def GetBook(
        self, request: market_pb2.GetBookRequest, context: Any
    ) -> market_pb2.GetBookResponse:
        await self._answer(context)
        return self.book

    async def _answer(self, context: Any) -> None:
        if self.is_away:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the exchange does not answer")


class SmallLedger(LedgerServiceServicer):
    """Says what is available by account and asset; those it was not told of have nothing."""

    def __init__(self) -> None:
        self.available: dict[tuple[str, str], int] = {}
        self.state = "open"

    async def GetBalance(
        self, request: posting_pb2.GetBalanceRequest, context: Any
    ) -> posting_pb2.GetBalanceResponse:
        available = self.available.get((request.account, request.asset), 0)
        return posting_pb2.GetBalanceResponse(available=available, state=self.state)


@pytest.fixture
async def ledger() -> AsyncIterator[tuple[SmallLedger, str]]:
    """The small ledger and its address."""
    server, servicer = grpc.aio.server(), SmallLedger()
    add_LedgerServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def gateway() -> AsyncIterator[tuple[ListingGateway, str]]:
    """The listing gateway and its address."""
    server, servicer = grpc.aio.server(), ListingGateway()
    add_ExchangeGatewayServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
def postgres_url(new_database: Callable[..., str]) -> str:
    """A fresh database with the tables of an order service, and nothing in them."""
    return new_database(MIGRATIONS)


@pytest.fixture
def make_house(
    postgres_url: str,
    nats_url: str,
    keys: Keys,
    gateway: tuple[ListingGateway, str],
    ledger: tuple[SmallLedger, str],
    request: pytest.FixtureRequest,
) -> MakeHouse:
    """Runs an order service on this test's database; several at once are several processes."""
    name = f"t{abs(hash(postgres_url)):x}"
    defaults = {
        "database_url": postgres_url,
        "nats_url": nats_url,
        "jwks_file": keys.jwks_file,
        "service_token_file": keys.token_file("order"),
        "gateway_address": gateway[1],
        "ledger_address": ledger[1],
        "quotes_refresh_seconds": 0.05,
        "nudge_stream": name.upper(),
        "nudge_prefix": name,
        "heartbeat_seconds": 0.2,
        "longest_wait_ms": 60_000,  # however slow the machine
    }

    @asynccontextmanager
    async def make(*, is_ready: bool = True, **changes: Any) -> AsyncIterator[Order]:
        async with AsyncExitStack() as stack:
            channels = await stack.enter_async_context(AsyncExitStack())  # closed last
            rpc = await stack.enter_async_context(house(Settings(**{**defaults, **changes})))
            channel = grpc.aio.insecure_channel(
                rpc.address, options=[("grpc.use_local_subchannel_pool", 1)]
            )
            await channels.enter_async_context(channel)
            order = Order(channel, keys)
            if is_ready:
                await until(order.is_ready, what="the order service is ready")
            yield order

    return make


@pytest.fixture
async def order(make_house: MakeHouse) -> AsyncIterator[Order]:
    """One order service."""
    async with make_house() as client:
        yield client


@pytest.fixture
async def terminate(postgres: Postgres, postgres_url: str) -> AsyncIterator[Callable[[], Any]]:
    """Cuts connections that change trades, as a crash of PostgreSQL would; says how many."""
    async with await psycopg.AsyncConnection.connect(
        postgres.url("postgres"), autocommit=True
    ) as connection:

        async def look() -> int:
            cursor = await connection.execute(
                b"""
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = %s AND application_name LIKE 'order-%%'
                    AND application_name <> 'order-read' AND state <> 'idle'
                """,
                [postgres_url.rpartition("/")[2].partition("?")[0]],
            )
            row = await cursor.fetchone()
            return int(row[0]) if row else 0

        async def cut() -> int:
            found, looks = 0, 0
            while not found and looks < 50:  # a statement is over in a moment
                found, looks = await look(), looks + 1
            await asyncio.sleep(0.02)  # let some work be done between the cuts
            return found

        yield cut


@pytest.fixture
async def connection(order: Order, postgres_url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    """Beside the running service, with partitions for months to come."""
    async with await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as connection:
        await make_months(connection)
        yield connection
