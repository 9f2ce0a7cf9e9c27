"""This house: its parts, what each is told, and what is told about them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from libs.embedded import Nats, Postgres, Tuning
from libs.embedded.ports import is_taken
from libs.probe import probe
from services.house.folder import DataFolder
from services.house.parts import NatsPart, Part, PostgresPart, Program, answers_http
from services.house.ports import SERVICES, Ports, process_names
from services.house.routes import read_routes
from services.house.settings import Settings

_PROBE_SECONDS = 1.0
# The settings that say where a neighbour is.
_ADDRESSES = {
    "order_address": "order",
    "ledger_address": "ledger",
    "execution_address": "execution",
    "gateway_address": "exchange_gateway",
    "exchange_address": "exchange_simulator",
    "reconciliation_address": "reconciliation",
}


class House:
    """All parts, made but not started."""

    def __init__(self, settings: Settings, folder: DataFolder) -> None:
        self.folder = folder
        self._routes = read_routes(settings.routes)
        self.ports = Ports(settings, self._routes.ports)
        self._postgres = Postgres(
            folder.path / "postgres",
            port=self.ports.of("postgres"),
            tuning=Tuning(
                shared_buffers_mb=settings.postgres_shared_buffers_mb,
                max_wal_size_mb=settings.postgres_max_wal_size_mb,
                max_connections=settings.postgres_max_connections,
            ),
            log=folder.log("postgres"),
        )
        self._nats = Nats(
            folder.path / "nats",
            port=self.ports.of("nats"),
            monitor_port=self.ports.of("nats_monitor"),
            log=folder.log("nats"),
        )
        self._workers = process_names("execution", settings.execution_workers)
        self._orders = process_names("order", settings.order_processes)

    def stages(self) -> list[list[Part]]:
        """What starts together; what comes later needs what comes before, and stops before it."""
        services: list[Part] = [self._service(name) for name in SERVICES]
        services += [self._another(name, "execution", worker=name) for name in self._workers[1:]]
        services += [self._another(name, "order") for name in self._orders[1:]]
        services.append(self._edge())
        return [
            [PostgresPart(self._postgres, SERVICES), NatsPart(self._nats)],
            services,
        ]

    def describe(self, stages: list[list[Part]]) -> dict[str, Any]:
        """What `house.json` says."""
        parts = [part for stage in stages for part in stage]
        return {
            "public": self.ports.address("public"),
            "operators": self.ports.address("operators"),
            "signing_key_file": str(self.folder.signing_key_file),
            "ledger_public_key_file": str(self.folder.ledger_public_key_file),
            "services": {name: self.ports.address(name) for name in SERVICES},
            "workers": {name: self.ports.address(name) for name in self._workers},
            "orders": {name: self.ports.address(name) for name in self._orders},
            "parts": {
                "postgres": self.ports.address("postgres"),
                "nats": self.ports.address("nats"),
                "edge": self.ports.address("public"),
            },
            "metrics": {name: self.ports.address(f"{name}_metrics") for name in SERVICES},
            "databases": {name: self._postgres.url(name) for name in SERVICES},
            "nats_url": self._nats.url,
            "supervisor_pid": os.getpid(),
            "pids": {part.name: part.child.pid for part in parts},
        }

    def _service(self, name: str) -> Program:
        address = self.ports.address(name)
        own = {
            "listen": address,
            "metrics_listen": self.ports.address(f"{name}_metrics"),
        }
        if name == "execution":
            own["worker"] = name
        if name == "ledger":
            own["signing_key_file"] = str(self.folder.ledger_key_file)
        return self._program(name, of=name, own=own, address=address)

    def _another(self, name: str, service: str, **own: str) -> Program:
        """One more process: of workers, reports come to any, and operators' calls to the first."""
        address = self.ports.address(name)
        return self._program(name, of=service, own={"listen": address, **own}, address=address)

    def _program(self, name: str, *, of: str, own: dict[str, str], address: str) -> Program:
        """A process of the service `of` that listens on `address`."""
        told = {
            **self._addresses(name),
            "database_url": self._reached_by(name, "postgres", self._postgres.url(of)),
            "nats_url": self._reached_by(name, "nats", self._nats.url),
            "service_token_file": str(self.folder.token_file(of)),
            **own,
        }

        port = self.ports.of(name)

        def is_ready() -> bool:
            # A probe costs ten times as much, and most are asked of who has not begun to listen.
            return is_taken(port) and not probe(address, timeout_seconds=_PROBE_SECONDS)

        return Program(
            name,
            f"services.{of}.main",
            environment=_environment(told),
            log=self.folder.log(name),
            is_ready=is_ready,
        )

    def _edge(self) -> Program:
        told = {
            **self._addresses("edge"),
            "listen": self.ports.address("public"),
            "operators_listen": self.ports.address("operators"),
            "admin_listen": self.ports.address("edge_admin"),
            "config_file": str(self.folder.path / "edge" / "envoy.yaml"),
        }
        admin_port = self.ports.of("edge_admin")
        return Program(
            "edge",
            "services.edge.main",
            environment=_environment(told),
            log=self.folder.log("edge"),
            is_ready=lambda: answers_http(admin_port, "/ready"),
        )

    def _addresses(self, process: str) -> dict[str, str]:
        """What everybody is told: `process` by its own ways, if it has some."""
        ways = {
            setting: self._routes.way(process, part, self.ports.address(part))
            for setting, part in _ADDRESSES.items()
        }
        if process == "exchange_gateway":
            ways["execution_address"] = ",".join(self._ways(process, self._workers))
        elif process == "edge":
            ways["order_address"] = ",".join(self._ways(process, self._orders))
        elif process in self._workers:
            orders = self._ways(process, self._orders)
            ways["order_address"] = orders[self._workers.index(process) % len(orders)]
        return {"jwks_file": str(self.folder.jwks_file), **ways}

    def _ways(self, process: str, parts: Sequence[str]) -> list[str]:
        return [self._routes.way(process, part, self.ports.address(part)) for part in parts]

    def _reached_by(self, process: str, part: str, url: str) -> str:
        """The URL of `part` as `process` is told it."""
        address = self.ports.address(part)
        return url.replace(address, self._routes.way(process, part, address))


def _environment(told: dict[str, str]) -> dict[str, str]:
    """Our own environment, which may hold settings of services, and what the house decides."""
    own = {f"STOCKBROKER_{name.upper()}": value for name, value in told.items()}
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, "GRPC_VERBOSITY": "ERROR", **own}
