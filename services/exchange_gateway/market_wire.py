"""The market, as the contract speaks of it."""

from services.exchange_gateway.domain.market import Book, Level, Quote
from stockbroker.exchange_gateway.v1 import market_pb2 as pb


def quote_to(quote: Quote) -> pb.Quote:
    """What the venue says of one symbol."""
    message = pb.Quote(
        symbol=quote.symbol,
        bid=level_to(quote.bid) if quote.bid else None,
        ask=level_to(quote.ask) if quote.ask else None,
        last_price_micros=quote.last_price_micros,
    )
    message.updated_at.FromDatetime(quote.updated_at)
    return message


def book_to(book: Book) -> pb.GetBookResponse:
    """A book, best first."""
    return pb.GetBookResponse(bids=map(level_to, book.bids), asks=map(level_to, book.asks))


def level_to(level: Level) -> pb.PriceLevel:
    """All orders at one price."""
    return pb.PriceLevel(price_micros=level.price_micros, quantity=level.quantity)
