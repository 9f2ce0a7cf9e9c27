"""gRPC-web as a browser sends it: HTTP/1.1, frames in the body, trailers as the last frame."""

import asyncio
import base64
import http.client
import re
import struct
from dataclasses import dataclass, field
from urllib.parse import unquote

from google.rpc import error_details_pb2, status_pb2

_TRAILERS = 0x80


@dataclass(frozen=True)
class WebAnswer:
    """What a browser would see."""

    http_status: int
    headers: dict[str, str]
    messages: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)

    @property
    def grpc_status(self) -> int:
        """The status, wherever it stands: trailers, or headers of an answer without a body."""
        return int({**self.headers, **self.trailers}["grpc-status"])

    @property
    def grpc_message(self) -> str:
        """The words beside it."""
        return unquote({**self.headers, **self.trailers}.get("grpc-message", ""))

    @property
    def reason(self) -> str:
        """The reason in its details, which tell the same status."""
        packed = {**self.headers, **self.trailers}["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
        assert (status.code, status.message) == (self.grpc_status, self.grpc_message)
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        return str(info.reason)


async def call(
    address: str, path: str, message: bytes, token: str = "", **headers: str
) -> WebAnswer:
    """POST one message to `path`."""
    frame = struct.pack(">BI", 0, len(message)) + message
    return await post(address, path, frame, token, **headers)


async def post(
    address: str, path: str, body: bytes, token: str = "", verb: str = "POST", **headers: str
) -> WebAnswer:
    """A body as it is. `headers`: an underscore is a hyphen."""
    sent = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["authorization"] = f"Bearer {token}"
    return await asyncio.to_thread(_post, address, verb, path, body, sent)


async def request(
    address: str, verb: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str]]:
    """A plain HTTP request: its status and headers."""
    return await asyncio.to_thread(_request, address, verb, path, headers)


def _request(
    address: str, verb: str, path: str, headers: dict[str, str]
) -> tuple[int, dict[str, str]]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(verb, path, headers=headers)
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def _post(address: str, verb: str, path: str, body: bytes, headers: dict[str, str]) -> WebAnswer:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(verb, path, body, headers)
        response = connection.getresponse()
        body = response.read()
        received = {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()
    if "-text" in received.get("content-type", ""):  # base64, padded piece by piece
        body = b"".join(map(base64.b64decode, re.findall(rb"[^=]+=*", body)))
    answer = WebAnswer(response.status, received)
    while body:
        flags, length = struct.unpack(">BI", body[:5])
        frame, body = body[5 : 5 + length], body[5 + length :]
        if flags & _TRAILERS:
            lines = (line.split(":", 1) for line in frame.decode().strip().split("\r\n"))
            answer.trailers.update({name.lower(): value.strip() for name, value in lines})
        else:
            answer.messages.append(frame)
    return answer
