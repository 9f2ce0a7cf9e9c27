"""The market as ExchangeService tells it."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from libs.stamps import moment_of
from services.exchange_gateway.domain.market import Book, Hours, Level, Quote, Tick
from services.exchange_gateway.venues import VenueAway
from services.exchange_gateway.venues.answering import answer_of
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb


class MarketReader:
    """Reads over whatever channel the venue has now."""

    _exchange: Any
    _answer_seconds: float

    async def list_quotes(self) -> list[Quote]:
        """ListQuotes of all."""
        call = self._exchange.ListQuotes(pb.ListQuotesRequest(), timeout=self._answer_seconds)
        answer: pb.ListQuotesResponse = await answer_of(call)
        return [_quote(quote) for quote in answer.quotes]

    async def hours(self) -> Hours:
        """GetMarketStatus."""
        request = pb.GetMarketStatusRequest()
        call = self._exchange.GetMarketStatus(request, timeout=self._answer_seconds)
        answer: pb.GetMarketStatusResponse = await answer_of(call)
        ended_at, now = map(_moment, (answer.day_ended_at, answer.now))
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return Hours(answer.is_open, ended_at, day_mark=max(ended_at, midnight))

    async def get_book(self, symbol: str, depth: int) -> Book:
        """GetBook."""
        request = pb.GetBookRequest(symbol=symbol, depth=depth)
        call = self._exchange.GetBook(request, timeout=self._answer_seconds)
        answer: pb.GetBookResponse = await answer_of(call)
        return Book(tuple(map(_level, answer.bids)), tuple(map(_level, answer.asks)))


class MarketWatcher(MarketReader):
    """Reads over a connection of its own, and follows what trades."""

    def __init__(self, exchange: Any, *, answer_seconds: float) -> None:
        self._exchange = exchange
        self._answer_seconds = answer_seconds

    async def ticks(self) -> AsyncIterator[Tick]:
        """WatchQuotes of all."""
        call = self._exchange.WatchQuotes(pb.WatchQuotesRequest())
        try:
            while isinstance(said := await answer_of(call.read()), pb.WatchQuotesResponse):
                yield _tick(said)
        finally:
            call.cancel()
        raise VenueAway("the exchange ended its quotes")


def _tick(said: pb.WatchQuotesResponse) -> Tick:
    quote = said.quote
    return Tick(
        quote.symbol,
        quote.last_price_micros,
        quote.is_halted,
        said.lowest_traded_micros,
        said.highest_traded_micros,
    )


def _quote(quote: market.Quote) -> Quote:
    return Quote(
        symbol=quote.symbol,
        bid=_level(quote.bid) if quote.HasField("bid") else None,
        ask=_level(quote.ask) if quote.HasField("ask") else None,
        last_price_micros=quote.last_price_micros,
        updated_at=_moment(quote.updated_at),
        is_halted=quote.is_halted,
    )


def _moment(stamp: Timestamp) -> datetime:
    try:
        return moment_of(stamp)
    except (ValueError, OverflowError) as error:
        raise VenueAway("a time that the exchange tells is none") from error


def _level(level: market.PriceLevel) -> Level:
    return Level(level.price_micros, level.quantity)
