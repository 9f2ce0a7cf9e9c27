"""gRPC between simulated processes: real stubs, real handlers, real bytes, and a bad wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextvars import Context
from typing import Any, NamedTuple

import grpc
from grpc_health.v1 import health_pb2

from simulation.process import current_process
from simulation.status import Failed, ServerContext
from simulation.stream import StreamCall
from simulation.world import World

_QUICK = (0.0002, 0.004)
_SLOW = (0.2, 3.0)
_HEALTH = "/grpc.health.v1.Health/Check"
_ONE_OF_EIGHT = (True, *7 * (False,))


class CallDetails(NamedTuple):
    """As grpc.HandlerCallDetails."""

    method: str
    invocation_metadata: Any


class Server:
    """As grpc.aio.server()."""

    def __init__(self, network: "Network", interceptors: Any) -> None:
        self._network = network
        self._interceptors = list(interceptors or ())
        self._handlers: dict[str, Any] = {}
        self._address = ""
        self.process = current_process.get()
        self.calls: set[asyncio.Task[Any]] = set()
        self.is_open = False

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Take what is registered by name instead."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Serve these methods."""
        self._handlers |= {f"/{service}/{name}": handler for name, handler in handlers.items()}

    def add_insecure_port(self, address: str) -> int:
        """Say where."""
        self._address = address
        return 1

    @property
    def is_ready(self) -> bool:
        """Whether a load balancer sends calls here, by the server's own health."""
        health = self._handlers[_HEALTH].unary_unary.__self__
        return bool(health._server_status.get("") == health_pb2.HealthCheckResponse.SERVING)

    async def start(self) -> None:
        """Serve."""
        self.is_open = True
        self._network.servers.setdefault(self._address, []).append(self)

    async def stop(self, grace: float | None) -> None:
        """Take no new calls, let the others end in time, cut off the rest."""
        self.is_open = False
        servers = self._network.servers.get(self._address, [])
        if self in servers:
            servers.remove(self)
        if self.calls:
            await asyncio.wait(list(self.calls), timeout=grace or 0.0)
        for call in sorted(self.calls, key=hash):
            call.cancel()

    async def handler(self, method: str, metadata: Any) -> Any:
        """Who answers a method, behind the interceptors."""

        async def found(details: CallDetails) -> Any:
            return self._handlers.get(details.method)

        continuation: Callable[[CallDetails], Awaitable[Any]] = found
        for interceptor in reversed(self._interceptors):
            continuation = _behind(interceptor, continuation)
        handler = await continuation(CallDetails(method, metadata))
        if handler is None:
            raise Failed(grpc.StatusCode.UNIMPLEMENTED, method)
        return handler

    def start_call(self, work: Any) -> asyncio.Task[Any]:
        """Run a handler within this server's process."""
        context = Context()
        context.run(current_process.set, self.process)
        task = self._network.world.loop.create_task(work, context=context)
        self.calls.add(task)
        task.add_done_callback(self.calls.discard, context=Context())
        return task


def _behind(interceptor: Any, inner: Any) -> Callable[[CallDetails], Awaitable[Any]]:
    return lambda details: interceptor.intercept_service(inner, details)


class Channel:
    """As grpc.aio.insecure_channel()."""

    def __init__(self, network: "Network", address: str) -> None:
        self.network = network
        self.address = address

    def unary_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Any:
        """A method to call."""

        async def call(request: Any, *, timeout: float | None = None, metadata: Any = None) -> Any:
            signed = tuple(metadata or ())
            sent = Call(self, method, request_serializer(request), signed, timeout or 60.0)
            return response_deserializer(await sent.answer())

        return call

    def stream_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Any:
        """A method to converse with."""

        def call(metadata: Any = None) -> StreamCall:
            return StreamCall(self, method, request_serializer, response_deserializer, metadata)

        return call

    def stream_unary(
        self, method: str, request_serializer: Any, response_deserializer: Any, **options: Any
    ) -> Any:
        """A method to tell something: in a simulation all that is told is one message."""
        call = self.unary_unary(method, request_serializer, response_deserializer, **options)

        async def tell(requests: Iterable[Any], **more: Any) -> Any:
            (request,) = requests
            return await call(request, **more)

        return tell

    def unary_stream(
        self, method: str, request_serializer: Any, response_deserializer: Any, **_: Any
    ) -> Any:
        """A method to listen to."""

        def call(request: Any, metadata: Any = None) -> StreamCall:
            return StreamCall(
                self, method, request_serializer, response_deserializer, metadata, request=request
            )

        return call

    async def close(self, grace: float | None = None) -> None:
        """Nothing is kept."""


