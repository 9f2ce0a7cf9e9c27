"""One call of PlaceTrades: batches go out, and are answered in the order in which they went."""

import asyncio
from collections import deque
from typing import Any

import grpc

from libs.rpc.status import reason_of, retry_after
from libs.tasks import is_cancelled
from stockbroker.order.v1 import order_service_pb2 as pb

# What came before the request that ends a stream so is answered first.
_NOT_READ = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}


class Ended(Exception):
    """The stream is over, and a batch has no answer.

    `was_not_read`: nothing of the batch is recorded. `was_answered`: an earlier one of the stream
    was.
    """

    def __init__(
        self, error: grpc.aio.AioRpcError | None = None, *, was_answered: bool = False
    ) -> None:
        super().__init__("the stream is over")
        self.code = error.code() if error else grpc.StatusCode.UNAVAILABLE
        self.reason = (reason_of(error) if error else "") or self.code.name
        self.text = (error.details() if error else "") or "the house does not answer"
        self.retry_after_seconds = retry_after(error) if error else 0.0
        self.was_not_read = self.code in _NOT_READ
        self.was_answered = was_answered


class NoToken(Ended):
    """A stream could not begin, for there is no token that can be sent: nothing is recorded."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.code = grpc.StatusCode.UNAUTHENTICATED
        self.reason = self.code.name
        self.text = f"there is no token: {error!r}"
        self.was_not_read = True


class Stream:
    """`call` is one of PlaceTrades that was just made."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._waiting: deque[asyncio.Future[pb.PlaceTradesResponse]] = deque()
        self._writing = asyncio.Lock()
        self._was_answered = False
        self._end: Ended | None = None
        self._reader = asyncio.create_task(self._read())

    @property
    def is_over(self) -> bool:
        """No batch is answered any more."""
        return self._end is not None

    async def exchange(self, request: pb.PlaceTradesRequest) -> pb.PlaceTradesResponse:
        """The answer to one batch. Raises Ended."""
        async with self._writing:
            if self._end is not None:
                raise self._end
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[pb.PlaceTradesResponse] = loop.create_future()
            self._waiting.append(answer)
            await self._write(request)
        return await answer

    async def close(self) -> None:
        """Hang up; what has no answer is Ended."""
        self._call.cancel()
        await asyncio.wait([self._reader])

    async def _write(self, request: pb.PlaceTradesRequest) -> None:
        """Where it fails the reader is told why."""
        try:
            await self._call.write(request)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass
        except asyncio.CancelledError:
            # It may not have gone out: later answers would be taken for those of others.
            self._call.cancel()
            if is_cancelled():  # and did not only find that somebody hung up
                raise

    async def _read(self) -> None:
        error = None
        try:
            async for response in self._call:
                if not self._waiting:
                    break  # nobody asked: it is not known what else it says is an answer to
                self._was_answered = True
                answer = self._waiting.popleft()
                if not answer.done():
                    answer.set_result(response)
        except grpc.aio.AioRpcError as broken:
            error = broken
        except asyncio.CancelledError:
            if is_cancelled():
                raise
        finally:
            self._call.cancel()
            self._finish(Ended(error, was_answered=self._was_answered))

    def _finish(self, end: Ended) -> None:
        self._end = end
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(end)
                answer.exception()  # nobody may be there any more to be told
