"""The market as ExchangeService tells it."""

from datetime import UTC
from typing import Any

from services.exchange_gateway.domain.market import Book, Level, Quote
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

    async def get_book(self, symbol: str, depth: int) -> Book:
        """GetBook."""
        request = pb.GetBookRequest(symbol=symbol, depth=depth)
        call = self._exchange.GetBook(request, timeout=self._answer_seconds)
        answer: pb.GetBookResponse = await answer_of(call)
        return Book(tuple(map(_level, answer.bids)), tuple(map(_level, answer.asks)))


def _quote(quote: market.Quote) -> Quote:
    return Quote(
        symbol=quote.symbol,
        bid=_level(quote.bid) if quote.HasField("bid") else None,
        ask=_level(quote.ask) if quote.HasField("ask") else None,
        last_price_micros=quote.last_price_micros,
        updated_at=quote.updated_at.ToDatetime(tzinfo=UTC),
    )


def _level(level: market.PriceLevel) -> Level:
    return Level(level.price_micros, level.quantity)
