"""Which part listens where: all on 127.0.0.1, by name."""

from libs.embedded import free_port
from services.house.settings import Settings

HOST = "127.0.0.1"
# A service stands behind those that it calls.
SERVICES = ("exchange_simulator", "ledger", "order", "exchange_gateway", "execution")
_INNER = (
    *SERVICES,
    "postgres",
    "nats",
    "nats_monitor",
    "edge_admin",
    *(f"{name}_metrics" for name in SERVICES),
)


class Ports:
    """A port for each name, fixed while the house runs."""

    def __init__(self, settings: Settings) -> None:
        first = settings.inner_port
        self._ports = {
            name: first + offset if first else free_port() for offset, name in enumerate(_INNER)
        }
        self._ports["public"] = settings.public_port or free_port()
        self._ports["operators"] = settings.operators_port or free_port()

    def of(self, name: str) -> int:
        """The port of `name`."""
        return self._ports[name]

    def address(self, name: str) -> str:
        """host:port of `name`."""
        return f"{HOST}:{self._ports[name]}"
