"""Who places trades: many callers of the unary door, or a back-end with a few streams of batches.

A closed loop has so many callers, each waiting for its answer, and stops placing while too many
trades are open; who is refused waits as long as told and goes on with another trade. An open loop
places at a rate whatever becomes of it, and counts from the moment a trade was due: so a stall is
seen by all who would have come meanwhile (no coordinated omission).
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count as count_from
from itertools import cycle, islice
from typing import Any

import grpc

from libs.auth import Role, Signer
from libs.rpc.status import reason_of, retry_after
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import SIDE_BUY
from stockbroker.order.v1 import order_service_pb2 as pb

PLACE = "/stockbroker.order.v1.OrderService/PlaceTrade"
PLACE_MANY = "/stockbroker.order.v1.OrderService/PlaceTrades"
SYMBOLS = ("AAPL", "KO", "MSFT", "JNJ")
BATCH, STREAMS, WINDOW = 100, 2, 4
_CHANNELS = 4
_TICK_SECONDS = 0.002
_LINGER_SECONDS, _MOST = 0.005, 1_000  # of a batch in an open loop
_TIMEOUT_SECONDS = 60.0
_TOKEN_SECONDS = 36_000
_numbers = count_from(1)  # of orders: a client_order_id is used once, whoever's it is

# Says when a caller may place, and asks for nothing more.
Gate = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Run:
    """What was placed. `due`: when by the wall clock each trade was to be placed, by its id.

    From when due: `ack_seconds` of the same trades in the same order, `refuse_seconds` of those
    that the house was too busy for.
    """

    began: float = 0.0
    due: dict[str, float] = field(default_factory=dict)
    ack_seconds: list[float] = field(default_factory=list)
    refuse_seconds: list[float] = field(default_factory=list)

    @property
    def refused(self) -> int:
        """How many."""
        return len(self.refuse_seconds)


def merged(runs: Sequence[Run]) -> Run:
    """One after the other."""
    whole = Run(began=runs[0].began)
    for run in runs:
        whole.due |= run.due
        whole.ack_seconds += run.ack_seconds
        whole.refuse_seconds += run.refuse_seconds
    return whole


class Customers:
    """Who trades; each of them, or the first few, with a token."""

    def __init__(self, signing_key_file: str, count: int, *, with_token: int | None = None) -> None:
        signer = Signer(signing_key_file)
        self.ids = [f"b{number:06d}" for number in range(count)]
        callers = self.ids[:with_token]
        tokens = [signer.mint(each, Role.CUSTOMER, _TOKEN_SECONDS) for each in callers]
        self._metadata = list(map(_bearer, tokens))
        self.back_end_token = signer.mint("bench", Role.BACK_END, _TOKEN_SECONDS)
        self.back_end = _bearer(self.back_end_token)
        self._chance = random.Random(1)

    def call(self) -> tuple[pb.PlaceTradeRequest, Any]:
        """A request of anybody, and what goes with the call."""
        return self._request(), self.anybody()

    def anybody(self) -> Any:
        """What goes with a call of one of those with a token."""
        return self._chance.choice(self._metadata)

    def metadata(self, number: int) -> Any:
        """What goes with a call of a certain one."""
        return self._metadata[number]

    def calls_of_all(self) -> Iterator[tuple[pb.PlaceTradeRequest, Any]]:
        """One request of each with a token."""
        return ((self._request(), metadata) for metadata in self._metadata)

    def trade(self) -> tuple[str, pb.PlaceTradeRequest]:
        """Anybody, and a request of theirs."""
        return self._chance.choice(self.ids), self._request()

    def batch(self, size: int) -> pb.PlaceTradesRequest:
        """Requests of anybody."""
        names = self._chance.choices(self.ids, k=size)
        item = pb.PlaceTradesRequest.Item
        return pb.PlaceTradesRequest(
            items=[item(customer_id=name, trade=self._request()) for name in names]
        )

    def _request(self) -> pb.PlaceTradeRequest:
        number = next(_numbers)
        return pb.PlaceTradeRequest(
            client_order_id=f"bench-{number}",
            symbol=SYMBOLS[number % len(SYMBOLS)],
            side=SIDE_BUY,
            quantity=1,
        )


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _channels(addresses: Sequence[str], count: int) -> list[grpc.aio.Channel]:
    """Connections, taking turns among the addresses."""
    own = [("grpc.use_local_subchannel_pool", 1)]
    hosts = islice(cycle(addresses), count)
    return [grpc.aio.insecure_channel(address, options=own) for address in hosts]


class UnaryDoor:
    """`callers` at a time, each with one trade. `addresses`: of all processes that take them."""

    def __init__(self, addresses: Sequence[str], customers: Customers, *, callers: int) -> None:
        self._channels = _channels(addresses, _CHANNELS)
        self._places: list[Any] = [
            channel.unary_unary(PLACE, request_serializer=pb.PlaceTradeRequest.SerializeToString)
            for channel in self._channels
        ]
        self._customers = customers
        self._callers = callers

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()

    async def greet(self) -> None:
        """A first trade of every customer, so that every token is known."""
        calls = self._customers.calls_of_all()

        async def work(number: int) -> None:
            for request, metadata in calls:
                while wait := await self._offer(number, request, metadata, Run()):
                    await asyncio.sleep(wait)

        await asyncio.gather(*(work(number % _CHANNELS) for number in range(self._callers)))

    async def run(self, seconds: float, gate: Gate) -> Run:
        """Closed loop."""
        run = Run(began=time.time())
        until = run.began + seconds

        async def caller(number: int) -> None:
            while True:
                await gate()
                if (due := time.time()) >= until:
                    return
                await asyncio.sleep(await self._place(number, due, run))

        await asyncio.gather(*(caller(number % _CHANNELS) for number in range(self._callers)))
        return run

    async def paced(self, seconds: float, rate: float) -> Run:
        """Open loop."""
        run = Run(began=time.time())
        calls: set[asyncio.Task[float]] = set()
        async for number, due in _due(run.began, seconds, rate):
            call = asyncio.create_task(self._place(number % _CHANNELS, due, run))
            calls.add(call)
            call.add_done_callback(calls.discard)
        await asyncio.gather(*calls)
        return run

    async def in_turn(self, seconds: float, gate: Gate) -> Run:
        """One trade after the other."""
        run = Run(began=time.time())
        while (due := time.time()) < run.began + seconds:
            await self._place(0, due, run)
            await gate()
        return run

    async def _place(self, number: int, due: float, run: Run) -> float:
        """A trade of anybody. Seconds to wait before the next."""
        request, metadata = self._customers.call()
        return await self._offer(number, request, metadata, run, due)

    async def _offer(
        self, number: int, request: pb.PlaceTradeRequest, metadata: Any, run: Run, due: float = 0.0
    ) -> float:
        """Seconds to wait, where it is refused; 0: it is placed."""
        place = self._places[number]
        try:
            answer = await place(request, metadata=metadata, timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            if reason_of(error) != "OVERLOADED":
                raise
            run.refuse_seconds.append(time.time() - due)
            return retry_after(error)
        run.ack_seconds.append(time.time() - due)
        run.due[pb.PlaceTradeResponse.FromString(answer).trade.trade_id] = due
        return 0.0


class BatchDoor:
    """A few streams, each with a few batches under way. `addresses`: of all who take them."""

    def __init__(self, addresses: Sequence[str], customers: Customers) -> None:
        self._channels = _channels(addresses, STREAMS)
        self._customers = customers

    async def close(self) -> None:
        """Hang up."""
        for channel in self._channels:
            await channel.close()

    async def run(self, seconds: float, gate: Gate) -> Run:
        """Closed loop."""
        run = Run(began=time.time())
        until = run.began + seconds

        async def batches() -> AsyncIterator[list[float]]:
            while True:
                await gate()
                if (due := time.time()) >= until:
                    return
                yield [due] * BATCH

        await asyncio.gather(*(self._stream(c, batches(), run, WINDOW) for c in self._channels))
        return run

    async def paced(self, seconds: float, rate: float) -> Run:
        """Open loop: what is due goes as one batch, and as many batches as need be."""
        run = Run(began=time.time())

        async def batches() -> AsyncIterator[list[float]]:
            share, number = rate / STREAMS, 0
            while number < seconds * share:
                await asyncio.sleep(_LINGER_SECONDS)
                dues: list[float] = []
                while len(dues) < _MOST and (due := run.began + number / share) <= time.time():
                    dues.append(due)
                    number += 1
                if dues:
                    yield dues

        await asyncio.gather(*(self._stream(c, batches(), run, 1_000) for c in self._channels))
        return run

    async def _stream(
        self, channel: grpc.aio.Channel, batches: AsyncIterator[list[float]], run: Run, window: int
    ) -> None:
        """`window` batches at a time."""
        place: Any = channel.stream_stream(PLACE_MANY)
        room, sent = asyncio.Semaphore(window), deque[list[float]]()
        wait_seconds = 0.0

        async def requests() -> AsyncIterator[bytes]:
            async for dues in batches:
                await room.acquire()
                await asyncio.sleep(wait_seconds if window == WINDOW else 0)
                sent.append(dues)
                yield self._customers.batch(len(dues)).SerializeToString()

        async for answer in place(requests(), metadata=self._customers.back_end):
            wait_seconds = _note(pb.PlaceTradesResponse.FromString(answer), sent.popleft(), run)
            room.release()


def _note(response: pb.PlaceTradesResponse, dues: Sequence[float], run: Run) -> float:
    """Seconds to wait before the next."""
    now, after = time.time(), 0.0
    for result, due in zip(response.results, dues, strict=True):
        if result.HasField("placed"):
            run.due[result.placed.trade_id] = due
            run.ack_seconds.append(now - due)
        elif result.refused.reason != Reason.REASON_OVERLOADED:
            raise RuntimeError(f"refused: {result.refused}")
        else:
            run.refuse_seconds.append(now - due)
            after = after or result.refused.retry_after.ToMilliseconds() / 1e3
    return after


async def _due(began: float, seconds: float, rate: float) -> AsyncIterator[tuple[int, float]]:
    """The number and the moment of each trade, when that has come."""
    for number in range(int(seconds * rate)):
        due = began + number / rate
        while (early := due - time.time()) > 0:
            await asyncio.sleep(max(early, _TICK_SECONDS))
        yield number, due
