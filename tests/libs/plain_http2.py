"""HTTP/2 by hand, for what no client of gRPC would send: a connection, one call after another."""

import asyncio
import struct

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _PING = 0, 1, 4, 6
_ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
_TABLE_SIZE = 1
_INDEXED_NAME = bytes([0x40 | 62])  # the newest entry of the table


class Connection:
    """Keeps names of headers in the table where the server has one, as Envoy does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._next_stream = 1
        self._is_told = False  # `name` is in the table
        self._has_table = True

    async def begin(self) -> None:
        """Say hello and hear what the server says of its table."""
        self._writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, b""))
        while True:
            kind, flags, _, payload = await self._read()
            if kind == _SETTINGS and not flags & _ACK:
                settings = dict(struct.iter_unpack(">HI", payload))
                self._has_table = settings.get(_TABLE_SIZE, 4096) > 0
                self._writer.write(_frame(_SETTINGS, _ACK, 0, b""))
                return

    async def is_answered(self, path: str, name: str, value: str) -> bool:
        """Call `path` with an empty message and one header; whether a message comes back."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        fixed = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "x")]
        fixed += [("content-type", "application/grpc"), ("te", "trailers")]
        block = b"" if self._has_table else b"\x20"  # its size is nought
        block += b"".join(b"\x00" + _text(key) + _text(each) for key, each in fixed)
        if not self._has_table:
            block += b"\x00" + _text(name) + _text(value)
        elif self._is_told:
            block += _INDEXED_NAME + _text(value)
        else:
            block += b"\x40" + _text(name) + _text(value)
            self._is_told = True
        self._writer.write(_frame(_HEADERS, _END_HEADERS, stream, block))
        self._writer.write(_frame(_DATA, _END_STREAM, stream, bytes(5)))
        has_message = False
        while True:
            kind, flags, of, payload = await self._read()
            if kind == _PING and not flags & _ACK:
                self._writer.write(_frame(_PING, _ACK, 0, payload))
            has_message |= kind == _DATA and of == stream
            if of == stream and flags & _END_STREAM and kind in (_DATA, _HEADERS):
                return has_message

    async def _read(self) -> tuple[int, int, int, bytes]:
        head = await self._reader.readexactly(9)
        payload = await self._reader.readexactly(int.from_bytes(head[:3]))
        return head[3], head[4], int.from_bytes(head[5:]), payload


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
