"""A door for a back-end's batches that answers as each test wants."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import grpc
import pytest

from libs.backend import BackEnd
from libs.refusals import Refusal, Unavailable
from libs.rpc.status import to_status
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import SIDE_BUY
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_service_pb2_grpc import (
    OrderServiceServicer,
    add_OrderServiceServicer_to_server,
)

Item = pb.PlaceTradesRequest.Item
Result = pb.PlaceTradesResponse.Result
Answer = Callable[[list[Item]], Awaitable[list[Result]]]

_OPTIONS = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536)]
AWAY = Unavailable(Reason.REASON_UNAVAILABLE, "the process stops")


class Door(OrderServiceServicer):
    """Notes what it reads and answers by `self.answer`; a Refusal ends the stream.

    Each answer is told `answers_each` times.
    """

    def __init__(self) -> None:
        self.address = ""
        self.batches: list[list[Item]] = []
        self.tokens: list[str] = []
        self.answer: Answer = placed
        self.answers_each = 1

    async def PlaceTrades(
        self, requests: AsyncIterator[pb.PlaceTradesRequest], context: Any
    ) -> AsyncIterator[pb.PlaceTradesResponse]:
        self.tokens.append(dict(context.invocation_metadata())["authorization"])
        try:
            async for request in requests:
                self.batches.append(list(request.items))
                results = await self.answer(self.batches[-1])
                for _ in range(self.answers_each):
                    yield pb.PlaceTradesResponse(results=results)
        except Refusal as refusal:
            await context.abort_with_status(to_status(refusal))

    @property
    def read(self) -> list[str]:
        """The client_order_ids, in order, as often as they were read."""
        return [item.trade.client_order_id for batch in self.batches for item in batch]


async def placed(items: list[Item]) -> list[Result]:
    return [as_placed(item) for item in items]


def as_placed(item: Item) -> Result:
    told = pb.PlaceTradesResponse.Placed(
        trade_id=f"{item.customer_id}/{item.trade.client_order_id}",
        client_order_id=item.trade.client_order_id,
    )
    return Result(placed=told)


def as_refused(reason: Reason.ValueType, code: grpc.StatusCode, **fields: Any) -> Result:
    refused = pb.PlaceTradesResponse.Refused(code=code.value[0], reason=reason, **fields)
    return Result(refused=refused)


def overloaded(seconds: float) -> Result:
    result = as_refused(Reason.REASON_OVERLOADED, grpc.StatusCode.RESOURCE_EXHAUSTED, text="busy")
    result.refused.retry_after.FromMilliseconds(int(seconds * 1000))
    return result


def then(*answers: Answer) -> Answer:
    """One after the other, the last for ever."""
    left = list(answers)

    async def answer(items: list[Item]) -> list[Result]:
        return await (left.pop(0) if len(left) > 1 else left[0])(items)

    return answer


def always(result: Result) -> Answer:
    async def answer(items: list[Item]) -> list[Result]:
        return [result] * len(items)

    return answer


def ends(refusal: Refusal) -> Answer:
    async def answer(items: list[Item]) -> list[Result]:
        raise refusal

    return answer


def answers_after(event: asyncio.Event) -> Answer:
    async def answer(items: list[Item]) -> list[Result]:
        await event.wait()
        return await placed(items)

    return answer


def leap(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """It is so much later, for all who wait."""
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)


@asynccontextmanager
async def doors(
    patience_seconds: float = 600.0, token: Callable[[], str] | None = None
) -> AsyncIterator[tuple[BackEnd, Door]]:
    """A back-end and the door it goes through; its tokens are T1, T2 and so on.

    It leaves no task behind and no error that nobody was told.
    """
    untold: list[dict[str, Any]] = []

    def note(_: asyncio.AbstractEventLoop, error: dict[str, Any]) -> None:
        if error.keys() & {"future", "task"}:  # others: gRPC, of the loops of other tests
            untold.append(error)

    asyncio.get_running_loop().set_exception_handler(note)
    door, server, numbers = Door(), grpc.aio.server(options=_OPTIONS), count(1)
    add_OrderServiceServicer_to_server(door, server)
    port = server.add_insecure_port("127.0.0.1:0")
    door.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        async with BackEnd(
            door.address,
            token or (lambda: f"T{next(numbers)}"),
            patience_seconds=patience_seconds,
        ) as firm:
            yield firm, door
    finally:
        await server.stop(0)
    del firm
    gc.collect()
    assert not untold, untold
    assert not [task for task in asyncio.all_tasks() if _is_of_back_end(task)]


def _is_of_back_end(task: "asyncio.Task[Any]") -> bool:
    return any(kind in repr(task.get_coro()) for kind in ("BackEnd.", "Batcher.", "Stream."))


def buy(client_order_id: str = "", quantity: int = 1) -> pb.PlaceTradeRequest:
    return pb.PlaceTradeRequest(
        client_order_id=client_order_id, symbol="AAPL", side=SIDE_BUY, quantity=quantity
    )
