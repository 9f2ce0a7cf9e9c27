"""A way over TCP on which bytes get lost or garbled without either side being told."""

import asyncio


class Way:
    """Carries connections from a port to an address."""

    def __init__(self, port: int, target: str) -> None:
        self._port = port
        self._host, _, self._target_port = target.rpartition(":")
        self.garbles = b""
        self._server: asyncio.Server | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._swallowing: set[asyncio.StreamReader] = set()
        self._carrying: set[asyncio.StreamReader] = set()

    @property
    def address(self) -> str:
        """Where it begins."""
        return f"127.0.0.1:{self._port}"

    async def open(self) -> None:
        """Begin to carry."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def close(self) -> None:
        """Carry nothing more."""
        if self._server is not None:
            self._server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def swallow(self) -> None:
        """What the connections of now bring is lost from here on; new ones are carried."""
        self._swallowing |= self._carrying

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_connection(self._host, int(self._target_port))
        for source, sink in ((reader, there[1]), (there[0], writer)):
            self._carrying.add(source)
            self._pumps.add(asyncio.create_task(self._pump(source, sink)))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while content := await source.read(65536):
                if self.garbles:
                    content = content.replace(self.garbles, b"\xff" * len(self.garbles))
                if source not in self._swallowing:
                    sink.write(content)
                    await sink.drain()
        except OSError:
            pass
        if source not in self._swallowing:
            sink.close()
