"""The gateway between a venue and an execution service that are doubles, over real channels."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import psycopg
import pytest
from psycopg import sql

from libs.clock import SystemClock
from libs.embedded import Postgres
from libs.ids import SystemIds
from libs.partition import partition_of
from libs.rpc import connect
from services.exchange_gateway.main import MIGRATIONS, Settings, house
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from tests.exchange_gateway.execution_double import ExecutionDouble
from tests.exchange_gateway.operators_desk import Desk
from tests.exchange_gateway.venue_double import VenueDouble
from tests.support.keys import Keys
from tests.support.wait import until

_ids = SystemIds(SystemClock())


def an_order(**fields: Any) -> pb.Order:
    """A market order for 100 AAPL of alice."""
    order = pb.Order(
        trade_id=_ids.new(),
        customer_id="alice",
        partition=partition_of("alice"),
        epoch=1,
        symbol="AAPL",
        side=terms.SIDE_BUY,
        quantity=100,
        order_type=terms.ORDER_TYPE_MARKET,
        time_in_force=terms.TIME_IN_FORCE_DAY,
        max_notional_micros=50_000_000_000,
    )
    order.MergeFrom(pb.Order(**fields))
    return order


class Gateway:
    """A gateway at work, seen from a neighbour."""

    def __init__(self, stub: Any, address: str = "") -> None:
        self.stub = stub
        self.address = address

    async def submit(self, *orders: pb.Order) -> Sequence[pb.SubmitResult]:
        """SubmitOrders."""
        response = await self.stub.SubmitOrders(pb.SubmitOrdersRequest(orders=orders), timeout=20)
        return list(response.results)

    async def session(self) -> pb.GetSessionResponse:
        """GetSession."""
        response: pb.GetSessionResponse = await self.stub.GetSession(
            pb.GetSessionRequest(), timeout=10
        )
        return response

    async def orders(self, *trade_ids: str) -> Sequence[pb.OrderStatus]:
        """GetOrders."""
        response = await self.stub.GetOrders(pb.GetOrdersRequest(trade_ids=trade_ids), timeout=10)
        return list(response.orders)

    async def listed(self) -> Any:
        """What can be traded; None: it cannot say just now."""
        try:
            return await self.stub.ListInstruments(pb.ListInstrumentsRequest(), timeout=5)
        except grpc.aio.AioRpcError:
            return None

    async def has_delivered_all(self) -> bool:
        """Whether no report waits for delivery."""
        return (await self.session()).unapplied_reports == 0

    async def is_connected(self) -> bool:
        """Whether it is logged on to the venue."""
        return (await self.session()).is_connected


class Scene:
    """A database, a venue and an execution service; gateways come and go."""

    def __init__(
        self,
        *,
        database_url: str,
        keys: Keys,
        venue: VenueDouble,
        execution: ExecutionDouble,
        server: Postgres,
    ) -> None:
        self.database_url = database_url
        self.venue = venue
        self.execution = execution
        self.keys = keys
        self._server = server

    def settings(self, **changes: Any) -> Settings:
        """As in production but impatient."""
        fields: dict[str, Any] = {
            "database_url": self.database_url,
            "jwks_file": self.keys.jwks_file,
            "service_token_file": self.keys.token_file("exchange_gateway"),
            "exchange_address": f"127.0.0.1:{self.venue.port}",
            "execution_address": f"127.0.0.1:{self.execution.port}",
            "query_after_seconds": 0.2,
            "gap_seconds": 0.1,
            "retry_most_seconds": 0.2,
            "later_most_seconds": 0.3,
        }
        return Settings(**(fields | changes))

    @asynccontextmanager
    async def gateway(self, **changes: Any) -> AsyncIterator[Gateway]:
        """A gateway that holds the session."""
        async with house(self.settings(**changes)) as rpc:
            channel = connect(rpc.address, self.keys.token_file("execution"))
            async with channel:
                gateway = Gateway(ExchangeGatewayServiceStub(channel), rpc.address)
                await until(lambda: is_serving(gateway))
                yield gateway

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What stands in the gateway's database."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()

    @contextlib.contextmanager
    def database_away(self) -> Any:
        """The database lets nobody in for a while."""
        name = str(psycopg.conninfo.conninfo_to_dict(self.database_url)["user"])
        role = sql.Identifier(name)
        with psycopg.connect(self._server.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
                [name],
            )
            try:
                yield
            finally:
                connection.execute(sql.SQL("ALTER ROLE {} LOGIN").format(role))


async def is_serving(gateway: Gateway) -> bool:
    """Whether it takes orders: an empty submit is answered."""
    try:
        await gateway.submit()
    except Exception:
        return False
    return True


@pytest.fixture
async def scene(
    postgres: Postgres, new_database: Callable[..., str], keys: Keys
) -> AsyncIterator[Scene]:
    """Everything around a gateway, and no gateway yet."""
    venue, execution = VenueDouble(), ExecutionDouble()
    await venue.start()
    await execution.start()
    yield Scene(
        database_url=new_database(MIGRATIONS),
        keys=keys,
        venue=venue,
        execution=execution,
        server=postgres,
    )
    await venue.stop()
    await execution.stop()


@pytest.fixture
async def gateway(scene: Scene) -> AsyncIterator[Gateway]:
    """A gateway that is logged on."""
    async with scene.gateway() as gateway:
        await until(gateway.is_connected)
        yield gateway


@pytest.fixture
async def desk(gateway: Gateway, keys: Keys) -> AsyncIterator[Desk]:
    """An operator's desk at the gateway."""
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        yield Desk(ExchangeGatewayServiceStub(channel), keys)
