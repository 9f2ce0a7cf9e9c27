"""Quotes and books, passed on from the venue."""

import grpc
import pytest

from libs.rpc.status import reason_of
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange_gateway.v1 import market_pb2 as pb
from tests.exchange_gateway.conftest import Gateway, Scene

KO = market.Quote(
    symbol="KO",
    bid=market.PriceLevel(price_micros=60_000_000, quantity=100),
    ask=market.PriceLevel(price_micros=60_010_000, quantity=200),
    last_price_micros=60_005_000,
)


async def test_quotes_and_books_are_those_of_the_venue(scene: Scene, gateway: Gateway) -> None:
    scene.venue.quotes = [market.Quote(symbol="AAPL"), KO]

    quotes = (await gateway.stub.ListQuotes(pb.ListQuotesRequest(), timeout=20)).quotes
    book = await gateway.stub.GetBook(pb.GetBookRequest(symbol="KO", depth=5), timeout=20)

    assert [(each.symbol, each.last_price_micros) for each in quotes] == [
        ("AAPL", 0),
        ("KO", 60_005_000),
    ]
    assert not quotes[0].HasField("bid")
    assert (quotes[1].bid.price_micros, quotes[1].ask.quantity) == (60_000_000, 200)
    assert [(each.price_micros, each.quantity) for each in book.asks] == [(60_010_000, 200)]
    assert [(each.price_micros, each.quantity) for each in book.bids] == [(60_000_000, 100)]


async def test_while_the_venue_is_away_nothing_is_made_up(scene: Scene, gateway: Gateway) -> None:
    scene.venue.quotes = [KO]
    await scene.venue.stop()
    for call in (
        gateway.stub.ListQuotes(pb.ListQuotesRequest(), timeout=20),
        gateway.stub.GetBook(pb.GetBookRequest(symbol="KO", depth=5), timeout=20),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("depth", [-1, 0, 1001])
async def test_a_depth_that_is_none_is_refused(gateway: Gateway, depth: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await gateway.stub.GetBook(pb.GetBookRequest(symbol="KO", depth=depth), timeout=20)
    assert reason_of(refused.value) == "INVALID_REQUEST"
