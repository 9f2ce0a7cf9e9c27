"""A customer's app: calls through the public door with a customer's token."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Any

import grpc

from libs.rpc.status import reason_of, retry_after
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio_pb
from stockbroker.ledger.v1 import portfolio_service_pb2_grpc as portfolio_grpc
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import order_service_pb2_grpc as pb_grpc
from tests.support.keys import bearer

BUY = terms.SIDE_BUY
SELL = terms.SIDE_SELL
TERMINAL = {
    order_pb2.TRADE_STATUS_FILLED,
    order_pb2.TRADE_STATUS_CANCELED,
    order_pb2.TRADE_STATUS_REJECTED,
    order_pb2.TRADE_STATUS_EXPIRED,
}
DEADLINE_SECONDS = 30.0


class App:
    """One customer's connection to the house."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.aio.insecure_channel(address)
        self.metadata = bearer(token)
        self.orders = pb_grpc.OrderServiceStub(self._channel)
        self.portfolios = portfolio_grpc.PortfolioServiceStub(self._channel)

    async def __aenter__(self) -> "App":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._channel.close()

    async def place(
        self, side: terms.Side.ValueType, quantity: int, symbol: str, **terms: Any
    ) -> order_pb2.Trade:
        """Place a market order; the trade as recorded. Comes back when it is told to."""
        request = pb.PlaceTradeRequest(symbol=symbol, side=side, quantity=quantity, **terms)
        while True:
            try:
                response = await self.orders.PlaceTrade(
                    request, metadata=self.metadata, timeout=DEADLINE_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                if reason_of(error) != "OVERLOADED":
                    raise
                await asyncio.sleep(retry_after(error))
            else:
                return response.trade

    async def get(self, trade_id: str) -> order_pb2.Trade:
        """A trade as it stands."""
        response = await self.orders.GetTrade(
            pb.GetTradeRequest(trade_id=trade_id), metadata=self.metadata, timeout=DEADLINE_SECONDS
        )
        return response.trade

    async def portfolio(self) -> portfolio_pb.GetPortfolioResponse:
        """Cash and positions."""
        return await self.portfolios.GetPortfolio(
            portfolio_pb.GetPortfolioRequest(), metadata=self.metadata, timeout=DEADLINE_SECONDS
        )

    async def events(self, after_seq: int = 0) -> AsyncGenerator[order_pb2.TradeEvent, None]:
        """Events as they come, for ever."""
        call = self.orders.WatchTrades(
            pb.WatchTradesRequest(after_seq=after_seq), metadata=self.metadata
        )
        try:
            async for response in call:
                if response.WhichOneof("message") == "event":
                    yield response.event
        finally:
            call.cancel()

    async def story(
        self, trade_ids: set[str], *, seconds: float = 60.0
    ) -> list[order_pb2.TradeEvent]:
        """Every event of the customer from the first, until all of `trade_ids` are terminal."""
        waiting, story = set(trade_ids), []
        async with asyncio.timeout(seconds), aclosing(self.events()) as events:
            async for event in events:
                story.append(event)
                if event.trade.status in TERMINAL:
                    waiting.discard(event.trade.trade_id)
                if not waiting:
                    break
        return story

    async def settle(self, trade: order_pb2.Trade, *, seconds: float = 60.0) -> order_pb2.Trade:
        """The trade once it is terminal."""
        story = await self.story({trade.trade_id}, seconds=seconds)
        return story[-1].trade
