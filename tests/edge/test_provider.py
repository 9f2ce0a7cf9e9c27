"""With an identity provider, its tokens open both doors, and those of the house neither."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.believed import Believed
from libs.rpc import RpcServer
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.edge.conftest import ANYBODY, ORDER, Echo
from tests.edge.envoy import Envoy
from tests.support.keys import Keys, bearer
from tests.support.provider import ALGORITHMS, Provider


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


@pytest.fixture
async def envoy(keys: Keys, provider: Provider, tmp_path: Path) -> AsyncIterator[Envoy]:
    identity = {
        "identity_issuer": provider.issuer,
        "identity_jwks_file": provider.jwks_file,
    }
    server = RpcServer(
        listen="127.0.0.1:0",
        allow={f"{ORDER}/PlaceTrade": ANYBODY},
        verifier=Believed(jwks_file=keys.jwks_file, **identity).verifier(),
    )
    pb_grpc.add_OrderServiceServicer_to_server(Echo(), server.server)
    server.serves("stockbroker.order.v1.OrderService")
    await server.start()
    await server.set_ready(True)
    envoy = Envoy(tmp_path, keys=keys, upstream=server.address, **identity)
    await envoy.start()
    yield envoy
    envoy.stop()
    await server.stop(0)


async def _placed_by(address: str, token: str) -> Any:
    """The customer that the service saw, or why nobody was let in."""
    async with grpc.aio.insecure_channel(address) as channel:
        place = pb_grpc.OrderServiceStub(channel).PlaceTrade
        try:
            answer = await place(pb.PlaceTradeRequest(), metadata=bearer(token), timeout=30)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return answer.trade.customer_id


async def test_a_providers_tokens_open_the_doors_they_are_made_for(
    envoy: Envoy, provider: Provider, keys: Keys
) -> None:
    refused, denied = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
    for alg in ALGORITHMS:
        assert await _placed_by(envoy.public, provider.token("alice", alg=alg)) == "alice"
    several = provider.token("bob", aud=["https://id.example/userinfo", "stockbroker"])
    assert await _placed_by(envoy.public, several) == "bob"
    operator = provider.token("olivia", aud=["stockbroker-ops"])
    assert await _placed_by(envoy.operators, operator) == "olivia"
    assert await _placed_by(envoy.public, operator) in (refused, denied)
    assert await _placed_by(envoy.operators, several) in (refused, denied)
    assert await _placed_by(envoy.public, keys.customer("alice")) == refused
    assert await _placed_by(envoy.operators, keys.operator()) == refused
