"""What becomes of calls at the customers' door when those before them are not answered."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.auth import Role, Verifier
from libs.rpc import RpcServer
from libs.rpc.status import reason_of, retry_after
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.edge.conftest import ORDER
from tests.edge.envoy import Envoy
from tests.support.keys import Keys, bearer
from tests.support.wait import until

AT_ONCE, MORE, CROWD = 5, 20, 64


class Busy(pb_grpc.OrderServiceServicer):
    """Places nothing until it is told to; lists at once."""

    def __init__(self) -> None:
        self.begun = 0
        self.connections: set[str] = set()
        self.may_go_on = asyncio.Event()

    async def PlaceTrade(
        self, request: pb.PlaceTradeRequest, context: Any
    ) -> pb.PlaceTradeResponse:
        self.begun += 1
        self.connections.add(context.peer())
        await self.may_go_on.wait()
        return pb.PlaceTradeResponse(trade=order_pb2.Trade(customer_id="alice"))

    async def ListTrades(
        self, request: pb.ListTradesRequest, context: Any
    ) -> pb.ListTradesResponse:
        return pb.ListTradesResponse()


@pytest.fixture
def busy() -> Busy:
    return Busy()


@pytest.fixture
async def upstream(keys: Keys, busy: Busy) -> AsyncIterator[RpcServer]:
    methods = [f"{ORDER}/PlaceTrade", f"{ORDER}/ListTrades"]
    server = RpcServer(
        listen="127.0.0.1:0",
        allow=dict.fromkeys(methods, frozenset({Role.CUSTOMER})),
        verifier=Verifier(keys.jwks_file),
    )
    pb_grpc.add_OrderServiceServicer_to_server(busy, server.server)
    server.serves("stockbroker.order.v1.OrderService")
    await server.start()
    await server.set_ready(True)
    yield server
    busy.may_go_on.set()
    await server.stop(0)


@pytest.fixture
def at_once() -> int:
    return AT_ONCE


@pytest.fixture
async def orders(
    keys: Keys, upstream: RpcServer, tmp_path: Path, at_once: int
) -> AsyncIterator[Any]:
    envoy = Envoy(tmp_path, keys=keys, upstream=upstream.address, placing_at_once=str(at_once))
    await envoy.start()
    async with grpc.aio.insecure_channel(envoy.public) as channel:
        yield pb_grpc.OrderServiceStub(channel)
    envoy.stop()


async def test_who_is_one_too_many_is_told_at_once_when_to_come_back(
    orders: Any, busy: Busy, keys: Keys
) -> None:
    alice = bearer(keys.customer("alice"))

    def place() -> Any:
        return orders.PlaceTrade(pb.PlaceTradeRequest(), metadata=alice, timeout=60)

    taken = [place() for _ in range(AT_ONCE)]
    await until(lambda: busy.begun == AT_ONCE)
    answers = await asyncio.gather(*(place() for _ in range(MORE)), return_exceptions=True)
    refusals = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]

    assert busy.begun == AT_ONCE
    assert len(refusals) == MORE
    assert {each.code() for each in refusals} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert {reason_of(each) for each in refusals} == {"OVERLOADED"}
    assert all(retry_after(each) > 0 for each in refusals)

    await orders.ListTrades(pb.ListTradesRequest(), metadata=alice, timeout=60)
    busy.may_go_on.set()
    await asyncio.gather(*taken)
    assert (await place()).trade.customer_id == "alice"


@pytest.mark.parametrize("at_once", [CROWD])
async def test_calls_that_come_together_come_by_several_connections(
    orders: Any, busy: Busy, keys: Keys
) -> None:
    alice = bearer(keys.customer("alice"))
    calls = [
        orders.PlaceTrade(pb.PlaceTradeRequest(), metadata=alice, timeout=60) for _ in range(CROWD)
    ]
    await until(lambda: busy.begun == CROWD)

    assert len(busy.connections) >= 4

    busy.may_go_on.set()
    await asyncio.gather(*calls)
