"""The floor of both doors: a gRPC server in Python that answers the same messages and does nothing.

Run as a program it is that server, and tells its port. Unary answers are released in groups, a few
milliseconds apart, as those of a server that commits in batches are: single ones cost more.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import uvloop

from bench.callers import BATCH, PLACE, PLACE_MANY, STREAMS, WINDOW
from bench.cpu import seconds_of
from bench.report import Row
from bench.scale import Scale
from stockbroker.common.v1.terms_pb2 import SIDE_BUY
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_service_pb2_grpc import (
    OrderServiceServicer,
    add_OrderServiceServicer_to_server,
)

UNARY, BATCHES = "echo, unary", "echo, batches"
_GROUP_SECONDS = 0.005
_SHARE = 0.5  # of the time a figure of the house takes
_ID = "00000000-0000-7000-8000-000000000000"


class Echo:
    """The server as a process of its own, and calls to it."""

    async def __aenter__(self) -> "Echo":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.echo", stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        port = int(await self._process.stdout.readline())
        own = [("grpc.use_local_subchannel_pool", 1)]
        self._channels = [
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=own) for _ in range(4)
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        for channel in self._channels:
            await channel.close()
        self._process.terminate()
        await self._process.wait()

    async def unary(self, scale: Scale) -> Row:
        """As many callers as the house is given."""
        began, before = time.perf_counter(), self._cpu()
        done = await call_often(
            self._channels, callers=scale.callers, seconds=scale.seconds * _SHARE
        )
        took, cpu = time.perf_counter() - began, self._cpu() - before
        note = f"{scale.callers} callers, the same messages, answers in groups"
        return Row(name=UNARY, value=done / took, unit="1/s", cpu_us=1e6 * cpu / done, note=note)

    async def batches(self, scale: Scale) -> Row:
        """As many streams, with as many batches under way, as the house is given."""
        trade = pb.PlaceTradeRequest(
            client_order_id="bench-1", symbol="AAPL", side=SIDE_BUY, quantity=1
        )
        item = pb.PlaceTradesRequest.Item(customer_id="b000001", trade=trade)
        done = 0
        began, before = time.perf_counter(), self._cpu()
        until = began + scale.seconds * _SHARE

        async def stream(channel: grpc.aio.Channel) -> None:
            nonlocal done
            room = asyncio.Semaphore(WINDOW)

            async def requests() -> AsyncIterator[bytes]:
                while time.perf_counter() < until:
                    await room.acquire()
                    yield pb.PlaceTradesRequest(items=[item] * BATCH).SerializeToString()

            place: Any = channel.stream_stream(PLACE_MANY)
            async for answer in place(requests()):
                room.release()
                done += len(pb.PlaceTradesResponse.FromString(answer).results)

        await asyncio.gather(*map(stream, self._channels[:STREAMS]))
        took, cpu = time.perf_counter() - began, self._cpu() - before
        note = f"{STREAMS} streams, batches of {BATCH}, the same messages"
        return Row(name=BATCHES, value=done / took, unit="1/s", cpu_us=1e6 * cpu / done, note=note)

    def _cpu(self) -> float:
        return time.process_time() + seconds_of(self._process.pid)


async def call_often(
    channels: Sequence[grpc.aio.Channel], *, callers: int, seconds: float, metadata: Any = None
) -> int:
    """Many callers, each with one call of PlaceTrade at a time; how many calls were answered."""
    request = pb.PlaceTradeRequest(
        client_order_id="bench-1", symbol="AAPL", side=SIDE_BUY, quantity=1
    )
    places: list[Any] = [
        channel.unary_unary(PLACE, request_serializer=pb.PlaceTradeRequest.SerializeToString)
        for channel in channels
    ]
    until, done = time.perf_counter() + seconds, 0

    async def caller(place: Any) -> None:
        nonlocal done
        while time.perf_counter() < until:
            await place(request, metadata=metadata)
            done += 1

    await asyncio.gather(*(caller(places[n % len(places)]) for n in range(callers)))
    return done


class _Servicer(OrderServiceServicer):
    """Answers whatever is asked."""

    def __init__(self) -> None:
        self._group: asyncio.Future[None] | None = None

    async def PlaceTrade(
        self, request: pb.PlaceTradeRequest, context: Any
    ) -> pb.PlaceTradeResponse:
        if self._group is None:
            self._group = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(_GROUP_SECONDS, self._release, self._group)
        await self._group
        trade = order_pb2.Trade(
            trade_id=_ID,
            client_order_id=request.client_order_id,
            customer_id="b000001",
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            status=order_pb2.TRADE_STATUS_PLACED,
            seq=1,
        )
        trade.created_at.GetCurrentTime()
        trade.updated_at.CopyFrom(trade.created_at)
        return pb.PlaceTradeResponse(trade=trade)

    def _release(self, group: "asyncio.Future[None]") -> None:
        self._group = None
        group.set_result(None)

    async def PlaceTrades(
        self, requests: AsyncIterator[pb.PlaceTradesRequest], context: Any
    ) -> AsyncIterator[pb.PlaceTradesResponse]:
        async for request in requests:
            response = pb.PlaceTradesResponse()
            for item in request.items:
                placed = response.results.add().placed
                placed.trade_id, placed.seq = _ID, 1
                placed.client_order_id = item.trade.client_order_id
                placed.created_at.GetCurrentTime()
            yield response


def add_echo(server: grpc.aio.Server) -> None:
    """Have a server answer so."""
    add_OrderServiceServicer_to_server(_Servicer(), server)


async def _serve() -> None:
    server = grpc.aio.server()
    add_echo(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve())
