"""`reports`: an operator settles what the exchange said and what cannot be true."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import MOST_64, AsJson, Operator, Reason
from services.cli.pages import whole
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.exchange_gateway.v1.operators_pb2 import ParkedReport

app = typer.Typer(help="Reports of the exchange that cannot be true: kept, and not applied.")

ReportSeq = Annotated[
    int,
    typer.Argument(
        metavar="REPORT", min=1, max=MOST_64, help="The report's number, as `parked` tells it."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Those that were settled too.")]


@app.command()
def parked(everything: All = False, operator: Operator = "", as_json: AsJson = False) -> None:
    """Reports that cannot be true, oldest first. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        request = pb.ListParkedReportsRequest(limit=1000, with_settled=everything)
        found = whole(partial(door.call, stub.ListParkedReports), request, "after_seq")
    if as_json:
        show_json(fields_of(found))
        return
    headings = (">report", "state", "trade", "customer", "said", "breach", "why not", ">age")
    table(headings, map(_cells, found.reports), nothing="no report is parked")


@app.command()
def retry(
    report: ReportSeq, reason: Reason, operator: Operator = "", as_json: AsJson = False
) -> None:
    """Have a parked report judged again, its cause mended; one that holds is booked. Operators."""
    from services.cli.neighbours import operators_door
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        request = pb.RetryParkedReportRequest(report_seq=report, reason_text=reason)
        response = door.call(stub.RetryParkedReport, request)
    _tell(response.report, as_json=as_json)


@app.command()
def dismiss(
    report: ReportSeq, reason: Reason, operator: Operator = "", as_json: AsJson = False
) -> None:
    """Lay a parked report aside for ever: it is kept and never applied. Operators."""
    from services.cli.neighbours import operators_door
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        request = pb.DismissParkedReportRequest(report_seq=report, reason_text=reason)
        response = door.call(stub.DismissParkedReport, request)
    _tell(response.report, as_json=as_json)


def _tell(report: "ParkedReport", *, as_json: bool) -> None:
    from services.cli.screen import fields_of, say, show_json

    if as_json:
        show_json(fields_of(report))
    else:
        say(f"report {' | '.join(cell for cell in _cells(report) if cell)}")


def _cells(report: "ParkedReport") -> tuple[str, ...]:
    from libs.money import format_dollars
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb

    state = pb.ParkedReport.State.Name(report.state).removeprefix("STATE_")
    said = report.kind
    if said == "FILLED":
        price = format_dollars(report.price_micros)
        said += f" {report.quantity} {report.symbol} at {price} ({report.execution_id})"
    return (
        str(report.report_seq),
        state,
        report.trade_id,
        report.customer_id,
        said,
        report.breach,
        report.detail,
        f"{report.age_seconds} s",
    )
