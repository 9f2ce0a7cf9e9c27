"""`exchange day`: an operator's word on the hours of one date."""

from datetime import UTC, datetime, time
from typing import Annotated

import typer

from services.cli.options import AsJson, Operator
from services.cli.settings import settings

_TIMES = ["%H:%M"]

Date = Annotated[datetime, typer.Argument(metavar="DATE", formats=["%Y-%m-%d"], help="In UTC.")]
Opens = Annotated[
    datetime | None, typer.Option("--opens", formats=_TIMES, help="When it opens, UTC.")
]
Closes = Annotated[
    datetime | None, typer.Option("--closes", formats=_TIMES, help="When it closes, UTC.")
]
Shut = Annotated[bool, typer.Option("--closed", help="It does not open.")]
Usual = Annotated[bool, typer.Option("--usual", help="As its own calendar has it.")]
Why = Annotated[str, typer.Option("--reason", help="Why, for the record.")]


def day(  # noqa: PLR0913 - a command's parameters are its options
    date: Date,
    opens: Opens = None,
    closes: Closes = None,
    shut: Shut = False,
    usual: Usual = False,
    reason: Why = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Give a date other hours than the calendar's: --opens and --closes, --closed or --usual."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import trading_day_cells
    from stockbroker.exchange.v1 import calendar_pb2 as pb
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    has_times = opens is not None and closes is not None
    if [has_times, shut, usual].count(True) != 1 or (opens is None) != (closes is None):
        raise typer.BadParameter("give --opens and --closes, --closed, or --usual")
    request = pb.SetTradingDayRequest(date=f"{date:%Y-%m-%d}", reason_text=reason)
    if opens is not None and closes is not None:
        request.open.opens_at.FromDatetime(_at(date, opens.time()))
        request.open.closes_at.FromDatetime(_at(date, closes.time()))
    elif shut:
        request.is_closed = True
    else:
        request.is_usual = True
    with operators_door(settings(), operator) as door:
        stub = ExchangeControlServiceStub(door.channel)
        response = door.call(stub.SetTradingDay, request)
    if as_json:
        show_json(fields_of(response))
        return
    days = [response.day] if response.HasField("day") else []
    headings = ("date", "day", "opens (UTC)", "closes (UTC)", "")
    table(headings, map(trading_day_cells, days), nothing=f"no trading on {date:%Y-%m-%d}")


def _at(date: datetime, at: time) -> datetime:
    return datetime.combine(date.date(), at, UTC)
