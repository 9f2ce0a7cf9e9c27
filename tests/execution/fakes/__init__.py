"""Neighbours of execution that keep the contract in memory, and can be told to misbehave.

Each runs behind a real gRPC server on a free port. What they saw is kept for the tests to look at.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from libs.auth import Role, Verifier
from libs.rpc import RpcServer
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as gateway_pb
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2_grpc as gateway_grpc
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.ledger.v1 import ledger_service_pb2_grpc as ledger_grpc
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_execution_service_pb2_grpc as order_grpc
from tests.execution.fakes.gateway import FakeGateway
from tests.execution.fakes.ledger import FakeLedger
from tests.execution.fakes.order import FakeOrder


@dataclass
class Street:
    """The neighbours and where they answer."""

    order: FakeOrder
    ledger: FakeLedger
    gateway: FakeGateway
    addresses: dict[str, str]


@asynccontextmanager
async def street(jwks_file: str) -> AsyncIterator[Street]:
    """All three neighbours, serving."""
    order, ledger, gateway = FakeOrder(), FakeLedger(), FakeGateway()
    verifier = Verifier(jwks_file)
    servers = []
    addresses = {}
    doors: tuple[tuple[str, Any, Any, Any], ...] = (
        ("order", order_pb, order_grpc.add_OrderExecutionServiceServicer_to_server, order),
        ("ledger", ledger_pb, ledger_grpc.add_LedgerServiceServicer_to_server, ledger),
        (
            "gateway",
            gateway_pb,
            gateway_grpc.add_ExchangeGatewayServiceServicer_to_server,
            gateway,
        ),
    )
    for name, contract, add, servicer in doors:
        (service,) = contract.DESCRIPTOR.services_by_name.values()
        allow = {
            f"/{service.full_name}/{method.name}": frozenset({Role.SERVICE})
            for method in service.methods
        }
        rpc = RpcServer(
            listen="127.0.0.1:0", allow=allow, verifier=verifier, quiet=frozenset(allow)
        )
        add(servicer, rpc.server)
        await rpc.start()
        servers.append(rpc)
        addresses[name] = rpc.address
    try:
        yield Street(order, ledger, gateway, addresses)
    finally:
        for rpc in servers:
            await rpc.stop(0)
