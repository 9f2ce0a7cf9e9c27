"""gRPC out: the house's two doors, through Envoy, and what a call may come to.

Every call of the command line carries its own ids, so that each is safe to repeat.
"""

import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar, cast

import grpc
from google.protobuf.message import Message

from libs.direct import DIRECT
from libs.rpc.status import reason_of, retry_after
from services.cli.failures import ExitCode, Failure, refused, unavailable, unreachable
from services.cli.house_file import read_house
from services.cli.settings import Settings
from services.cli.tokens import OPERATOR, check_subject, customer_token, operator_token

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)

_CONNECT_SECONDS = 2.0
_CALL_SECONDS = 10.0
_TRIES = 5
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    DIRECT,
]
# A stream that ends so was cut off, and goes on where it was.
_CUT_OFF = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class Door:
    """One of Envoy's listeners, entered with one caller's token."""

    def __init__(self, name: str, channel: grpc.Channel, token: Callable[[], str]) -> None:
        self._name = name
        self._token = token
        self.channel = channel

    def call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        *,
        seconds: float = _CALL_SECONDS,
        tries: int = _TRIES,
    ) -> Response:
        """The answer. Waits a moment for a service that is being restarted. Raises Failure."""
        pauses = _pauses()
        while True:
            tries -= 1
            try:
                return method(request, timeout=seconds, metadata=self.metadata())
            except grpc.RpcError as error:
                if tries <= 0 or _code(error) is not grpc.StatusCode.UNAVAILABLE:
                    raise self.failure(error) from None
            time.sleep(next(pauses))

    def stream(
        self,
        method: "grpc.UnaryStreamMultiCallable[Request, Response]",
        request: Request,
        *,
        seconds: float | None = None,
    ) -> Iterator[Response]:
        """The messages of one stream, over one connection. Raises Failure."""
        try:
            yield from method(request, timeout=seconds, metadata=self.metadata())
        except grpc.RpcError as error:
            raise self.failure(error) from None

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What says who calls."""
        return (("authorization", f"Bearer {self._token()}"),)

    def failure(self, error: grpc.RpcError) -> Failure:
        """What a call that ended with `error` means for a person."""
        code = _code(error)
        details = str(cast(grpc.Call, error).details() or "no words were given")
        reason = reason_of(error)
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and not reason:
            return unavailable(f"{self._name}, or what is behind it, gives no answer in time")
        if code not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
            return refused(reason or code.name, details, retry_after(error) or None)
        return unavailable(details) if reason else unreachable(self._name, details)


def follow(
    door: Door,
    open_stream: Callable[[], Iterator[Response]],
    *,
    deadline: float | None = None,
    on_cut_off: Callable[[str], None],
) -> Iterator[Response]:
    """The messages of a stream that is opened anew whenever it is cut off.

    `open_stream` must begin after what it has given already. Ends at `deadline` (monotonic
    seconds). Raises Failure when the house refuses.
    """
    pauses = _pauses()
    while deadline is None or time.monotonic() < deadline:
        try:
            for message in open_stream():
                pauses = _pauses()
                yield message
            why = "the stream ended"
        except grpc.RpcError as error:
            if _code(error) is grpc.StatusCode.DEADLINE_EXCEEDED:
                continue
            if _code(error) not in _CUT_OFF:
                raise door.failure(error) from None
            why = str(cast(grpc.Call, error).details() or _code(error).name)
        pause = next(pauses)
        if deadline is not None and time.monotonic() + pause >= deadline:
            return  # too late to go on; the house itself may hang up a moment before the deadline
        on_cut_off(why)
        time.sleep(pause)


@contextmanager
def customers_door(settings: Settings, customer: str | None) -> Iterator[Door]:
    """The public listener as `customer`, or as whom the settings say. Raises Failure."""
    check_subject(settings, "--as", customer)
    address = settings.public_address or read_house(settings).public

    def token() -> str:
        return settings.token or customer_token(
            settings, settings.customer if customer is None else customer
        )

    with _opened("the customers' listener", address, token) as door:
        yield door


@contextmanager
def operators_door(settings: Settings, operator: str = "") -> Iterator[Door]:
    """The operators' listener as `operator`, or as whom the settings say. Raises Failure."""
    check_subject(settings, "--operator", operator or None)
    address = settings.operators_address or read_house(settings).operators

    def token() -> str:
        return settings.token or operator_token(settings, operator or OPERATOR)

    with _opened("the operators' listener", address, token) as door:
        yield door


@contextmanager
def _opened(name: str, address: str, token: Callable[[], str]) -> Iterator[Door]:
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdigit():
        raise Failure(f"{name} cannot be at {address!r}: an address is host:port", ExitCode.USAGE)
    try:
        # Asked first, for gRPC itself would wait out its deadline.
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:  # OverflowError: there is no such port
        raise unreachable(f"{name} at {address}", str(error)) from None
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        yield Door(f"{name} at {address}", channel, token)


def remaining(deadline: float | None) -> float | None:
    """Seconds until `deadline` (monotonic seconds), as a call's timeout."""
    return None if deadline is None else max(deadline - time.monotonic(), 0.001)


def _pauses() -> Iterator[float]:
    """Growing pauses with some chance in them, in seconds."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _code(error: grpc.RpcError) -> grpc.StatusCode:
    return cast(grpc.Call, error).code()
