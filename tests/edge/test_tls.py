"""The customers' door with a certificate of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from bench.entrance import certificate
from libs.rpc import RpcServer
from services.edge.settings import Settings
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.edge.envoy import Envoy
from tests.support.keys import Keys, bearer


@pytest.fixture
async def envoy(keys: Keys, upstream: RpcServer, tmp_path: Path) -> AsyncIterator[Envoy]:
    certificate_file, key_file = certificate(tmp_path)
    envoy = Envoy(
        tmp_path,
        keys=keys,
        upstream=upstream.address,
        tls_certificate_file=str(certificate_file),
        tls_key_file=str(key_file),
    )
    await envoy.start()
    yield envoy
    envoy.stop()


async def _place(channel: grpc.aio.Channel, keys: Keys) -> str:
    answer = await pb_grpc.OrderServiceStub(channel).PlaceTrade(
        pb.PlaceTradeRequest(), metadata=bearer(keys.customer("alice")), timeout=30
    )
    return str(answer.trade.customer_id)


async def test_who_trusts_the_certificate_is_served(
    envoy: Envoy, keys: Keys, tmp_path: Path
) -> None:
    trusted = grpc.ssl_channel_credentials((tmp_path / "door.crt").read_bytes())
    async with grpc.aio.secure_channel(envoy.public, trusted) as channel:
        assert await _place(channel, keys) == "alice"


async def test_without_tls_nobody_is_served_there(envoy: Envoy, keys: Keys) -> None:
    async with grpc.aio.insecure_channel(envoy.public) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _place(channel, keys)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_certificate_without_its_key_is_refused(keys: Keys) -> None:
    with pytest.raises(ValueError, match="TLS_KEY_FILE"):
        Settings(
            jwks_file=keys.jwks_file,
            order_address="",
            ledger_address="",
            execution_address="",
            gateway_address="",
            exchange_address="",
            reconciliation_address="",
            tls_certificate_file="door.crt",
        )
