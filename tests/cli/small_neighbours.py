"""Portfolios and the exchange out of memory, as small as the command line needs."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from libs.refusals import NotFound
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import calendar_pb2 as calendar
from stockbroker.exchange.v1 import clock_pb2 as clock
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange.v1 import exchange_service_pb2 as exchange
from stockbroker.exchange.v1 import scripts_pb2 as scripts
from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
    ExchangeControlServiceServicer,
)
from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceServicer
from stockbroker.ledger.v1 import portfolio_service_pb2 as portfolio
from tests.cli.small_journal import SmallStatements

OWNED = portfolio.GetPortfolioResponse(
    cash=portfolio.Cash(available_micros=1, held_micros=2_000_000, total_micros=2_000_001),
    positions=[
        portfolio.Position(
            symbol="AAPL",
            quantity=1_300,
            available_quantity=1_000,
            held_quantity=300,
            cost_micros=761_805_000_001,
        )
    ],
    version=7,
)
ENTRIES = [
    portfolio.Entry(asset="USD", version=2, kind="execution", amount=-175_787_658_200),
    portfolio.Entry(asset="AAPL", version=1, kind="deposit", amount=1_000, balance_after=1_000),
]
QUOTE = exchange_pb2.Quote(
    symbol="AAPL",
    bid=exchange_pb2.PriceLevel(price_micros=585_330_000, quantity=18, orders=1),
    ask=exchange_pb2.PriceLevel(price_micros=585_940_000, quantity=200, orders=2),
    last_price_micros=585_900_000,
    volume=12_345,
)


class SmallPortfolio(SmallStatements):
    """Everybody owns the same; one entry a page. Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def GetPortfolio(self, request: portfolio.GetPortfolioRequest, context: Any) -> Any:
        self.asked.append(request)
        return OWNED

    async def ListEntries(self, request: portfolio.ListEntriesRequest, context: Any) -> Any:
        self.asked.append(request)
        index = int(request.page_token or 0)
        is_last = index == len(ENTRIES) - 1
        return portfolio.ListEntriesResponse(
            entries=[ENTRIES[index]], next_page_token="" if is_last else str(index + 1)
        )


_USUAL_SCRIPT = scripts.OrderScript(symbol="TEST.FILL", outcome=scripts.OrderScript.OUTCOME_FILL)


def a_clock(*, is_real: bool, rate: int) -> clock.VenueClock:
    """The morning of a half day."""
    told = clock.VenueClock(is_real=is_real, rate_millis=rate, is_open=True)
    told.now.FromJsonString("2026-11-27T15:00:00Z")
    told.opens_at.FromJsonString("2026-11-27T14:30:00Z")
    told.closes_at.FromJsonString("2026-11-27T18:00:00Z")
    return told


def a_day(*, is_set: bool = False) -> calendar.TradingDay:
    """A half day."""
    told = calendar.TradingDay(date="2026-11-27", is_short=True, is_set=is_set)
    told.opens_at.FromJsonString("2026-11-27T14:30:00Z")
    told.closes_at.FromJsonString("2026-11-27T18:00:00Z")
    return told


def _check_listed(symbols: Iterable[str]) -> None:
    if set(symbols) - {QUOTE.symbol}:
        raise NotFound(Reason.REASON_UNKNOWN_SYMBOL, "the symbol is not listed")


class SmallExchange(ExchangeServiceServicer):
    """One symbol; a watcher gets one quote and is cut off."""

    def __init__(self, quote: exchange_pb2.Quote, hours: exchange.GetMarketStatusResponse) -> None:
        self._quote = quote
        self._hours = hours

    async def ListQuotes(self, request: exchange.ListQuotesRequest, context: Any) -> Any:
        _check_listed(request.symbols)
        return exchange.ListQuotesResponse(quotes=[self._quote])

    async def ListInstruments(self, request: exchange.ListInstrumentsRequest, context: Any) -> Any:
        told = exchange_pb2.Instrument(symbol=self._quote.symbol, is_halted=self._quote.is_halted)
        return exchange.ListInstrumentsResponse(instruments=[told])

    async def WatchQuotes(
        self, request: exchange.WatchQuotesRequest, context: Any
    ) -> AsyncIterator[exchange.WatchQuotesResponse]:
        yield exchange.WatchQuotesResponse(quote=self._quote)

    async def GetBook(self, request: exchange.GetBookRequest, context: Any) -> Any:
        return exchange.GetBookResponse(
            bids=[self._quote.bid], asks=[self._quote.ask, self._quote.ask]
        )

    async def ListTradingDays(self, request: calendar.ListTradingDaysRequest, context: Any) -> Any:
        return calendar.ListTradingDaysResponse(days=[a_day()][: request.limit])

    async def GetMarketStatus(self, request: exchange.GetMarketStatusRequest, context: Any) -> Any:
        return self._hours


