"""Where the house meets the outside: the few names that are someone else's in a simulation.

Everything above them is the house's own code as it runs in production, each service from the
`house` of its main.py down to its SQL.
"""

import random
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

import grpc
import psycopg
import structlog
import tenacity

import libs.broker
import libs.clock
import libs.postgres.pool
import libs.rpc.server
import services.execution.domain.ring as ring
from services.exchange_simulator import tables
from services.exchange_simulator.domain import Instrument
from simulation.bus import Bus
from simulation.database import Database, Pool, Server
from simulation.network import Network
from simulation.world import World

PARTITIONS = 4
INSTRUMENTS = (
    Instrument("AAPL", "Apple Inc.", 250_00, 2, 40),
    Instrument("MSFT", "Microsoft Corp.", 420_00, 4, 25),
)


class VirtualClock:
    """Stands in for the machine's own time."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> datetime:
        """The wall clock."""
        return self._world.now()

    def monotonic(self) -> float:
        """Seconds."""
        return self._world.loop.time()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await self._world.loop_sleep(seconds)


@contextmanager
def installed(
    world: World, databases: Mapping[str, Database], seed: str
) -> Iterator[tuple[Network, Bus]]:
    """The outside is the simulated one within this block."""
    network, bus = Network(world), Bus(world)
    server = Server(world, dict(databases))
    drawn = random.Random(f"{seed}/secrets")
    chances = random.getstate()
    random.seed(f"{seed}/pauses")
    clock = VirtualClock(world)
    places: list[tuple[Any, str, Any]] = [
        (psycopg.AsyncConnection, "connect", server.connect),
        (libs.postgres.pool, "AsyncConnectionPool", _pools(server)),
        (grpc.aio, "insecure_channel", network.channel),
        (grpc.aio, "server", network.server),
        (libs.broker, "Client", bus.client),
        (libs.clock.SystemClock, "now", lambda _: clock.now()),
        (libs.clock.SystemClock, "monotonic", lambda _: clock.monotonic()),
        (tenacity, "time", SimpleNamespace(monotonic=clock.monotonic)),
        (secrets, "token_bytes", drawn.randbytes),
        (secrets, "token_hex", lambda size=16: f"{drawn.getrandbits(8 * size):0{2 * size}x}"),
        # Fewer of what there is many of: speed alone.
        (ring, "PARTITIONS", PARTITIONS),
        (tables, "read_instruments", lambda: list(INSTRUMENTS)),
        (libs.rpc.server, "_add_reflection", lambda _: None),
        (libs.rpc.server, "_check_free", lambda *_: None),  # there are no ports
    ]
    structured = structlog.get_config()
    structlog.configure(
        processors=[_listener(world)],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    with ExitStack() as stack:
        stack.callback(random.setstate, chances)
        stack.callback(structlog.configure, **structured)
        for owner, name, stand_in in places:
            stack.enter_context(mock.patch.object(owner, name, stand_in))
        yield network, bus


def _pools(server: Server) -> Any:
    class PoolHere(Pool):
        def __init__(self, conninfo: str, **options: Any) -> None:
            super().__init__(server, conninfo, options)

    return PoolHere


def _listener(world: World) -> Callable[..., Any]:
    """Counts the lines of the services' logs by event; refuses what no sound house says."""

    def hear(_: Any, level: str, event: dict[str, Any]) -> str:
        name = str(event["event"])
        world.log[name] += 1
        cause = event.get("exc_info")
        words = f"{cause!r}" if level in ("error", "exception") and cause else ""
        world.say(f"log {level} {name} {words}")
        if world.lines is not None and level in ("error", "exception", "critical"):
            world.lines.append(f"    {event!r}")
        raise structlog.DropEvent

    return hear
