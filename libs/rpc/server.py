"""A gRPC server with health, reflection and a doorkeeper."""

import asyncio
import importlib
import pkgutil
import socket
from functools import cache

import grpc
import structlog
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha._async import ReflectionServicer

import stockbroker
from libs.auth import Role, Verifier
from libs.clock import Clock, SystemClock
from libs.rpc.doorkeeper import Allow, Doorkeeper

_OPTIONS = [
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Envoy and our own clients ping quiet streams; without this the answer is GOAWAY.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.max_receive_message_length", 4 << 20),
    # Whatever the edge lets through; by the default some calls of 8 kB are refused, and some not.
    ("grpc.max_metadata_size", 64 << 10),
    # A unary call without a message is never answered by grpc.aio: it must not pile up.
    ("grpc.max_concurrent_streams", 4096),
    # No table of headers: gRPC keeps in it one that it could not read, and fails whoever refers to
    # that name later; behind the edge calls of many customers share a connection.
    ("grpc.http2.hpack_table_size.decoder", 0),
]
_REFLECTION = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
_LIVENESS = "liveness"
_log = structlog.get_logger()


class RpcServer:
    """Serves the servicers added to `server`; deny by default, see Doorkeeper.

    `allow` maps full methods to the roles that may call them. Reflection answers operators, and
    tells the contracts of the whole house, so that one door can show them all. Health answers
    everybody: "liveness" while the process runs, "" and the names given to `serves` while
    it is ready.

    A server of grpc.aio accepts one call per turn of the event loop, or less: where calls come
    singly and turns are long, the calls wait unseen. `acceptors` servers that share the port, by
    connection, accept as many; servicers are then added to each of `servers`.
    """

    def __init__(  # noqa: PLR0913 - its parts
        self,
        *,
        listen: str,
        allow: Allow,
        verifier: Verifier,
        quiet: frozenset[str] = frozenset(),
        acceptors: int = 1,
        clock: Clock | None = None,
    ) -> None:
        reflection = {
            f"/{name}/ServerReflectionInfo": frozenset({Role.OPERATOR}) for name in _REFLECTION
        }
        doorkeeper = Doorkeeper(
            allow={**allow, **reflection},
            quiet=quiet,
            verifier=verifier,
            clock=clock or SystemClock(),
        )
        options = [*_OPTIONS, ("grpc.so_reuseport", int(acceptors > 1))]
        self.servers = [
            grpc.aio.server(interceptors=[doorkeeper], options=options) for _ in range(acceptors)
        ]
        self._listen = listen
        self._names: list[str] = []
        self._health = HealthServicer()
        self.port = 0
        self.failed = asyncio.Event()  # what it lives by is broken: the process is to end

    @property
    def server(self) -> grpc.aio.Server:
        """The only one, or the first."""
        return self.servers[0]

    @property
    def address(self) -> str:
        """host:port as bound."""
        return f"{self._listen.rpartition(':')[0]}:{self.port}"

    def serves(self, *names: str) -> None:
        """Name the services whose health this server tells."""
        self._names.extend(names)

    def lives_by(self, task: asyncio.Task[None]) -> None:
        """`task` should only ever end with the server; one that fails ends the process."""

        def look_back(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                _log.error("task_failed", task=task.get_name(), exc_info=task.exception())
                self.failed.set()

        task.add_done_callback(look_back)

    async def start(self) -> None:
        """Bind and serve; not ready until set_ready(True). OSError when the port is taken."""
        for server in self.servers:
            health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
            _add_reflection(server)
        self._bind()
        await self._health.set(_LIVENESS, health_pb2.HealthCheckResponse.SERVING)
        await self.set_ready(False)
        for server in self.servers:
            await server.start()

    async def set_ready(self, is_ready: bool, *names: str) -> None:
        """Say whether calls can be answered now; `names`: of these services alone."""
        status = (
            health_pb2.HealthCheckResponse.SERVING
            if is_ready
            else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in names or ("", *self._names):
            await self._health.set(name, status)

    async def stop(self, grace_seconds: float = 5.0) -> None:
        """Take no new calls, let those in progress end, then cut off the rest."""
        await self._health.enter_graceful_shutdown()
        await asyncio.gather(*(server.stop(grace_seconds) for server in self.servers))

    def _bind(self) -> None:
        """All on one port, which nobody else has. Raises OSError."""
        host, _, port = self._listen.rpartition(":")
        try:
            if len(self.servers) > 1:
                _check_free(host, int(port))
            for server in self.servers:
                self.port = server.add_insecure_port(f"{host}:{self.port or port}")
        except (OSError, RuntimeError) as error:
            raise OSError(f"cannot listen on {self._listen}: is the port in use?") from error


def _check_free(host: str, port: int) -> None:
    """Those who share a port do not see that others have it. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host.strip("[]"), port, type=socket.SOCK_STREAM
    )[0]
    with socket.socket(family, kind, protocol) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        trial.bind(address)


def _add_reflection(server: grpc.aio.Server) -> None:
    """Reflection v1alpha as the library has it, and the same under its v1 name for newer tools."""
    # Its v1 name is served but not listed: the library brings no description of it.
    servicer = ReflectionServicer((*_house_services(), _REFLECTION[0]))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        reflection_pb2.ServerReflectionRequest.FromString,
        reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    v1 = grpc.method_handlers_generic_handler(_REFLECTION[1], {"ServerReflectionInfo": handler})
    server.add_generic_rpc_handlers((v1,))


@cache
def _house_services() -> tuple[str, ...]:
    """Full names of all services in the contracts."""
    names: list[str] = []
    for module in pkgutil.walk_packages(stockbroker.__path__, "stockbroker."):
        if module.name.endswith("_service_pb2"):
            services = importlib.import_module(module.name).DESCRIPTOR.services_by_name.values()
            names += [service.full_name for service in services]
    return tuple(name for name in names if descriptor_pool.Default().FindServiceByName(name))
