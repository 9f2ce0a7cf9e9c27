"""A house in miniature: two listeners that answer the contracts out of memory, real tokens."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from libs.auth import Role, Verifier
from libs.rpc import RpcServer
from services.cli.main import app
from stockbroker.exchange.v1 import (
    exchange_control_service_pb2,
    exchange_control_service_pb2_grpc,
    exchange_pb2,
    exchange_service_pb2,
    exchange_service_pb2_grpc,
)
from stockbroker.exchange_gateway.v1 import (
    exchange_gateway_service_pb2,
    exchange_gateway_service_pb2_grpc,
)
from stockbroker.execution.v1 import execution_service_pb2, execution_service_pb2_grpc
from stockbroker.ledger.v1 import (
    ledger_service_pb2,
    ledger_service_pb2_grpc,
    portfolio_service_pb2,
    portfolio_service_pb2_grpc,
)
from stockbroker.order.v1 import (
    order_control_service_pb2,
    order_control_service_pb2_grpc,
    order_service_pb2,
    order_service_pb2_grpc,
)
from stockbroker.reconciliation.v1 import (
    reconciliation_service_pb2,
    reconciliation_service_pb2_grpc,
)
from tests.cli.small_controls import SmallControls
from tests.cli.small_execution import SmallExecution
from tests.cli.small_gateway import SmallGateway
from tests.cli.small_ledger import SmallLedger
from tests.cli.small_neighbours import (
    QUOTE,
    SmallControl,
    SmallExchange,
    SmallPortfolio,
)
from tests.cli.small_orders import SmallOrders
from tests.cli.small_reconciliation import SmallReconciliation
from tests.support.keys import Keys

_CUSTOMERS = (order_service_pb2, portfolio_service_pb2, exchange_service_pb2)
_OPERATORS = (
    ledger_service_pb2,
    exchange_gateway_service_pb2,
    execution_service_pb2,
    exchange_service_pb2,
    exchange_control_service_pb2,
    order_control_service_pb2,
    reconciliation_service_pb2,
)


class SmallHouse:
    """What a test may look into, and the command line as a customer of it uses it."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self.folder = folder
        self.keys = keys
        self.orders = SmallOrders()
        self.execution = SmallExecution()
        self.ledger = SmallLedger()
        self.portfolio = SmallPortfolio()
        self.quote = exchange_pb2.Quote()
        self.quote.CopyFrom(QUOTE)
        self.hours = exchange_service_pb2.GetMarketStatusResponse(is_open=True, is_always_open=True)
        self.control = SmallControl(self.quote)
        self.controls = SmallControls()
        self.gateway = SmallGateway()
        self.reconciliation = SmallReconciliation()
        self.public = _server(keys, Role.CUSTOMER, _CUSTOMERS)
        self.operators = _server(keys, Role.OPERATOR, _OPERATORS)
        self._add_servicers()

    def _add_servicers(self) -> None:
        public, operators = self.public.server, self.operators.server
        order_service_pb2_grpc.add_OrderServiceServicer_to_server(self.orders, public)
        portfolio_service_pb2_grpc.add_PortfolioServiceServicer_to_server(self.portfolio, public)
        ledger_service_pb2_grpc.add_LedgerServiceServicer_to_server(self.ledger, operators)
        execution_service_pb2_grpc.add_ExecutionServiceServicer_to_server(self.execution, operators)
        exchange_gateway_service_pb2_grpc.add_ExchangeGatewayServiceServicer_to_server(
            self.gateway, operators
        )
        exchange_control_service_pb2_grpc.add_ExchangeControlServiceServicer_to_server(
            self.control, operators
        )
        order_control_service_pb2_grpc.add_OrderControlServiceServicer_to_server(
            self.controls, operators
        )
        reconciliation_service_pb2_grpc.add_ReconciliationServiceServicer_to_server(
            self.reconciliation, operators
        )
        for server in (public, operators):
            exchange_service_pb2_grpc.add_ExchangeServiceServicer_to_server(
                SmallExchange(self.quote, self.hours), server
            )

    def write_file(self, **changes: Any) -> None:
        """Leave the file that says where the house is, as its supervisor does."""
        told = {
            "public": self.public.address,
            "operators": self.operators.address,
            "signing_key_file": str(self.keys.key_file),
            "services": {"order": self.public.address, "ledger": self.operators.address},
            "parts": {"postgres": self.public.address},
        }
        (self.folder / "house.json").write_text(json.dumps(told | changes))

    def environment(self) -> dict[str, str]:
        """What the command line is started with."""
        return {"STOCKBROKER_DATA_FOLDER": str(self.folder), "COLUMNS": "200"}

    async def run(self, *arguments: str) -> Result:
        """One command, in a thread: it waits for answers that this loop gives."""
        return await asyncio.to_thread(
            CliRunner().invoke, app, arguments, env=self.environment(), catch_exceptions=False
        )


Run = Callable[..., Awaitable[Result]]


def _server(keys: Keys, role: Role, contracts: tuple[Any, ...]) -> RpcServer:
    allow = {
        f"/{service.full_name}/{method.name}": frozenset({role})
        for contract in contracts
        for service in contract.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    return RpcServer(listen="127.0.0.1:0", allow=allow, verifier=Verifier(keys.jwks_file))


@pytest.fixture
async def house(tmp_path: Path, keys: Keys) -> AsyncIterator[SmallHouse]:
    """A house in miniature that serves."""
    house = SmallHouse(tmp_path, keys)
    for server in (house.public, house.operators):
        await server.start()
        await server.set_ready(True)
    house.write_file()
    # The servers' log would stand among what the command line prints: it is one process here.
    with capture_logs():
        yield house
        for server in (house.public, house.operators):
            await server.stop(0)


@pytest.fixture
def run(house: SmallHouse) -> Run:
    """Runs one command against the house in miniature."""
    return house.run
