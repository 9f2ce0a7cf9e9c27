"""`exchange clock`: the time at the simulated exchange."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import TIMES, AsJson, Operator
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.exchange.v1.clock_pb2 import SetClockRequest, VenueClock

app = typer.Typer()

_SPAN = re.compile(r"([+-]?)(\d{1,9})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_AS_REAL = 1_000  # thousandths
_FASTEST = 1_000_000_000  # beyond it no number of thousandths is certain


def _span(text: str) -> timedelta:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter("give a span such as 90m, 6h, 1d or -2d")
    seconds = int(found[2]) * _SECONDS[found[3]]
    return timedelta(seconds=-seconds if found[1] == "-" else seconds)


Span = Annotated[timedelta, typer.Argument(metavar="SPAN", parser=_span, help="90m, 6h, 1d, -2d.")]
Rate = Annotated[
    float | None,
    typer.Option(
        "--rate", min=0, max=_FASTEST, help="Times as fast as the real time; 0: it stands still."
    ),
]


@app.callback(invoke_without_command=True)
def clock(context: typer.Context, operator: Operator = "", as_json: AsJson = False) -> None:
    """The time at the exchange; alone: what time it is. Operators."""
    if context.invoked_subcommand is None:
        from services.cli.neighbours import operators_door
        from stockbroker.exchange.v1 import clock_pb2 as pb
        from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
            ExchangeControlServiceStub,
        )

        with operators_door(settings(), operator) as door:
            stub = ExchangeControlServiceStub(door.channel)
            _show(door.call(stub.GetClock, pb.GetClockRequest()).clock, as_json)


@app.command("set")
def set_to(
    at: Annotated[
        datetime,
        typer.Argument(metavar="TIME", formats=TIMES, help="In UTC."),
    ],
    rate: Rate = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Set it to a time, for example 2026-11-27T14:30:00."""
    from stockbroker.exchange.v1 import clock_pb2 as pb

    request = pb.SetClockRequest()
    request.at.FromDatetime(at.replace(tzinfo=UTC))
    _set(request, rate, operator, as_json)


@app.command(context_settings={"ignore_unknown_options": True})
def advance(span: Span, operator: Operator = "", as_json: AsJson = False) -> None:
    """Set it forward by so much, or back."""
    from stockbroker.exchange.v1 import clock_pb2 as pb

    seconds = int(span.total_seconds())
    _set(pb.SetClockRequest(advance_seconds=seconds), None, operator, as_json)


@app.command("next-open")
def next_open(rate: Rate = None, operator: Operator = "", as_json: AsJson = False) -> None:
    """Set it to the opening of the calendar's next session."""
    from stockbroker.exchange.v1 import clock_pb2 as pb

    _set(pb.SetClockRequest(next_open=True), rate, operator, as_json)


@app.command("next-close")
def next_close(rate: Rate = None, operator: Operator = "", as_json: AsJson = False) -> None:
    """Set it to the close of the calendar's session in progress, else of the next one."""
    from stockbroker.exchange.v1 import clock_pb2 as pb

    _set(pb.SetClockRequest(next_close=True), rate, operator, as_json)


@app.command()
def rate(
    times: Annotated[
        float,
        typer.Argument(metavar="TIMES", min=0, max=_FASTEST, help="As fast as the real time."),
    ],
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Let it run so many times as fast as the real time; 0: it stands still."""
    from stockbroker.exchange.v1 import clock_pb2 as pb

    _set(pb.SetClockRequest(), times, operator, as_json)


@app.command()
def real(operator: Operator = "", as_json: AsJson = False) -> None:
    """Go back to the real time."""
    from stockbroker.exchange.v1 import clock_pb2 as pb

    _set(pb.SetClockRequest(real=True), None, operator, as_json)


def _set(request: "SetClockRequest", rate: float | None, operator: str, as_json: bool) -> None:
    from services.cli.neighbours import operators_door
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    if rate is not None:
        request.rate_millis = round(rate * 1000)
    with operators_door(settings(), operator) as door:
        # Never repeated: a span would be added twice.
        stub = ExchangeControlServiceStub(door.channel)
        _show(door.call(stub.SetClock, request, tries=1).clock, as_json)


def _show(clock: "VenueClock", as_json: bool) -> None:
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import date_time

    if as_json:
        show_json(fields_of(clock))
        return
    runs = f"{clock.rate_millis / 1000:g} times as fast as the real time"
    if clock.rate_millis == _AS_REAL:
        runs = "as fast as the real time"
    how = "the real time" if clock.is_real else runs if clock.rate_millis else "it stands still"
    say(f"at the exchange it is {date_time(clock.now)} UTC, {how}")
    say(f"it is {'open' if clock.is_open else 'closed'}")
    if clock.HasField("opens_at"):
        opens_at, closes_at = date_time(clock.opens_at), date_time(clock.closes_at)
        which = "this" if opens_at <= date_time(clock.now) else "next"
        say(f"{which} session of the calendar: {opens_at} to {closes_at} UTC")
