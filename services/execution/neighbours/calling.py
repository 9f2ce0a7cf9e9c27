"""A channel to one service, and how long to insist.

Every call is one attempt with a deadline. What passes by itself is raised as Unavailable, anything
else as NeighbourFault; `Insistence` repeats what is Unavailable. All calls are safe to repeat.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

import grpc
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from libs.clock import Clock
from libs.refusals import Unavailable
from libs.rpc import connect
from libs.rpc.status import reason_of
from libs.tasks import is_cancelled
from stockbroker.common.v1.reason_pb2 import Reason

_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNAUTHENTICATED,  # until the token file is renewed
}
_SILENT = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}

Answer = TypeVar("Answer")
_log = structlog.get_logger()


class NeighbourFault(RuntimeError):
    """A neighbour answered with an error that does not pass by itself: its code and reason."""

    def __init__(self, text: str, *, code: str = "", reason: str = "") -> None:
        super().__init__(f"{code}: {text}" if code else text)
        self.text = text
        self.code = code
        self.reason = reason


class Neighbour:
    """A channel to one service."""

    def __init__(
        self, address: str, token_file: Path | str, clock: Clock, *, timeout_seconds: float = 5.0
    ) -> None:
        self.channel = connect(address, token_file)
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._answered_at = clock.monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long ago it last answered anything; since the start if it never did."""
        return self._clock.monotonic() - self._answered_at

    async def close(self) -> None:
        """End the calls in progress."""
        await self.channel.close()

    async def _call(self, method: Any, request: Any) -> Any:
        """One attempt. Raises Unavailable or NeighbourFault."""
        try:
            response = await method(request, timeout=self._timeout_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _SILENT:
                self._answered_at = self._clock.monotonic()
            if error.code() in _PASSING:
                raise _unavailable(error.details()) from error
            raise NeighbourFault(
                error.details() or "", code=error.code().name, reason=reason_of(error)
            ) from error
        except grpc.aio.UsageError as error:  # the channel is closed
            raise _unavailable(str(error)) from error
        except asyncio.CancelledError:
            if is_cancelled():
                raise
            raise _unavailable("the channel was closed meanwhile") from None
        self._answered_at = self._clock.monotonic()
        return response


class Insistence:
    """Repeats a call until it is answered, with growing pauses; a timeout is never an answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._is_over = False

    def end(self) -> None:
        """Repeat nothing from now on: the next failure is raised."""
        self._is_over = True

    async def __call__(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of `call`. Raises NeighbourFault, and Unavailable only after `end`."""
        try:
            return await call()
        except Unavailable:
            if self._is_over:
                raise
            return await self._again(call)

    async def _again(self, call: Callable[[], Awaitable[Answer]]) -> Answer:
        """At once, and then at growing intervals."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Unavailable),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=lambda _: self._is_over,
            sleep=self._clock.sleep,
            before_sleep=_tell,
            reraise=True,
        ):
            with attempt:
                return await call()
        raise AssertionError("unreachable")


def _tell(state: RetryCallState) -> None:
    """The first failed attempt and then every tenth."""
    if state.attempt_number % 10 == 1 and state.outcome is not None:
        error = str(state.outcome.exception())
        _log.warning("neighbour_away", attempt=state.attempt_number, error=error)


def _unavailable(details: str | None) -> Unavailable:
    return Unavailable(Reason.REASON_UNAVAILABLE, f"a neighbour does not answer: {details}")


def must_answer_all(asked: Collection[object], answered: Collection[object]) -> None:
    if len(asked) != len(answered):
        raise NeighbourFault(f"{len(asked)} items were asked, {len(answered)} answered")