async def _only(request: Any) -> AsyncIterator[Any]:
    yield request


class Call:
    """One call with one answer on its way over the wire."""

    def __init__(
        self, channel: Channel, method: str, request: bytes, metadata: Any, timeout: float
    ) -> None:
        self._network = channel.network
        self._world = channel.network.world
        self._address = channel.address
        self._method = method
        self._name = method.rpartition("/")[2]
        self._request = request
        self._metadata = metadata
        self._timeout = timeout
        self._answer = self._world.loop.create_future()
        self._tasks: list[asyncio.Task[Any]] = []

    async def answer(self) -> bytes:
        """The response's bytes. Raises AioRpcError."""
        world = self._world
        memory = world.seen.request(self._name, self._request)
        await world.at(f"rpc.send:{self._name}")
        self._post()
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._answer
        except TimeoutError:
            self._abandon()
            failed = Failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
            raise failed.as_seen() from None
        except asyncio.CancelledError:
            self._abandon()
            raise
        await world.at(f"rpc.answered:{self._name}")
        if isinstance(found, Failed):
            raise found.as_seen()
        world.seen.response(self._name, memory, found)
        return bytes(found)

    def _post(self) -> None:
        world, place = self._world, f"rpc.send:{self._name}"
        if world.strikes("request_lost", place):
            self._lose()
            return
        for _ in range(2 if world.strikes("request_doubled", place) else 1):
            slow = world.strikes("call_slow", place)
            world.later(*(_SLOW if slow else _QUICK), self._arrive)

    def _lose(self) -> None:
        """The caller hears of it at once, or by its deadline."""
        if self._world.toss():
            self._world.later(*_QUICK, self._say, Failed(grpc.StatusCode.UNAVAILABLE, "lost"))

    def _arrive(self) -> None:
        server = self._network.choose(self._address)
        if server is None:
            self._say(Failed(grpc.StatusCode.UNAVAILABLE, "connection refused"))
            return
        task = server.start_call(self._serve(server))
        self._tasks.append(task)
        process = server.process
        if process is not None:
            process.at_death.append(self._break)

    def _break(self) -> None:
        if not self._answer.done():
            self._world.later(*_QUICK, self._say, Failed(grpc.StatusCode.UNAVAILABLE, "reset"))

    async def _serve(self, server: Server) -> None:
        try:
            await self._world.at(f"rpc.receive:{self._name}")
            handler = await server.handler(self._method, self._metadata)
            read = handler.request_deserializer or bytes  # bytes: the door reads them itself
            request = read(self._request)
            context = ServerContext(self._metadata)
            if handler.stream_unary is not None:
                response = await handler.stream_unary(_only(request), context)
            else:
                response = await handler.unary_unary(request, context)
            found: bytes | Failed = handler.response_serializer(response)
        except Failed as failed:
            found = failed
        except asyncio.CancelledError:
            self._say(Failed(grpc.StatusCode.CANCELLED, "the server stops"))
            raise
        self._world.seen.answered(self._name, self._request, found)
        place = f"rpc.reply:{self._name}"
        await self._world.at(place)
        if self._world.strikes("reply_lost", place):
            self._lose()
        else:
            self._world.later(*_QUICK, self._say, found)

    def _say(self, found: bytes | Failed) -> None:
        if not self._answer.done():
            self._answer.set_result(found)

    def _abandon(self) -> None:
        """The server hears that nobody waits any more, or does not."""
        for task in self._tasks:
            if self._world.toss():
                self._world.later(*_QUICK, task.cancel)


class Network:
    """Who listens where."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.servers: dict[str, list[Server]] = {}

    def server(self, interceptors: Any = None, **_: Any) -> Server:
        """As grpc.aio.server."""
        return Server(self, interceptors)

    def channel(self, address: str, **_: Any) -> Channel:
        """As grpc.aio.insecure_channel."""
        return Channel(self, address)

    def choose(self, address: str) -> Server | None:
        """One of those that listen there, a ready one unless what is known of that is stale."""
        servers = [
            server
            for server in self.servers.get(address, [])
            if server.process is None or not server.process.is_dead
        ]
        self.servers[address] = servers
        if not servers:
            return None
        ready = [server for server in servers if server.is_ready]
        is_stale = self.world.choice(_ONE_OF_EIGHT)
        return self.world.choice(servers if is_stale or not ready else ready)
