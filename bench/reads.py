"""What customers read while others trade: how long GetPortfolio and ListTrades take."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from bench.callers import Customers
from bench.premises import House
from bench.report import Row, waits
from stockbroker.ledger.v1.portfolio_service_pb2 import GetPortfolioRequest
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub
from stockbroker.order.v1.order_service_pb2 import ListTradesRequest
from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

_READERS = 4  # of each
_PAUSE_SECONDS = 0.02
_TIMEOUT_SECONDS = 30.0


async def while_trading(
    house: House, customers: Customers, trading: Callable[[], Awaitable[Any]], note: str
) -> list[Row]:
    """Readers of both, each for anybody, until the trading is over."""
    took: dict[str, list[float]] = {"GetPortfolio": [], "ListTrades": []}
    async with (
        grpc.aio.insecure_channel(house.services["ledger"]) as ledger,
        grpc.aio.insecure_channel(house.services["order"]) as order,
    ):
        portfolio: Any = PortfolioServiceStub(ledger)
        trades: Any = OrderServiceStub(order)

        async def read(name: str, method: Any, request: Any) -> None:
            while True:
                began = time.perf_counter()
                metadata = customers.anybody()
                await method(request, metadata=metadata, timeout=_TIMEOUT_SECONDS)
                took[name].append(time.perf_counter() - began)
                await asyncio.sleep(_PAUSE_SECONDS)

        readers = [
            asyncio.create_task(each)
            for _ in range(_READERS)
            for each in (
                read("GetPortfolio", portfolio.GetPortfolio, GetPortfolioRequest()),
                read("ListTrades", trades.ListTrades, ListTradesRequest()),
            )
        ]
        trade = asyncio.ensure_future(trading())
        await asyncio.wait([trade, *readers], return_when=asyncio.FIRST_COMPLETED)
        for reader in readers:
            reader.cancel()
        ends = await asyncio.gather(trade, *readers, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
    return [row for name, each in took.items() for row in waits(name, each, note=note)]
