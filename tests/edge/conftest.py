"""A service that tells what reached it, and a real Envoy before it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.auth import Role, Verifier, caller
from libs.rpc import RpcServer
from stockbroker.exchange.v1 import exchange_service_pb2 as exchange_pb
from stockbroker.exchange.v1 import exchange_service_pb2_grpc as exchange_grpc
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.edge.envoy import Envoy
from tests.support.keys import Keys

ORDER = "/stockbroker.order.v1.OrderService"
EXCHANGE = "/stockbroker.exchange.v1.ExchangeService"
ANYBODY = frozenset({Role.CUSTOMER, Role.OPERATOR})
CUSTOMER_CALLS = 20


class Echo(pb_grpc.OrderServiceServicer):
    """Answers with who called."""

    async def PlaceTrade(
        self, request: pb.PlaceTradeRequest, context: Any
    ) -> pb.PlaceTradeResponse:
        return pb.PlaceTradeResponse(trade=order_pb2.Trade(customer_id=caller().subject))

    async def WatchTrades(
        self, request: pb.WatchTradesRequest, context: Any
    ) -> AsyncIterator[pb.WatchTradesResponse]:
        for seq in (1, 2, 3):
            yield pb.WatchTradesResponse(event=order_pb2.TradeEvent(seq=seq))


class Market(exchange_grpc.ExchangeServiceServicer):
    """Answers whatever is asked."""

    async def ListQuotes(
        self, request: exchange_pb.ListQuotesRequest, context: Any
    ) -> exchange_pb.ListQuotesResponse:
        return exchange_pb.ListQuotesResponse()

    async def GetOrder(
        self, request: exchange_pb.GetOrderRequest, context: Any
    ) -> exchange_pb.GetOrderResponse:
        return exchange_pb.GetOrderResponse()


@pytest.fixture
async def upstream(keys: Keys) -> AsyncIterator[RpcServer]:
    methods = [f"{ORDER}/PlaceTrade", f"{ORDER}/WatchTrades"]
    methods += [f"{EXCHANGE}/ListQuotes", f"{EXCHANGE}/GetOrder"]
    server = RpcServer(
        listen="127.0.0.1:0",
        allow=dict.fromkeys(methods, ANYBODY),
        verifier=Verifier(keys.jwks_file),
    )
    pb_grpc.add_OrderServiceServicer_to_server(Echo(), server.server)
    exchange_grpc.add_ExchangeServiceServicer_to_server(Market(), server.server)
    server.serves("stockbroker.order.v1.OrderService")
    await server.start()
    await server.set_ready(True)
    yield server
    await server.stop(0)


@pytest.fixture
async def envoy(keys: Keys, upstream: RpcServer, tmp_path: Path) -> AsyncIterator[Envoy]:
    envoy = Envoy(
        tmp_path,
        keys=keys,
        upstream=upstream.address,
        customer_calls_per_second=str(CUSTOMER_CALLS),
        call_timeout_seconds="5",
    )
    await envoy.start()
    yield envoy
    envoy.stop()


@pytest.fixture
async def public(envoy: Envoy) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(envoy.public) as channel:
        yield channel


@pytest.fixture
async def operators(envoy: Envoy) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(envoy.operators) as channel:
        yield channel
