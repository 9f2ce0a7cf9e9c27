"""`market`: quotes, books and hours of the exchange."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from libs.money import format_dollars
from services.cli.amounts import format_shares
from services.cli.options import AsCustomer, AsJson, Operator
from services.cli.settings import settings

if TYPE_CHECKING:
    from services.cli.neighbours import Door
    from stockbroker.exchange.v1.exchange_pb2 import PriceLevel, Quote

app = typer.Typer()


class Phase(StrEnum):
    """Who says whether the exchange is open."""

    OPEN = "open"
    CLOSED = "closed"
    NEXT_DAY = "next-day"
    BY_HOURS = "by-hours"
    BY_CALENDAR = "by-calendar"


Watch = Annotated[bool, typer.Option("--watch", help="Show every change from now on.")]

_HEADINGS = ("symbol", ">bid", ">ask", ">last", ">volume", "changed (UTC)")


@app.callback(invoke_without_command=True)
def market(
    context: typer.Context,
    watch: Watch = False,
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """Quotes, books and hours of the exchange; alone: the quotes of every symbol."""
    if context.invoked_subcommand is None:
        quotes(watch=watch, customer=customer, as_json=as_json)


@app.command()
def quotes(
    symbols: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SYMBOL]...", help="For example AAPL KO; else all."),
    ] = None,
    watch: Watch = False,
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """The best bid and ask."""
    from services.cli.neighbours import customers_door

    with customers_door(settings(), customer) as door:
        show = _watch_quotes if watch else _list_quotes
        show(door, symbols or [], as_json)


@app.command()
def book(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="For example AAPL.")],
    depth: Annotated[int, typer.Option(min=1, max=1000, help="Levels per side.")] = 10,
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """The bids and asks of one symbol, best first."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.exchange.v1 import exchange_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    request = pb.GetBookRequest(symbol=symbol, depth=depth)
    with customers_door(settings(), customer) as door:
        found = door.call(ExchangeServiceStub(door.channel).GetBook, request)
    if as_json:
        show_json(fields_of(found))
        return
    count = max(len(found.bids), len(found.asks))
    bids = [_level_cells(one) for one in found.bids] + [("", "", "")] * (count - len(found.bids))
    asks = [_level_cells(one) for one in found.asks] + [("", "", "")] * (count - len(found.asks))
    rows = [(*bid, *reversed(ask)) for bid, ask in zip(bids, asks, strict=True)]
    headings = (">orders", ">shares", ">bid", ">ask", ">shares", ">orders")
    table(headings, rows, nothing=f"nobody offers {symbol}")


@app.command()
def hours(customer: AsCustomer = None, as_json: AsJson = False) -> None:
    """Whether the exchange is open, and until when."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import date_time
    from stockbroker.exchange.v1 import exchange_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    with customers_door(settings(), customer) as door:
        stub = ExchangeServiceStub(door.channel)
        status = door.call(stub.GetMarketStatus, pb.GetMarketStatusRequest())
    if as_json:
        show_json(fields_of(status))
    elif status.is_always_open:
        say("the exchange is always open")
    elif status.is_open and not status.HasField("closes_at"):
        say("the exchange is open until an operator closes it")
    elif status.is_open:
        say(f"the exchange is open until {date_time(status.closes_at)} UTC")
    elif status.HasField("opens_at"):
        say(f"the exchange is closed; it opens at {date_time(status.opens_at)} UTC")
    else:
        say("the exchange is closed")


@app.command()
def calendar(
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="The first date; else today there."),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=1000, help="How many.")] = 10,
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """The days on which the exchange trades, half days too, by its calendar."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import trading_day_cells
    from stockbroker.exchange.v1 import calendar_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    request = pb.ListTradingDaysRequest(
        from_date=f"{first:%Y-%m-%d}" if first is not None else "", limit=days
    )
    with customers_door(settings(), customer) as door:
        found = door.call(ExchangeServiceStub(door.channel).ListTradingDays, request)
    if as_json:
        show_json(fields_of(found))
        return
    headings = ("date", "day", "opens (UTC)", "closes (UTC)", "")
    table(headings, map(trading_day_cells, found.days), nothing="the calendar ends before")


@app.command()
def phase(
    phase: Annotated[
        Phase,
        typer.Argument(metavar="PHASE", help="open, closed, next-day, by-hours or by-calendar."),
    ],
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Open or close the simulated exchange at any hour; a close ends DAY orders. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    name = f"PHASE_{phase.name}"
    request = pb.SetPhaseRequest(phase=pb.SetPhaseRequest.Phase.Value(name))
    with operators_door(settings(), operator) as door:
        response = door.call(ExchangeControlServiceStub(door.channel).SetPhase, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"the exchange is {'open' if response.is_open else 'closed'}")


def _list_quotes(door: "Door", symbols: list[str], as_json: bool) -> None:
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.exchange.v1 import exchange_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    stub = ExchangeServiceStub(door.channel)
    found = door.call(stub.ListQuotes, pb.ListQuotesRequest(symbols=symbols))
    if as_json:
        show_json(fields_of(found))
    else:
        table(_HEADINGS, map(_quote_cells, found.quotes), nothing="no quotes")


def _watch_quotes(door: "Door", symbols: list[str], as_json: bool) -> None:
    from collections.abc import Iterator

    from services.cli.neighbours import follow
    from services.cli.screen import fields_of, note, say, show_json_line
    from stockbroker.exchange.v1 import exchange_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    stub = ExchangeServiceStub(door.channel)
    request = pb.WatchQuotesRequest(symbols=symbols)

    def open_stream() -> Iterator[pb.WatchQuotesResponse]:
        return stub.WatchQuotes(request, metadata=door.metadata())

    def say_cut_off(why: str) -> None:
        note(f"the stream was cut off ({why}); going on")

    for response in follow(door, open_stream, on_cut_off=say_cut_off):
        if as_json:
            show_json_line(fields_of(response))
        else:
            symbol, bid, ask, last, volume, changed = _quote_cells(response.quote)
            say(f"{changed}  {symbol:<12}  {bid:>20}  {ask:>20}  last {last}, volume {volume}")


def _quote_cells(quote: "Quote") -> tuple[str, ...]:
    from services.cli.wire import halt_of, level_of, time_of_day

    changed = time_of_day(quote.updated_at) if quote.HasField("updated_at") else "-"
    return (
        quote.symbol,
        level_of(quote.bid),
        level_of(quote.ask),
        format_dollars(quote.last_price_micros) if quote.last_price_micros else "-",
        format_shares(quote.volume),
        ", ".join(filter(None, (changed, halt_of(quote)))),
    )


def _level_cells(level: "PriceLevel") -> tuple[str, str, str]:
    return str(level.orders), format_shares(level.quantity), format_dollars(level.price_micros)
