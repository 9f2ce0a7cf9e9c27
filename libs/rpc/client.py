"""A channel to a neighbour, with the service's own token on every call."""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import jwt
from prometheus_client import Gauge

from libs.direct import DIRECT

_expires_at = Gauge(
    "service_token_expires_at_seconds",
    "when the token that this service calls by runs out, since 1970",
)

_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 16 << 20),
    # A neighbour that was restarted is found again within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Nor is one that came back with another address: by the default a name is asked for again only
    # half a minute later.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    DIRECT,
]


def connect(address: str, token_file: Path | str) -> grpc.aio.Channel:
    """A channel to `address` (host:port). The token is read again when its file changes."""
    return _Signing(grpc.aio.insecure_channel(address, options=_OPTIONS), _Bearer(Path(token_file)))


class _Bearer:
    """The token as it goes with a call."""

    def __init__(self, token_file: Path) -> None:
        self._token_file = token_file
        self._changed_at = 0
        self._entry = ("authorization", "")

    def entry(self) -> tuple[str, str]:
        """An entry of a call's metadata. Raises OSError while there never was a token.

        A file that cannot be read for a moment is no reason to fail: there is the token read last.
        """
        try:
            changed_at = self._token_file.stat().st_mtime_ns
            if changed_at != self._changed_at:
                token = self._token_file.read_text().strip()
                self._entry, self._changed_at = ("authorization", f"Bearer {token}"), changed_at
                _expires_at.set(_expiry(token))
        except OSError:
            if not self._changed_at:
                raise
        return self._entry


def _expiry(token: str) -> float:
    """In seconds since 1970; 0 of what is no token."""
    try:
        return float(jwt.decode(token, options={"verify_signature": False})["exp"])
    except (jwt.InvalidTokenError, LookupError, ValueError, TypeError):
        return 0.0


class _Signing(grpc.aio.Channel):
    """Adds the token to every call. An interceptor would make a task of each, and of its stream."""

    def __init__(self, channel: grpc.aio.Channel, bearer: _Bearer) -> None:
        self._channel = channel
        self._bearer = bearer

    def unary_unary(self, *method: Any, **options: Any) -> Any:
        return self._signed(self._channel.unary_unary(*method, **options))

    def unary_stream(self, *method: Any, **options: Any) -> Any:
        return self._signed(self._channel.unary_stream(*method, **options))

    def stream_unary(self, *method: Any, **options: Any) -> Any:
        return self._signed(self._channel.stream_unary(*method, **options))

    def stream_stream(self, *method: Any, **options: Any) -> Any:
        return self._signed(self._channel.stream_stream(*method, **options))

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._channel.__aexit__(kind, error, trace)

    def _signed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        bearer = self._bearer

        def call(*request: Any, metadata: Any = None, **options: Any) -> Any:
            return method(*request, metadata=(*(metadata or ()), bearer.entry()), **options)

        return call
