"""What a supervisor needs to know of a part, and the parts of this house."""

import http.client
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from libs.embedded import CannotRun, Child, Nats, Postgres
from libs.embedded.child import wait_until
from libs.embedded.ports import is_free
from services.house.ports import HOST

_PORT_SECONDS = 3.0  # a process that was killed a moment ago may still hold its port


class Part(Protocol):
    """One process. `prepare`, `is_ready` and `settle` may block; only the main thread spawns."""

    name: str
    stop_with: signal.Signals

    @property
    def child(self) -> Child:
        """Its process."""

    def prepare(self) -> None:
        """Make sure that it can start. Raises CannotRun."""

    def spawn(self) -> None:
        """Start the process."""

    def is_ready(self) -> bool:
        """Whether it does its work now."""

    def settle(self) -> None:
        """What is to be done when it got ready for the first time."""


class PostgresPart:
    """PostgreSQL with a database and a role of its own for each service."""

    name = "postgres"
    stop_with = signal.SIGINT

    def __init__(self, postgres: Postgres, databases: Sequence[str]) -> None:
        self._postgres = postgres
        self._databases = databases
        self.child = postgres.child
        self.prepare = postgres.prepare
        self.spawn = postgres.spawn
        self.is_ready = postgres.is_ready

    def settle(self) -> None:
        """Make the databases that are missing."""
        for name in self._databases:
            self._postgres.create_role_and_database(name)


class NatsPart:
    """NATS; the services make their streams themselves."""

    name = "nats"
    stop_with = signal.SIGTERM

    def __init__(self, nats: Nats) -> None:
        self.child = nats.child
        self.prepare = nats.prepare
        self.spawn = nats.spawn
        self.is_ready = nats.is_ready

    def settle(self) -> None:
        """Nothing."""


class Program:
    """A module of ours, run as `python -m`, with all it needs to know in its environment."""

    stop_with = signal.SIGTERM

    def __init__(
        self,
        name: str,
        module: str,
        *,
        environment: Mapping[str, str],
        log: Path,
        is_ready: Callable[[], bool],
    ) -> None:
        self.name = name
        self.is_ready = is_ready
        self.environment = environment
        self.child = Child([sys.executable, "-m", module], log=log)

    def prepare(self) -> None:
        """Make sure its ports are free. Raises CannotRun."""
        for setting, value in self.environment.items():
            if setting.startswith("STOCKBROKER_") and setting.endswith("LISTEN") and value:
                _check_port(self.name, int(value.rpartition(":")[2]))

    def spawn(self) -> None:
        """Start the process."""
        self.child.start(self.environment)

    def settle(self) -> None:
        """Nothing."""


def answers_http(port: int, path: str) -> bool:
    """Whether a GET of `path` on this machine gives 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _check_port(name: str, port: int) -> None:
    if port and not wait_until(lambda: is_free(port), seconds=_PORT_SECONDS):
        raise CannotRun(f"port {port}, wanted by {name}, is in use")
