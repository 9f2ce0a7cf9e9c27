"""A whole house of a test's own: every service, PostgreSQL, NATS and Envoy, as `make up` runs them.

Tests that share the fixture `house` stand in one group, so that one house serves them all:

    pytestmark = pytest.mark.xdist_group("house")

and pytest-xdist is run with `--dist loadgroup`; the house ends with the last of them. A test that
mistreats its house starts one itself.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc

from libs.auth import Role, Signer
from libs.embedded.child import first_answer, launched, wait_until
from stockbroker.exchange.v1 import exchange_service_pb2, exchange_service_pb2_grpc
from stockbroker.ledger.v1 import portfolio_service_pb2, portfolio_service_pb2_grpc
from stockbroker.order.v1 import order_service_pb2, order_service_pb2_grpc
from tests.support.app import App
from tests.support.keys import Keys, bearer
from tests.support.operator import Operator

ROOT = Path(__file__).parents[2]
_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_CALL_SECONDS = 2.0
_NO_TRADES = order_service_pb2.ListTradesRequest()
_NO_PORTFOLIO = portfolio_service_pb2.GetPortfolioRequest()
_ALL_QUOTES = exchange_service_pb2.ListQuotesRequest()
_SETTINGS = {
    "PUBLIC_PORT": "0",
    "OPERATORS_PORT": "0",
    "INNER_PORT": "0",
    "POSTGRES_SHARED_BUFFERS_MB": "64",
    "POSTGRES_MAX_WAL_SIZE_MB": "256",
}


class House:
    """A house that runs. Addresses are host:port."""

    def __init__(self, folder: Path, process: "subprocess.Popen[bytes]") -> None:
        self.folder = folder
        self._process = process
        self._told = self._read()
        self._signer = Signer(self._told["signing_key_file"])

    @property
    def public_address(self) -> str:
        """Customers' door."""
        return str(self._told["public"])

    @property
    def operators_address(self) -> str:
        """Operators' door."""
        return str(self._told["operators"])

    def database_url(self, service: str) -> str:
        """The database of a service."""
        return str(self._told["databases"][service])

    def service_address(self, service: str) -> str:
        """Where a service itself listens, behind the doors."""
        return str(self._told["services"][service])

    def token(self, customer: str, *, seconds: int = 3600) -> str:
        """A customer's token; negative seconds: expired so long ago."""
        return self._signer.mint(customer, Role.CUSTOMER, seconds)

    def operator_token(self, name: str = "olivia", *, seconds: int = 3600) -> str:
        """An operator's token."""
        return self._signer.mint(name, Role.OPERATOR, seconds)

    def back_end_token(self, name: str = "firm", *, seconds: int = 3600) -> str:
        """The token of a back-end that places trades for customers."""
        return self._signer.mint(name, Role.BACK_END, seconds)

    def service_token(self, service: str, *, seconds: int = 3600) -> str:
        """A service's token."""
        return self._signer.mint(service, Role.SERVICE, seconds)

    def foreign_token(self, customer: str) -> str:
        """A customer's token made with a key that is not this house's."""
        folder = self.folder / "foreign"
        folder.mkdir(exist_ok=True)
        return Keys(folder).customer(customer)

    def app(self, customer: str) -> App:
        """A customer's app, for `async with`."""
        return App(self.public_address, self.token(customer))

    def operator(self, name: str = "olivia") -> Operator:
        """An operator, for `async with`."""
        return Operator(self.operators_address, self.operator_token(name))

    exchange_operator = operator

    async def endow(
        self, customer: str, *, cash: int = 0, shares: dict[str, int] | None = None
    ) -> None:
        """Give a customer cash in micros, and shares."""
        async with self.operator() as operator:
            if cash:
                await operator.deposit(customer, cash)
            for symbol, quantity in (shares or {}).items():
                await operator.deposit_shares(customer, symbol, quantity)

    def environment(self) -> dict[str, str]:
        """What the command line needs to find this house."""
        return {"STOCKBROKER_DATA_FOLDER": str(self.folder)}

    def kill(self, name: str) -> None:
        """kill -9 a service or a part; the supervisor brings it back."""
        os.kill(self.pid(name), signal.SIGKILL)

    def pid(self, name: str) -> int:
        """The process that a service or a part is now."""
        return int(self._read()["pids"][name])

    def kill_supervisor(self) -> None:
        """kill -9 what keeps everything running."""
        self._told = self._read()
        self._process.kill()
        self._process.wait()

    def wait_gone(self, *, seconds: float = 30.0) -> None:
        """Wait until none of the house's processes is left. AssertionError after `seconds`."""
        pids = self._told["pids"]
        gone = wait_until(lambda: not any(map(is_alive, pids.values())), seconds=seconds)
        left = [name for name, pid in pids.items() if is_alive(pid)]
        assert gone, f"still there after {seconds} s: {left}"

    def _read(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((self.folder / "house.json").read_text())
        return told


@contextlib.contextmanager
def running_house(
    folder: Path,
    program: str = "services.house.main",
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
    **settings: str,
) -> Iterator[House]:
    """A house with its data in `folder`, on free ports, started and in the end stopped cleanly.

    `program`: the module that is it. `settings`: of the house and of its services, without
    STOCKBROKER_; `environment`: what else they find there.
    """
    command = [sys.executable, "-m", program, "--no-demo"]
    told = {f"STOCKBROKER_{name}": value for name, value in (_SETTINGS | settings).items()}
    with (folder / "supervisor.log").open("ab") as log:
        process = subprocess.Popen(
            # Ends the house also when the test run is killed.
            launched(command, dies_by=signal.SIGTERM),
            cwd=ROOT,
            env={**os.environ, **environment, **told, "STOCKBROKER_DATA_FOLDER": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        house = _wait_ready(folder, process)
        yield house
        _stop(folder, process)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _wait_ready(folder: Path, process: "subprocess.Popen[bytes]") -> House:
    """The house once both doors answer. AssertionError with the supervisor's words otherwise."""

    def look() -> House | None:
        if not _told_by(folder, process.pid):
            return None
        house = House(folder, process)
        return house if _answers(house) else None

    house = first_answer(process, look, seconds=_START_SECONDS)
    if house is not None:
        return house
    words = (folder / "supervisor.log").read_text()[-4000:]
    raise AssertionError(f"the house did not start within {_START_SECONDS} s:\n{words}")


def _told_by(folder: Path, pid: int) -> bool:
    """Whether this run has written its file: one that was killed leaves its own behind."""
    with contextlib.suppress(OSError):
        told = json.loads((folder / "house.json").read_text())
        return bool(told["supervisor_pid"] == pid)
    return False


def _answers(house: House) -> bool:
    """Whether calls reach the services through both doors: Envoy looks for them by itself."""
    customer, operator = bearer(house.token("nobody")), bearer(house.operator_token())
    try:
        with grpc.insecure_channel(house.public_address) as channel:
            orders = order_service_pb2_grpc.OrderServiceStub(channel)
            orders.ListTrades(_NO_TRADES, metadata=customer, timeout=_CALL_SECONDS)
            portfolios = portfolio_service_pb2_grpc.PortfolioServiceStub(channel)
            portfolios.GetPortfolio(_NO_PORTFOLIO, metadata=customer, timeout=_CALL_SECONDS)
        with grpc.insecure_channel(house.operators_address) as channel:
            exchange = exchange_service_pb2_grpc.ExchangeServiceStub(channel)
            exchange.ListQuotes(_ALL_QUOTES, metadata=operator, timeout=_CALL_SECONDS)
    except grpc.RpcError:
        return False
    return True


def _stop(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Ask the supervisor to end; AssertionError when it does not do so in good order."""
    if process.poll() is not None:  # killed by the test
        return
    process.terminate()
    status = process.wait(_STOP_SECONDS)
    words = (folder / "supervisor.log").read_text()[-4000:]
    assert status == 0, f"the house ended with status {status}:\n{words}"


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that only waits for its parent to take note does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
