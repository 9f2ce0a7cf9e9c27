"""A name server for gRPC to ask: `dns://127.0.0.1:PORT/anything`."""

import asyncio
import socket
import struct

_HEADER = struct.Struct(">HHHHHH")
_AUTHORITATIVE = 0x8580
_NO_SUCH_NAME = 3
_ADDRESS = (b"\0\1", struct.pack(">HHHIH", 0xC00C, 1, 1, 0, 4))  # an A of a second zero


class Names(asyncio.DatagramProtocol):
    """Says that every name is `address`; empty: that there is no such name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.port = 0

    async def __aenter__(self) -> "Names":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question: its name, of whatever length, its type and its class."""
        end = data.index(b"\0", _HEADER.size) + 5
        kind, head = _ADDRESS
        is_known = self.address != "" and data[end - 4 : end - 2] == kind
        answer = head + socket.inet_aton(self.address) if is_known else b""
        flags = _AUTHORITATIVE | (0 if self.address else _NO_SUCH_NAME)
        (number,) = struct.unpack_from(">H", data)
        header = _HEADER.pack(number, flags, 1, int(is_known), 0, 0)
        self._transport.sendto(header + data[_HEADER.size : end] + answer, addr)
