"""A market as a test sets it: what is listed, quotes, hours."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceServicer


class MarketDouble(ExchangeServiceServicer):
    """Tells what it was told to tell."""

    def __init__(self) -> None:
        self.instruments = [market.Instrument(symbol="AAPL", name="Apple Inc.")]
        self.quotes: list[market.Quote] = []
        self.is_open = True
        self.days_ended = 0
        self._watchers: list[asyncio.Queue[pb.WatchQuotesResponse | None]] = []

    async def ListQuotes(
        self, request: pb.ListQuotesRequest, context: Any
    ) -> pb.ListQuotesResponse:
        """What it was told to say."""
        return pb.ListQuotesResponse(quotes=self.quotes)

    async def WatchQuotes(
        self, request: pb.WatchQuotesRequest, context: Any
    ) -> AsyncIterator[pb.WatchQuotesResponse]:
        """The quotes, then what is traded."""
        mine: asyncio.Queue[pb.WatchQuotesResponse | None] = asyncio.Queue()
        for quote in self.quotes:
            mine.put_nowait(pb.WatchQuotesResponse(quote=quote))
        self._watchers.append(mine)
        try:
            while (change := await mine.get()) is not None:
                yield change
        finally:
            self._watchers.remove(mine)

    def is_watched(self) -> bool:
        """Whether somebody follows the quotes."""
        return bool(self._watchers)

    def trade(self, price_micros: int, *, lowest: int = 0, highest: int = 0) -> None:
        """Its one symbol trades at this price last, and within these since it was told last."""
        self.change(last_price_micros=price_micros)
        self._tell(lowest or price_micros, highest or price_micros)

    def change(self, **fields: Any) -> None:
        """Its one symbol is quoted like this; nobody is told."""
        if not self.quotes:
            self.quotes = [market.Quote(symbol="AAPL")]
        for name, value in fields.items():
            setattr(self.quotes[0], name, value)

    def halt(self, *, is_halted: bool) -> None:
        """Its one symbol is halted, or trades again."""
        self.change(is_halted=is_halted)
        self._tell(0, 0)

    def _tell(self, lowest: int, highest: int) -> None:
        quote = market.Quote()
        quote.CopyFrom(self.quotes[0])
        change = pb.WatchQuotesResponse(
            quote=quote, lowest_traded_micros=lowest, highest_traded_micros=highest
        )
        for watcher in self._watchers:
            watcher.put_nowait(change)

    async def GetMarketStatus(
        self, request: pb.GetMarketStatusRequest, context: Any
    ) -> pb.GetMarketStatusResponse:
        """As it was set."""
        answer = pb.GetMarketStatusResponse(is_open=self.is_open)
        answer.day_ended_at.seconds = 1_700_000_000 + 86_400 * self.days_ended
        return answer

    async def GetBook(self, request: pb.GetBookRequest, context: Any) -> pb.GetBookResponse:
        """The best of the quotes."""
        (quote,) = [quote for quote in self.quotes if quote.symbol == request.symbol]
        return pb.GetBookResponse(bids=[quote.bid], asks=[quote.ask])

    async def ListInstruments(
        self, request: pb.ListInstrumentsRequest, context: Any
    ) -> pb.ListInstrumentsResponse:
        """What is listed."""
        return pb.ListInstrumentsResponse(instruments=self.instruments)
