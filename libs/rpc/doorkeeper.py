"""What happens at the door of every RPC: who calls, may they, what came of it, a line, a count.

Roles are given per full method (`/package.Service/Method`); what is not listed is denied.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from prometheus_client import Counter, Histogram

from libs.auth import Principal, Role, Verifier, caller, set_caller
from libs.clock import Clock
from libs.refusals import Denied, Internal, Invalid, Refusal, Unauthenticated, Unavailable
from libs.rpc.status import to_status
from libs.tasks import is_cancelled
from stockbroker.common.v1.reason_pb2 import Reason

if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]
else:  # generic for the type checker only
    Handler = grpc.RpcMethodHandler
    Context = grpc.aio.ServicerContext
Allow = Mapping[str, frozenset[Role]]
Read = Callable[[Any], Any]

_handled = Counter("grpc_server_handled", "RPCs ended", ["method", "code"])
_seconds = Histogram("grpc_server_handling_seconds", "Seconds an RPC took", ["method"])
_NO_MORE = object()
# The length of a call's body, as the edge saw it. A message whose head is garbled comes out of gRPC
# as an empty one, which may well mean something: all trades, say.
BYTES_SENT = "x-bytes-sent"
_NO_MESSAGE_BYTES = ("5", "8")  # the head alone, and as base64
_log = structlog.get_logger()


@lru_cache
def _count(method: str, code: str) -> Counter:
    """How many calls of a method ended so; looking it up by labels costs more than counting."""
    return _handled.labels(method, code)


@lru_cache
def _times(method: str) -> Histogram:
    """How long the calls of a method took."""
    return _seconds.labels(method)


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Wraps every handler once. `quiet` methods log only failures: hot paths log per batch."""

    def __init__(
        self, *, allow: Allow, quiet: frozenset[str], verifier: Verifier, clock: Clock
    ) -> None:
        self._allow = allow
        self._quiet = quiet
        self._verifier = verifier
        self._clock = clock
        self._wrapped: dict[str, Handler | None] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        method = handler_call_details.method
        if method not in self._wrapped:
            handler = await continuation(handler_call_details)
            if handler is None or method.startswith("/grpc.health."):
                return handler
            self._wrapped[method] = self._wrap(method, handler)
        return self._wrapped[method]

    def _wrap(self, method: str, handler: Handler) -> Handler:
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        behaviour = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        # A single request is read behind the door, so that one that cannot be is refused properly;
        # those of a stream are read by whoever takes them, who is behind it.
        is_single = not handler.request_streaming
        read = _reading(handler.request_deserializer)
        wrap = self._wrap_unary
        if handler.response_streaming:
            wrap = self._wrap_watch if is_single else self._wrap_stream
        return make(
            wrap(method, behaviour, read if is_single else _as_it_is),
            request_deserializer=None if is_single else read,
            response_serializer=handler.response_serializer,
        )

    def _wrap_unary(self, method: str, behaviour: Any, read: Read) -> Any:
        async def answer(request: Any, context: Context) -> Any:
            visit = _Visit(self, method)
            try:
                visit.admit(request, context)
                response = await behaviour(read(request), context)
            except BaseException as error:
                await visit.fail(error, context)
            else:
                visit.end("OK")
                return response

        return answer

    def _wrap_stream(self, method: str, behaviour: Any, read: Read) -> Any:
        async def answer(request: Any, context: Context) -> AsyncIterator[Any]:
            visit = _Visit(self, method)
            try:
                visit.admit(request, context)
                async for response in behaviour(read(request), context):
                    yield response
            except BaseException as error:
                await visit.fail(error, context)
            else:
                visit.end("OK")

        return answer

    def _wrap_watch(self, method: str, behaviour: Any, read: Read) -> Any:
        """A stream on which nothing more is asked, so that it costs nobody an answer to end it."""

        async def watch(request: Any, context: Context) -> AsyncIterator[Any]:
            responses = behaviour(request, context)
            principal = caller()
            while (response := await self._next(responses, principal)) is not _NO_MORE:
                yield response

        return self._wrap_stream(method, watch, read)

    async def _next(self, responses: AsyncIterator[Any], principal: Principal) -> Any:
        """The next response, or _NO_MORE. Raises Unavailable once the caller's token is over.

        Who comes again, as after any stream that was cut off, needs a new one.
        """
        try:
            async with asyncio.timeout(self._verifier.seconds_left(principal)) as lasting:
                return await anext(responses, _NO_MORE)
        except TimeoutError:
            if not lasting.expired():
                raise
        text = "the token of this stream is over; come again with a new one"
        raise Unavailable(Reason.REASON_UNAVAILABLE, text)


