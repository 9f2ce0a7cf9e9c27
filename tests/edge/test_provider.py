"""With an identity provider, its tokens open both doors, and those of the house neither."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from libs.believed import Believed
from libs.rpc import RpcServer
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.edge.conftest import ANYBODY, CUSTOMER_CALLS, ORDER, Echo
from tests.edge.envoy import Envoy
from tests.support.keys import Keys, bearer
from tests.support.provider import ALGORITHMS, Provider
from tests.support.wait import until


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


@asynccontextmanager
async def _house(
    folder: Path, keys: Keys, provider: Provider, claim: str = "sub"
) -> AsyncIterator[Envoy]:
    """A service, and the doors before it."""
    identity = {
        "identity_issuer": provider.issuer,
        "identity_jwks_file": provider.jwks_file,
        "identity_claim": claim,
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
    calls = {"customer_calls_per_second": str(CUSTOMER_CALLS)}
    envoy = Envoy(folder, keys=keys, upstream=server.address, **identity, **calls)
    await envoy.start()
    try:
        yield envoy
    finally:
        envoy.stop()
        await server.stop(0)


@pytest.fixture
async def envoy(keys: Keys, provider: Provider, tmp_path: Path) -> AsyncIterator[Envoy]:
    async with _house(tmp_path, keys, provider) as envoy:
        yield envoy


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


async def test_an_operator_chooses_which_claim_names_the_caller(
    keys: Keys, provider: Provider, tmp_path: Path
) -> None:
    claim = "https://broker.example/customer"
    refused = grpc.StatusCode.UNAUTHENTICATED

    def token(customer: Any, **claims: Any) -> str:
        return provider.token("auth0|5f7c8ec7c33c6c004bbafe82", **{claim: customer}, **claims)

    async with _house(tmp_path, keys, provider, claim) as envoy:
        assert await _placed_by(envoy.public, token("alice")) == "alice"
        assert await _placed_by(envoy.operators, token("olivia", aud="stockbroker-ops")) == "olivia"
        for nobody in ("a\nb", "", 7, None, ["alice"]):
            assert await _placed_by(envoy.public, token(nobody)) == refused
        assert await _placed_by(envoy.public, provider.token("alice")) == refused

        calls = (_placed_by(envoy.public, token("bob")) for _ in range(3 * CUSTOMER_CALLS))
        assert grpc.StatusCode.RESOURCE_EXHAUSTED in await asyncio.gather(*calls)
        assert await _placed_by(envoy.public, token("alice")) == "alice"

        denied = token("carol", aud="stockbroker-back-end")
        assert await _placed_by(envoy.public, denied) == grpc.StatusCode.PERMISSION_DENIED
        await until(lambda: '"caller":"carol"' in envoy.log())


async def test_while_a_provider_changes_its_keys_those_of_before_serve_too(
    keys: Keys, provider: Provider, tmp_path: Path
) -> None:
    after = Provider(tmp_path, kid="-2")
    after.publish([*provider.public, *after.public])
    async with _house(tmp_path, keys, after) as envoy:
        for alg in ALGORITHMS:
            assert await _placed_by(envoy.public, provider.token("alice", alg=alg)) == "alice"
            assert await _placed_by(envoy.public, after.token("bob", alg=alg)) == "bob"
