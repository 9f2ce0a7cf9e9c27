"""Which part listens where: all on 127.0.0.1, by name."""

from collections.abc import Mapping
from functools import partial

from libs.embedded import CannotRun, free_port
from libs.embedded.child import wait_until
from libs.embedded.ports import is_free
from services.house.settings import MOST_PROCESSES, Settings

HOST = "127.0.0.1"
# A service stands behind those that it calls.
SERVICES = (
    "exchange_simulator",
    "ledger",
    "order",
    "exchange_gateway",
    "execution",
    "reconciliation",
)
_PATIENCE_SECONDS = 5.0  # processes of a run just killed may still hold their ports


def process_names(service: str, count: int) -> list[str]:
    """The processes of a service; the first has its name."""
    return [service, *(f"{service}_{number}" for number in range(2, count + 1))]


_INNER = (
    *SERVICES,
    "postgres",
    "nats",
    "nats_monitor",
    "edge_admin",
    *(f"{name}_metrics" for name in SERVICES),
    *process_names("execution", MOST_PROCESSES)[1:],
    *process_names("order", MOST_PROCESSES)[1:],
)


class Ports:
    """A port for each name, fixed while the house runs."""

    def __init__(self, settings: Settings, chosen: Mapping[str, int]) -> None:
        """`chosen` goes before the settings; names that are not ours are left out."""
        first = settings.inner_port
        self._ports = {
            name: chosen.get(name) or (first + offset if first else free_port())
            for offset, name in enumerate(_INNER)
        }
        self._ports["public"] = settings.public_port or free_port()
        self._ports["operators"] = settings.operators_port or free_port()

    def of(self, name: str) -> int:
        """The port of `name`."""
        return self._ports[name]

    def address(self, name: str) -> str:
        """host:port of `name`."""
        return f"{HOST}:{self._ports[name]}"

    def check(self) -> None:
        """Raise CannotRun, with the setting to change, when two want one, or somebody else has it.

        PostgreSQL and NATS look for themselves, once those of an earlier run are gone.
        """
        wanted: dict[int, str] = {}
        for name, port in self._ports.items():
            other = wanted.setdefault(port, name)
            if other != name:
                raise CannotRun(f"port {port} is wanted by {other} and by {name}; {_advice(name)}")
        for name, port in self._ports.items():
            if name in ("postgres", "nats", "nats_monitor"):
                continue
            if not wait_until(partial(is_free, port), seconds=_PATIENCE_SECONDS):
                raise CannotRun(f"port {port}, wanted by {name}, is in use; {_advice(name)}")


def _advice(name: str) -> str:
    setting = name if name in ("public", "operators") else "inner"
    return f"STOCKBROKER_{setting.upper()}_PORT chooses another"
