"""ExchangeService: members' sessions, and the market for everybody to read."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from grpc.aio import ServicerContext

from services.exchange_simulator import wire
from services.exchange_simulator.market import Market
from services.exchange_simulator.service import session
from services.exchange_simulator.service.calendar import CalendarReading
from services.exchange_simulator.service.drop_copy import DropCopy
from services.exchange_simulator.trading import Trading
from services.exchange_simulator.venue import Venue
from stockbroker.exchange.v1 import exchange_service_pb2 as pb
from stockbroker.exchange.v1 import exchange_service_pb2_grpc as grpc_pb

_DEFAULT_DEPTH = 10
_MAX_DEPTH = 1000


class ExchangeService(DropCopy, CalendarReading, grpc_pb.ExchangeServiceServicer):
    """Reads the floor as it stands; all that changes it goes through the venue."""

    def __init__(self, trading: Trading, venue: Venue, *, name: str) -> None:
        self._trading = trading
        self._venue = venue
        self._name = name

    async def Session(
        self,
        request_iterator: AsyncIterator[pb.SessionRequest],
        context: ServicerContext[pb.SessionRequest, pb.SessionResponse],
    ) -> AsyncIterator[pb.SessionResponse]:
        clock = self._trading.clock
        async for response in session.serve(
            request_iterator, self._venue, name=self._name, clock=clock
        ):
            yield response

    async def GetOrder(
        self,
        request: pb.GetOrderRequest,
        context: ServicerContext[pb.GetOrderRequest, pb.GetOrderResponse],
    ) -> pb.GetOrderResponse:
        reports = await self._venue.reports_of(wire.client_order_id_from(request.client_order_id))
        return pb.GetOrderResponse(is_known=reports is not None, reports=reports or ())

    async def ListOrders(
        self,
        request: pb.ListOrdersRequest,
        context: ServicerContext[pb.ListOrdersRequest, pb.ListOrdersResponse],
    ) -> pb.ListOrdersResponse:
        if request.client_order_ids:
            ids = wire.client_order_ids_from(request.client_order_ids)
            known = await self._venue.standings_of(ids)
            return pb.ListOrdersResponse(orders=[wire.standing_to(i, known.get(i)) for i in ids])
        span = wire.span_from(request)
        found = await self._venue.list_standings(replace(span, most=span.most + 1))
        page = found[: span.most]
        return pb.ListOrdersResponse(
            orders=[wire.standing_to(one.client_order_id, one) for one in page],
            next_after_client_order_id=page[-1].client_order_id if len(found) > len(page) else "",
        )

    async def ListInstruments(
        self,
        request: pb.ListInstrumentsRequest,
        context: ServicerContext[pb.ListInstrumentsRequest, pb.ListInstrumentsResponse],
    ) -> pb.ListInstrumentsResponse:
        markets = self._trading.floor.markets.values()
        return pb.ListInstrumentsResponse(instruments=map(wire.instrument_to, markets))

    async def ListQuotes(
        self,
        request: pb.ListQuotesRequest,
        context: ServicerContext[pb.ListQuotesRequest, pb.ListQuotesResponse],
    ) -> pb.ListQuotesResponse:
        return pb.ListQuotesResponse(quotes=map(wire.quote_to, self._markets(request.symbols)))

    async def WatchQuotes(
        self,
        request: pb.WatchQuotesRequest,
        context: ServicerContext[pb.WatchQuotesRequest, pb.WatchQuotesResponse],
    ) -> AsyncIterator[pb.WatchQuotesResponse]:
        markets = {market.instrument.symbol: market for market in self._markets(request.symbols)}
        watcher = self._trading.board.watch(markets)
        try:
            async for symbol, traded in watcher.changes():
                lowest, highest = traded or (0, 0)
                yield pb.WatchQuotesResponse(
                    quote=wire.quote_to(markets[symbol]),
                    lowest_traded_micros=lowest,
                    highest_traded_micros=highest,
                )
        finally:
            self._trading.board.leave(watcher)

    async def GetBook(
        self,
        request: pb.GetBookRequest,
        context: ServicerContext[pb.GetBookRequest, pb.GetBookResponse],
    ) -> pb.GetBookResponse:
        if not 0 <= request.depth <= _MAX_DEPTH:
            raise wire.invalid("depth", f"depth is not within 0 and {_MAX_DEPTH}")
        (market,) = self._markets([request.symbol])
        depth = request.depth or _DEFAULT_DEPTH
        return pb.GetBookResponse(
            bids=wire.levels_to(market.book.bids, depth),
            asks=wire.levels_to(market.book.asks, depth),
        )

    async def GetMarketStatus(
        self,
        request: pb.GetMarketStatusRequest,
        context: ServicerContext[pb.GetMarketStatusRequest, pb.GetMarketStatusResponse],
    ) -> pb.GetMarketStatusResponse:
        trading = self._trading
        now, hours = trading.clock.now(), trading.hours(trading.phase)
        trading_day = hours.session(now) if hours is not None else None
        return pb.GetMarketStatusResponse(
            is_open=trading.is_open(),
            is_always_open=hours is not None and hours.is_always_open,
            opens_at=wire.timestamp_to(trading_day.opens_at) if trading_day else None,
            closes_at=wire.timestamp_to(trading_day.closes_at) if trading_day else None,
            now=wire.timestamp_to(now),
            day_ended_at=wire.timestamp_to(trading.day_ended_at),
        )

    def _markets(self, symbols: Iterable[str]) -> list[Market]:
        """The markets of those symbols, each once, by symbol; of none: all. Raises NotFound."""
        markets = self._trading.floor.markets
        wanted = sorted(set(symbols)) or markets
        for symbol in wanted:
            if symbol not in markets:
                raise wire.unknown_symbol(symbol)
        return [markets[symbol] for symbol in wanted]
