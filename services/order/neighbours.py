"""The neighbours this service calls."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any

import grpc

from libs.reasons import Reason
from libs.refusals import Unavailable
from services.order.domain.instrument import Instrument
from services.order.domain.previewing import Depth, Funds, Level
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.exchange_gateway.v1 import market_pb2
from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
    ExchangeGatewayServiceStub,
)
from stockbroker.ledger.v1 import posting_pb2
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

_TIMEOUT_SECONDS = 2.0
_LEVELS = 1000


class Gateway:
    """ExchangeGatewayService, as far as this service needs it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = ExchangeGatewayServiceStub(channel)

    async def list_instruments(self) -> list[Instrument]:
        """What can be traded. Raises Unavailable when the gateway does not answer."""
        call = self._stub.ListInstruments(pb.ListInstrumentsRequest(), timeout=_TIMEOUT_SECONDS)
        answer = await _answer(call, "the exchange gateway")
        return [Instrument(each.symbol, each.name, each.is_tradable) for each in answer.instruments]

    async def last_prices(self) -> dict[str, int]:
        """Micros per share by symbol, those that have one. Raises Unavailable.

        Before the first trade in a symbol: the middle of best bid and ask.
        """
        call = self._stub.ListQuotes(market_pb2.ListQuotesRequest(), timeout=_TIMEOUT_SECONDS)
        answer = await _answer(call, "the exchange gateway")
        prices = {quote.symbol: _price_of(quote) for quote in answer.quotes}
        return {symbol: price for symbol, price in prices.items() if price}

    async def depth(self, symbol: str) -> Depth | None:
        """The book as it is now; None when the gateway does not answer."""
        request = market_pb2.GetBookRequest(symbol=symbol, depth=_LEVELS)
        try:
            call = self._stub.GetBook(request, timeout=_TIMEOUT_SECONDS)
            answer = await _answer(call, "the exchange gateway")
        except Unavailable:
            return None
        return Depth(
            [Level(each.price_micros, each.quantity) for each in answer.bids],
            [Level(each.price_micros, each.quantity) for each in answer.asks],
        )


def _price_of(quote: market_pb2.Quote) -> int:
    """0: there is none."""
    bid, ask = quote.bid.price_micros, quote.ask.price_micros
    return quote.last_price_micros or ((bid + ask) // 2 if bid and ask else 0)


class Ledger:
    """LedgerService, as far as this service needs it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = LedgerServiceStub(channel)

    async def funds(self, customer_id: str, asset: str) -> Funds:
        """What the customer has available. Raises Unavailable when the ledger does not answer."""
        request = posting_pb2.GetBalanceRequest(account=f"customer/{customer_id}", asset=asset)
        call = self._stub.GetBalance(request, timeout=_TIMEOUT_SECONDS)
        answer = await _answer(call, "the ledger")
        return Funds(answer.available, is_open=answer.state in ("", "open"))


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Everybody this service calls."""

    gateway: Gateway
    ledger: Ledger


async def _answer(call: Awaitable[Any], who: str) -> Any:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        words = f"{who}: {error.code().name}"
        raise Unavailable(Reason.REASON_UNAVAILABLE, words) from error
