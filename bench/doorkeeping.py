"""What the door of a service takes of a call, in CPU: all of it, and what less without a part."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import structlog

from bench.report import Row
from libs.auth import Role, Verifier
from libs.clock import SystemClock
from libs.rpc import doorkeeper

_METHOD = "/stockbroker.order.v1.OrderService/PlaceTrade"
_CALLS = 20_000
_TIMES = 3  # the least counts
NOTE = "CPU of one call; what answers it does nothing"


class _Context:
    """Of a call with a token."""

    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"), ("user-agent", "bench"))

    def invocation_metadata(self) -> Any:
        return self._metadata


class _Nothing:
    """A metric that is not kept."""

    def inc(self) -> None: ...

    def observe(self, _: float) -> None: ...


_NOTHING = _Nothing()


def parts_of_the_door(jwks_file: Path, token: str) -> list[Row]:
    """A row for the whole, and one for each part."""
    verifier, context = Verifier(str(jwks_file)), _Context(token)
    bare = _least(_answered, context)
    whole = _least(_kept(verifier), context)
    rows = [Row(name="a service's door: all of it", value=whole - bare, unit="us", note=NOTE)]
    for name, left_out in (("metrics", _without_metrics), ("trace ids", _without_traces)):
        with left_out():
            less = _least(_kept(verifier), context)
        rows.append(Row(name=f"a service's door: {name}", value=whole - less, unit="us", note=NOTE))
    return rows


async def _answered(_request: bytes, _context: Any) -> bytes:
    return b""


def _kept(verifier: Verifier) -> Callable[[bytes, Any], Any]:
    """The same behind the door."""
    door = doorkeeper.Doorkeeper(
        allow={_METHOD: frozenset({Role.CUSTOMER})},
        quiet=frozenset({_METHOD}),
        verifier=verifier,
        clock=SystemClock(),
    )
    handler: Any = grpc.unary_unary_rpc_method_handler(_answered)
    kept: Any = door._wrap(_METHOD, handler)
    answer: Callable[[bytes, Any], Any] = kept.unary_unary
    return answer


def _least(answer: Callable[[bytes, Any], Any], context: Any) -> float:
    """Microseconds of CPU a call."""

    async def often() -> float:
        began = time.thread_time()
        for _ in range(_CALLS):
            await answer(b"", context)
        return 1e6 * (time.thread_time() - began) / _CALLS

    return min(asyncio.run(often()) for _ in range(_TIMES))


@contextmanager
def _without_metrics() -> Iterator[None]:
    with (
        patch.object(doorkeeper, "_count", lambda *_: _NOTHING),
        patch.object(doorkeeper, "_times", lambda _: _NOTHING),
    ):
        yield


@contextmanager
def _without_traces() -> Iterator[None]:
    with (
        patch.object(doorkeeper, "_trace_id", lambda _: ""),
        patch.object(structlog.contextvars, "bind_contextvars", lambda **_: None),
    ):
        yield
