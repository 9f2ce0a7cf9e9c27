"""One gRPC stream: messages in order either way, until the wire is cut."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc

from simulation.process import current_process
from simulation.status import Failed, ServerContext

if TYPE_CHECKING:
    from simulation.network import Channel, Server

_QUICK = (0.0002, 0.004)
_SLOW = (0.2, 4.0)


class Pipe:
    """Messages one way: whatever the delays, they arrive in the order sent."""

    def __init__(self, stream: "StreamCall", side: str) -> None:
        self._stream = stream
        self._world = stream.world
        self._side = side
        self._on_way: deque[bytes] = deque()
        self._here: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self.is_over = False

    async def put(self, message: bytes) -> None:
        """Send one message."""
        await self._world.at(f"stream.{self._side}:{self._stream.name}")
        self._world.seen.streamed(self._stream.name, self._side, message)
        self._on_way.append(message)
        place = f"stream.{self._side}:{self._stream.name}"
        slow = self._world.strikes("stream_slow", place)
        self._world.later(*(_SLOW if slow else _QUICK), self._arrive)
        if self._world.strikes("stream_cut", place):
            self._world.later(*_QUICK, self._stream.cut, "connection reset")

    def _arrive(self) -> None:
        if self._on_way and not self.is_over:
            self._here.append(self._on_way.popleft())
            self._wake.set()

    def end(self) -> None:
        """No more messages; what has arrived can still be read."""
        self.is_over = True
        self._wake.set()

    async def get(self) -> bytes | None:
        """The next message; None at the end."""
        while not self._here:
            if self.is_over:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._here.popleft()


class StreamCall:
    """As grpc.aio.StreamStreamCall, or UnaryStreamCall with a `request`: the caller's end."""

    def __init__(  # noqa: PLR0913 - a call's own
        self,
        channel: "Channel",
        method: str,
        pack: Any,
        unpack: Any,
        metadata: Any,
        *,
        request: Any = None,
    ) -> None:
        self.world = channel.network.world
        self.name = method.rpartition("/")[2]
        self._channel = channel
        self._method = method
        self._metadata = tuple(metadata or ())
        self._pack: Callable[[Any], bytes] = pack
        self._unpack: Callable[[bytes], Any] = unpack
        self._request = None if request is None else pack(request)
        self._up, self._down = Pipe(self, "up"), Pipe(self, "down")
        self._status: Any = None
        self._handler: asyncio.Task[Any] | None = None
        self._dialing = self.world.loop.create_task(self._dial())
        process = current_process.get()
        if process is not None:
            process.at_death.append(self._hang_up)

    async def write(self, request: Any) -> None:
        """Send a message. Raises AioRpcError or InvalidStateError."""
        await self._dialing
        if self._status is not None:
            raise asyncio.InvalidStateError("RPC already finished.")
        await self._up.put(self._pack(request))

    async def read(self) -> Any:
        """The next message, or EOF. Raises AioRpcError."""
        await self._dialing
        message = await self._down.get()
        if message is not None:
            return self._unpack(message)
        if self._status is not None:
            raise self._status.as_seen()
        return grpc.aio.EOF

    def cancel(self) -> None:
        """Hang up."""
        self._dialing.cancel()
        self._hang_up()

    def cut(self, details: str) -> None:
        """The wire is cut: each side finds out."""
        self._finish(Failed(grpc.StatusCode.UNAVAILABLE, details))
        self.world.later(*_QUICK, self._stop_handler)

    def _finish(self, status: Any) -> None:
        if self._status is None and not self._down.is_over:
            self._status = status
        self._down.end()

    def _hang_up(self) -> None:
        self._down.end()
        self.world.later(*_QUICK, self._stop_handler)

    def _stop_handler(self) -> None:
        if self._handler is not None:
            self._handler.cancel()

    async def _dial(self) -> None:
        await self.world.pause(*_QUICK)
        server = self._channel.network.choose(self._channel.address)
        if server is None:
            self.cut("connection refused")
            return
        self._handler = server.start_call(self._serve(server, self._metadata))
        if server.process is not None:
            server.process.at_death.append(lambda: self.cut("the server is gone"))

    async def _serve(self, server: "Server", metadata: Any) -> None:
        status = None
        try:
            handler = await server.handler(self._method, metadata)
            context = ServerContext(metadata)
            read = handler.request_deserializer or bytes
            if self._request is None:
                responses = handler.stream_stream(self._requests(read), context)
            else:
                responses = handler.unary_stream(read(self._request), context)
            async for response in responses:
                await self._down.put(handler.response_serializer(response))
        except Failed as failed:
            status = failed
        except Exception as broken:
            status = Failed(grpc.StatusCode.UNKNOWN, repr(broken))
        self.world.later(0.005, 0.01, self._finish, status)

    async def _requests(self, unpack: Callable[[bytes], Any]) -> AsyncIterator[Any]:
        while (message := await self._up.get()) is not None:
            yield unpack(message)