class _Visit:
    """One RPC from the door in to the door out."""

    def __init__(self, door: Doorkeeper, method: str) -> None:
        self._door = door
        self._method = method
        self._began = door._clock.monotonic()
        self._principal: Principal | None = None

    def admit(self, request: Any, context: Context) -> None:
        """Find out who calls and whether they may. Raises Unauthenticated, Denied or Invalid."""
        sent = context.invocation_metadata() or ()
        metadata = dict(sent)
        trace_id = _trace_id(metadata)
        structlog.contextvars.bind_contextvars(trace_id=trace_id)
        scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
        is_one = [key for key, _ in sent].count("authorization") == 1
        if scheme.lower() != "bearer" or not token or not is_one:
            raise Unauthenticated(Reason.REASON_UNAUTHENTICATED, "one bearer token is needed")
        self._principal = self._door._verifier.verify(token)
        if self._principal.role not in self._door._allow.get(self._method, ()):
            raise Denied(Reason.REASON_PERMISSION_DENIED, "this token may not call this method")
        sent_bytes = str(metadata.get(BYTES_SENT, ""))
        if request == b"" and sent_bytes.isdigit() and sent_bytes not in _NO_MESSAGE_BYTES:
            raise _unreadable()
        set_caller(self._principal)

    async def fail(self, error: BaseException, context: Context) -> None:
        """Tell the caller what went wrong, and the log why."""
        if isinstance(error, Refusal):
            self.end(error.code.name, reason=error.reason_name)
            await context.abort_with_status(to_status(error))
        elif isinstance(error, asyncio.CancelledError) and not is_cancelled():
            # A call of ours was cut off. gRPC would leave the caller without any answer.
            await self.fail(Unavailable(Reason.REASON_UNAVAILABLE, "a call was cut off"), context)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.end("CANCELLED")
            raise error
        elif isinstance(error, Exception):
            _log.error("rpc_failed", method=self._method, exc_info=error)
            self.end("INTERNAL")
            fault = Internal(Reason.REASON_INTERNAL, "internal error")
            await context.abort_with_status(to_status(fault))
        raise error

    def end(self, code: str, **fields: str) -> None:
        """Count it and write its line."""
        took = self._door._clock.monotonic() - self._began
        _count(self._method, code).inc()
        _times(self._method).observe(took)
        if code == "OK" and self._method in self._door._quiet:
            return
        subject = self._principal.subject if self._principal else ""
        milliseconds = round(took * 1000, 1)
        _log.info("rpc", method=self._method, code=code, caller=subject, ms=milliseconds, **fields)


def _as_it_is(request: Any) -> Any:
    return request


def _reading(deserializer: Read | None) -> Read:
    """What makes a request of its bytes. Raises Invalid."""

    def read(data: Any) -> Any:
        try:
            return data if deserializer is None else deserializer(data)
        except Exception:
            raise _unreadable() from None

    return read


def _unreadable() -> Invalid:
    return Invalid(Reason.REASON_INVALID_REQUEST, "the request cannot be read")


def _trace_id(metadata: Mapping[str, str | bytes]) -> str:
    """The caller's trace id (W3C traceparent, else Envoy's request id), or a new one."""
    parts = str(metadata.get("traceparent", "")).split("-")
    if len(parts) == 4 and len(parts[1]) == 32:
        return parts[1]
    return str(metadata.get("x-request-id", "")) or secrets.token_hex(16)
