"""WatchTrades to many: how many events a second reach as many streams, none missing, none twice."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import psycopg

from bench.callers import Customers
from bench.judging import NotTrue
from bench.premises import House
from bench.report import Row
from stockbroker.order.v1.order_service_pb2 import WatchTradesRequest
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

STREAMS = 1_000
_CHANNELS = 8
_LOOK_SECONDS = 0.05
_PATIENCE_SECONDS = 120.0
_HEADS = "SELECT customer_id, head_seq FROM customer_head WHERE customer_id = ANY (%s)"


class _Watch:
    """One stream of one customer."""

    def __init__(self, customer: str) -> None:
        self.customer = customer
        self.is_live = asyncio.Event()
        self.seq = 0
        self.events = 0  # since it is live
        self.last_at = 0.0

    async def follow(self, stub: Any, metadata: Any) -> None:
        """From the first event; live once everything before is told. Raises NotTrue."""
        async for message in stub.WatchTrades(WatchTradesRequest(), metadata=metadata):
            if message.HasField("heartbeat"):
                self.is_live.set()
                continue
            if message.event.seq != self.seq + 1:
                raise NotTrue(f"{self.customer}: event {message.event.seq} after {self.seq}")
            self.seq = message.event.seq
            self.events += self.is_live.is_set()
            self.last_at = time.time()


async def while_trading(
    house: House, customers: Customers, trading: Callable[[], Awaitable[Any]]
) -> list[Row]:
    """Events that come while others trade, until all have been told. Raises NotTrue."""
    watches = [_Watch(customer) for customer in customers.ids[:STREAMS]]
    own = [("grpc.use_local_subchannel_pool", 1)]
    address = house.services["order"]
    channels = [grpc.aio.insecure_channel(address, options=own) for _ in range(_CHANNELS)]
    stubs = [OrderServiceStub(channel) for channel in channels]
    tasks = [
        asyncio.create_task(watch.follow(stubs[n % _CHANNELS], customers.metadata(n)))
        for n, watch in enumerate(watches)
    ]
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for watch in watches:
                await watch.is_live.wait()
        began = time.time()
        await trading()
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await _told(house, watches)
        if failed := [task for task in tasks if task.done()]:
            await failed[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for channel in channels:
            await channel.close()
    events = sum(watch.events for watch in watches)
    took = max(watch.last_at for watch in watches) - began
    note = (
        f"of {len(customers.ids):,} customers who trade; events in order, none missing, none twice"
    )
    return [
        Row(name=f"events told to {STREAMS:,} streams", value=events / took, unit="1/s", note=note)
    ]


async def _told(house: House, watches: list[_Watch]) -> None:
    """Until every stream has told the latest event there is."""
    async with await psycopg.AsyncConnection.connect(
        house.databases["order"], autocommit=True
    ) as connection:
        heads = await connection.execute(_HEADS, [[watch.customer for watch in watches]])
        seqs: dict[str, int] = dict(await heads.fetchall())
    while any(watch.seq < seqs.get(watch.customer, 0) for watch in watches):
        await asyncio.sleep(_LOOK_SECONDS)
