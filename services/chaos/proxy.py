"""Ways between the parts that can be cut, stalled and slowed: a TCP proxy for each."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

HOST = "127.0.0.1"
_CHUNK_BYTES = 1 << 16
_CONNECT_SECONDS = 5.0


class Mode(Enum):
    """How a way is."""

    OPEN = "open"
    CUT = "cut"  # connections are broken off, new ones too
    STALLED = "stalled"  # connections stay, and nothing passes


class Way:
    """Passes bytes from its own `port` to `target` (host:port), unless told otherwise."""

    def __init__(self, port: int, target: str) -> None:
        self.port = port
        self._host, _, target_port = target.rpartition(":")
        self._target_port = int(target_port)
        self._mode = Mode.OPEN
        self._delay_seconds = 0.0
        self._passes = asyncio.Event()
        self._passes.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """host:port of this end."""
        return f"{HOST}:{self.port}"

    async def open(self) -> None:
        """Begin to listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def close(self) -> None:
        """Break everything off."""
        if self._server is not None:
            self._server.close()
        self._break_off()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def set(self, mode: Mode, *, delay_ms: int = 0) -> None:
        """How it is from now on; what passes takes `delay_ms`."""
        self._mode = mode
        self._delay_seconds = delay_ms / 1000
        if mode is Mode.STALLED:
            self._passes.clear()
        else:
            self._passes.set()
        if mode is Mode.CUT:
            self._break_off()

    def _break_off(self) -> None:
        for connection in self._connections:
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            if self._mode is not Mode.CUT:
                await self._carry(reader, writer)
        except (OSError, TimeoutError, asyncio.CancelledError):
            pass  # an end is gone: so is the connection
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one end closes, both ways."""
        await self._passes.wait()
        async with asyncio.timeout(_CONNECT_SECONDS):
            there = await asyncio.open_connection(self._host, self._target_port)
        pumps = [
            asyncio.create_task(self._pump(reader, there[1])),
            asyncio.create_task(self._pump(there[0], writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            there[1].transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while octets := await reader.read(_CHUNK_BYTES):
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                await self._passes.wait()
                writer.write(octets)
                await writer.drain()


class Ways:
    """All ways of a house: process -> part -> way."""

    def __init__(self, ways: Mapping[str, Mapping[str, Way]]) -> None:
        self._ways = ways

    async def __aenter__(self) -> "Ways":
        for way in self._all():
            await way.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        for way in self._all():
            await way.close()

    def addresses(self) -> dict[str, dict[str, str]]:
        """What each process is told of each part it calls."""
        return {
            process: {part: way.address for part, way in parts.items()}
            for process, parts in self._ways.items()
        }

    def of(self, target: str) -> Sequence[Way]:
        """The one way of `order>nats`, or all ways from and to a process."""
        process, arrow, part = target.partition(">")
        if arrow:
            return [self._ways[process][part]]
        own = list(self._ways.get(process, {}).values())
        return own + [parts[process] for parts in self._ways.values() if process in parts]

    def _all(self) -> Iterable[Way]:
        return [way for parts in self._ways.values() for way in parts.values()]