class SmallControl(ExchangeControlServiceServicer):
    """Remembers what was loaded and played, and is as open as the last word said."""

    def __init__(self, quote: exchange_pb2.Quote) -> None:
        self._quote = quote
        self.loaded: list[control.LoadBookRequest] = []
        self.played: list[control.PlayTapeRequest] = []
        self.scripts = scripts.ListScriptsResponse(is_default=True, scripts=[_USUAL_SCRIPT])

        self.clocks: list[clock.SetClockRequest] = []
        self.days: list[calendar.SetTradingDayRequest] = []

    async def SetClock(self, request: clock.SetClockRequest, context: Any) -> Any:
        self.clocks.append(request)
        return clock.SetClockResponse(clock=a_clock(is_real=request.real, rate=request.rate_millis))

    async def SetTradingDay(self, request: calendar.SetTradingDayRequest, context: Any) -> Any:
        self.days.append(request)
        told = calendar.TradingDay(date=request.date, is_set=True, reason_text="snow")
        return calendar.SetTradingDayResponse(day=None if request.is_usual else told)

    async def GetClock(self, request: clock.GetClockRequest, context: Any) -> Any:
        return clock.GetClockResponse(clock=a_clock(is_real=True, rate=1_000))

    async def SetScripts(self, request: scripts.SetScriptsRequest, context: Any) -> Any:
        table = [_USUAL_SCRIPT] if request.is_default else request.scripts
        self.scripts = scripts.ListScriptsResponse(scripts=table, is_default=request.is_default)
        return scripts.SetScriptsResponse(scripts=table)

    async def ListScripts(self, request: scripts.ListScriptsRequest, context: Any) -> Any:
        return self.scripts

    async def LoadBook(self, request: control.LoadBookRequest, context: Any) -> Any:
        self.loaded.append(request)
        return control.LoadBookResponse(orders=len(request.orders))

    async def PlayTape(
        self, requests: AsyncIterator[control.PlayTapeRequest], context: Any
    ) -> control.PlayTapeResponse:
        async for request in requests:
            self.played.append(request)
        return control.PlayTapeResponse(commands=sum(len(one.commands) for one in self.played))

    async def SetPhase(self, request: control.SetPhaseRequest, context: Any) -> Any:
        return control.SetPhaseResponse(
            is_open=request.phase != control.SetPhaseRequest.PHASE_CLOSED
        )

    async def SetHalt(self, request: control.SetHaltRequest, context: Any) -> Any:
        _check_listed([request.symbol])
        self._quote.is_halted = request.is_halted
        return control.SetHaltResponse()

    async def BustExecution(self, request: control.BustExecutionRequest, context: Any) -> Any:
        report = exchange_pb2.ExecutionReport(
            exec_ref_id=request.exec_id,
            exec_id="XSIM-1-9",
            client_order_id="t1",
            symbol="AAPL",
            last_quantity=10,
            last_price_micros=12_500_000,
        )
        return control.BustExecutionResponse(report=report)

    async def CorrectExecution(self, request: control.CorrectExecutionRequest, context: Any) -> Any:
        report = exchange_pb2.ExecutionReport(
            exec_ref_id=request.exec_id,
            exec_id="XSIM-1-9",
            client_order_id="t1",
            symbol="AAPL",
            last_quantity=request.quantity or 10,
            last_price_micros=request.price_micros or 12_500_000,
        )
        return control.CorrectExecutionResponse(report=report)
