"""Which methods pass through which door, read from the contracts.

What is in neither list has no way in: deny by default, and once more in each service.
"""

from dataclasses import dataclass

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor

from stockbroker.exchange.v1 import exchange_control_service_pb2, exchange_service_pb2
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2
from stockbroker.execution.v1 import execution_service_pb2
from stockbroker.ledger.v1 import ledger_service_pb2, portfolio_service_pb2
from stockbroker.order.v1 import (
    order_control_service_pb2,
    order_execution_service_pb2,
    order_service_pb2,
)
from stockbroker.reconciliation.v1 import reconciliation_service_pb2

# Contract -> the upstream that answers it.
CONTRACTS: dict[FileDescriptor, str] = {
    order_service_pb2.DESCRIPTOR: "order",
    order_execution_service_pb2.DESCRIPTOR: "order",
    order_control_service_pb2.DESCRIPTOR: "order",
    ledger_service_pb2.DESCRIPTOR: "ledger",
    portfolio_service_pb2.DESCRIPTOR: "ledger",
    execution_service_pb2.DESCRIPTOR: "execution",
    exchange_gateway_service_pb2.DESCRIPTOR: "gateway",
    exchange_service_pb2.DESCRIPTOR: "exchange",
    exchange_control_service_pb2.DESCRIPTOR: "exchange",
    reconciliation_service_pb2.DESCRIPTOR: "reconciliation",
}
# Services that are all for customers, and what customers may read elsewhere.
_PUBLIC_SERVICES = {
    "stockbroker.order.v1.OrderService",
    "stockbroker.ledger.v1.PortfolioService",
}
_PUBLIC_METHODS = {
    f"/stockbroker.exchange.v1.ExchangeService/{name}"
    for name in (
        "ListInstruments",
        "ListQuotes",
        "WatchQuotes",
        "GetBook",
        "GetMarketStatus",
        "ListTradingDays",
    )
}
# Of what comes call by call, the one that comes in floods.
PLACING_METHOD = "/stockbroker.order.v1.OrderService/PlaceTrade"
# All that a back-end may do for its customers.
BACK_ENDS_METHODS = frozenset({"/stockbroker.order.v1.OrderService/PlaceTrades"})


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: `path` is /package.Service/Method. A stream has no time limit."""

    path: str
    upstream: str
    is_stream: bool


def operators_methods() -> list[Method]:
    """Everything there is."""
    return [
        method
        for contract, upstream in CONTRACTS.items()
        for service in contract.services_by_name.values()
        for method in _methods(service, upstream)
    ]


def customers_methods() -> list[Method]:
    """What customers' apps may call."""
    return [
        method
        for method in operators_methods()
        if method.path in _PUBLIC_METHODS or method.path.split("/")[1] in _PUBLIC_SERVICES
    ]


def health_name(upstream: str) -> str:
    """The service whose health tells that of the upstream: the first of its contracts."""
    contract = next(file for file, name in CONTRACTS.items() if name == upstream)
    name: str = next(iter(contract.services_by_name.values())).full_name
    return name


def _methods(service: ServiceDescriptor, upstream: str) -> list[Method]:
    return [
        Method(
            path=f"/{service.full_name}/{method.name}",
            upstream=upstream,
            is_stream=method.client_streaming or method.server_streaming,
        )
        for method in service.methods
    ]
