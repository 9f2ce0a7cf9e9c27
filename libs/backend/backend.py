"""Trades of a firm's customers: placed one by one by who waits for them, carried in batches."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import grpc
from tenacity import AsyncRetrying, retry_if_exception_type, wait_random_exponential

from libs.backend.errors import (
    InDoubt,
    NotPlaced,
    Passing,
    Unknown,
    not_sent,
    of_end,
    of_result,
    of_size,
    out_of_reach,
)
from libs.backend.stream import Ended, NoToken, Stream
from libs.batcher import Batcher
from libs.direct import DIRECT
from libs.refusals import Refusal
from libs.settings import is_address
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

Placed = pb.PlaceTradesResponse.Placed

_LANES = 4
_MOST_ITEMS = 250  # of a batch
_MOST_BYTES = 8_192  # of a trade: a batch of them is no larger than a message may be
_MOST_QUEUED = 1_000_000  # of a lane: no more than memory has room for
_ANSWER_SECONDS = 5.0
_ON_THE_WAY = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)
_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    ("grpc.use_local_subchannel_pool", 1),
    DIRECT,
]


class BackEnd:
    """Places trades for any customer, as a token of the role BACK_END may.

    `address`: host:port of the house's public door; it is called straight, whatever proxy the
    environment names. `token` is asked whenever a stream begins, and answers without waiting.
    `trusted`: certificates (PEM) that vouch for the door, where it speaks TLS. `patience_seconds`:
    how long a trade is insisted on, from the call of `place` to its end.
    Made and used in one event loop.

    What is placed at about the same time goes together: at most four batches are under way, one
    customer's trades in one of them at a time, and what comes meanwhile is in the next. So a trade
    alone goes at once, and thousands of callers cost little more than a few batches do.

    One customer's trades are placed in the order of the calls, unless one must be repeated: who
    needs the order in any case waits for one before placing the next.
    """

    def __init__(
        self,
        address: str,
        token: Callable[[], str],
        *,
        trusted: bytes | None = None,
        patience_seconds: float = 15.0,
    ) -> None:
        """Raises ValueError where `address` is none."""
        if not is_address(address):
            raise ValueError(f"{address!r} is not host:port")
        self._channel = _channel(address, trusted)
        self._place_trades: Any = OrderServiceStub(self._channel).PlaceTrades
        self._token = token
        self._patience_seconds = patience_seconds
        self._stream: Stream | None = None
        self._closed = asyncio.Event()
        self._lanes: list[Batcher[_Order, Placed]] = [
            Batcher(self._carry, max_items=_MOST_ITEMS, max_queued=_MOST_QUEUED)
            for _ in range(_LANES)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Take nothing new, wait for what is under way, and hang up; when cancelled, at once.

        What waits to be repeated is not any more.
        """
        self._closed.set()
        try:
            await asyncio.gather(*(lane.close() for lane in self._lanes))
        finally:
            await self._channel.close()
            if self._stream is not None:
                await self._stream.close()

    async def place(self, customer_id: str, trade: pb.PlaceTradeRequest) -> Placed:
        """Returns once the trade is recorded, now or before; with a `reason` a control rejected it.

        Without a `client_order_id` it gets one (a UUID), so that it can be repeated. It is, where
        the house is away or too busy, not sooner than the house says. Raises NotPlaced, also where
        there was never a connection to send it over; InDoubt.

        Who is cancelled is told neither: what was not sent by then is not sent any more, and what
        was may be recorded. With a `client_order_id` of its own it can be placed again.
        """
        order = _Order(customer_id, trade)
        if order.item.ByteSize() > _MOST_BYTES:
            raise of_size(_MOST_BYTES)
        by = asyncio.get_running_loop().time() + self._patience_seconds
        try:
            async with asyncio.timeout_at(by):
                try:
                    return await self._attempt(order)
                except Passing as passing:
                    return await self._insist(order, passing, by)
        except TimeoutError:
            if isinstance(order.outcome, Placed):  # in the same moment
                return order.outcome
            error = order.failure or not_sent("it could not be sent in time")
        except NotPlaced as final:
            error = final
        finally:
            order.is_given_up = True
        if order.is_in_doubt:
            raise InDoubt(customer_id, order.item.trade.client_order_id) from error
        raise error

    async def _insist(self, order: "_Order", passing: Passing, by: float) -> Placed:
        """Until the moment `by`, after a first attempt that failed. Raises NotPlaced."""
        now = asyncio.get_running_loop().time
        growing = wait_random_exponential(multiplier=0.05, max=1.0)
        failed: Passing | None = passing
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(Passing),
            wait=lambda state: max(growing(state), order.retry_after_seconds),
            stop=lambda _: now() + order.retry_after_seconds >= by,
            sleep=self._pause,
            reraise=True,
        ):
            with attempt:
                if failed is not None:
                    first, failed = failed, None
                    raise first
                return await self._attempt(order)
        raise AssertionError("unreachable")

    async def _pause(self, seconds: float) -> None:
        """So long, or until it is closed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    async def _attempt(self, order: "_Order") -> Placed:
        """Once. Raises NotPlaced."""
        if self._closed.is_set():
            raise not_sent("this back-end is closed")
        lane = self._lanes[hash(order.item.customer_id) % _LANES]
        try:
            return await lane.submit(order)
        except Refusal as refusal:  # of the lane itself, which is full
            raise NotPlaced(refusal.code, refusal.reason_name, refusal.text) from None

    async def _carry(self, orders: list["_Order"]) -> Sequence[Any]:
        """One batch: what became of each, Placed or NotPlaced."""
        wanted = _wanted(orders)
        if wanted and not await self._is_connected():
            for order in wanted:
                order.outcome = out_of_reach()
            return [order.outcome for order in orders]
        sent = _wanted(wanted)
        for order in sent:
            order.is_under_way = True
        outcomes = await self._outcomes([order.item for order in sent]) if sent else []
        for order, outcome in zip(sent, outcomes, strict=True):
            order.is_under_way = False
            order.may_be_recorded |= isinstance(outcome, Unknown)
            order.outcome = outcome
        return [order.outcome for order in orders]

    async def _is_connected(self) -> bool:
        """Whether a call can be made: without a connection none is, so that nothing leaves."""
        if self._stream is not None and not self._stream.is_over:
            return True
        with suppress(TimeoutError, grpc.aio.UsageError):  # closed meanwhile
            async with asyncio.timeout(_ANSWER_SECONDS):
                while (state := self._channel.get_state(try_to_connect=True)) in _ON_THE_WAY:
                    await self._channel.wait_for_state_change(state)
                return state is grpc.ChannelConnectivity.READY
        return False

    async def _outcomes(self, items: list[pb.PlaceTradesRequest.Item]) -> list[Placed | NotPlaced]:
        """One for each, whatever happens."""
        try:
            response = await self._answer(items)
        except Ended as end:
            return [of_end(end) for _ in items]
        return list(map(of_result, response.results))

    async def _answer(self, items: list[pb.PlaceTradesRequest.Item]) -> pb.PlaceTradesResponse:
        """Over the stream there is, or a new one; a result for each. Raises Ended."""
        stream = self._stream
        if stream is None or stream.is_over:
            metadata = (("authorization", self._bearer()),)
            stream = self._stream = Stream(self._place_trades(metadata=metadata))
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                response = await stream.exchange(pb.PlaceTradesRequest(items=items))
        except TimeoutError:
            response = None
        if response is None or len(response.results) != len(items):
            await stream.close()  # others may be answered by another process of the house
            raise Ended
        return response

    def _bearer(self) -> str:
        """Raises NoToken."""
        try:
            token = self._token().strip()
            if not token.isascii() or not token.isprintable():
                raise ValueError("it is not of printable ASCII alone")
        except Exception as error:
            raise NoToken(error) from error
        return f"Bearer {token}"


class _Order:
    """A trade that is insisted on, and what is known of it."""

    __slots__ = ("is_given_up", "is_under_way", "item", "may_be_recorded", "outcome")

    def __init__(self, customer_id: str, trade: pb.PlaceTradeRequest) -> None:
        self.item = pb.PlaceTradesRequest.Item(customer_id=customer_id, trade=trade)
        if not trade.client_order_id:
            self.item.trade.client_order_id = str(uuid.uuid4())
        self.outcome: Placed | NotPlaced | None = None  # of the last attempt
        self.is_under_way = False
        self.may_be_recorded = False  # by an attempt that was not answered
        self.is_given_up = False

    @property
    def is_in_doubt(self) -> bool:
        """It may have been recorded, and nobody said so."""
        return self.is_under_way or self.may_be_recorded

    @property
    def failure(self) -> NotPlaced | None:
        """Of the last attempt."""
        return self.outcome if isinstance(self.outcome, NotPlaced) else None

    @property
    def retry_after_seconds(self) -> float:
        """As the last attempt was told."""
        return self.failure.retry_after_seconds if self.failure else 0.0


def _wanted(orders: list[_Order]) -> list[_Order]:
    """What was given up meanwhile is known not to be placed, and must not be any more."""
    return [order for order in orders if not order.is_given_up]


def _channel(address: str, trusted: bytes | None) -> grpc.aio.Channel:
    if trusted is None:
        return grpc.aio.insecure_channel(address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(trusted)
    return grpc.aio.secure_channel(address, credentials, options=_OPTIONS)
