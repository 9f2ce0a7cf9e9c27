"""A channel to a neighbour, with the service's own token on every call."""

from pathlib import Path
from typing import Any

import grpc

_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 16 << 20),
    # A neighbour that was restarted is found again within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
]


def connect(address: str, token_file: Path | str) -> grpc.aio.Channel:
    """A channel to `address` (host:port). The token is read again when its file changes."""
    bearer = _Bearer(Path(token_file))
    interceptors: list[grpc.aio.ClientInterceptor] = [
        _UnaryUnary(bearer),
        _UnaryStream(bearer),
        _StreamUnary(bearer),
        _StreamStream(bearer),
    ]
    return grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)


class _Bearer:
    """Adds the token to a call's metadata."""

    def __init__(self, token_file: Path) -> None:
        self._token_file = token_file
        self._changed_at = 0
        self._value = ""

    def sign(self, details: Any) -> Any:
        changed_at = self._token_file.stat().st_mtime_ns
        if changed_at != self._changed_at:
            self._value = f"Bearer {self._token_file.read_text().strip()}"
            self._changed_at = changed_at
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata.add("authorization", self._value)
        return details._replace(metadata=metadata)


class _Signing:
    def __init__(self, bearer: _Bearer) -> None:
        self._bearer = bearer


class _UnaryUnary(_Signing, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._bearer.sign(details), request)


class _UnaryStream(_Signing, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self._bearer.sign(details), request)


class _StreamUnary(_Signing, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(self._bearer.sign(details), requests)


class _StreamStream(_Signing, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(self._bearer.sign(details), requests)
