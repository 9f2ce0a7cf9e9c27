"""`fills`: an operator of the simulated exchange says that a fill never was, or was another."""

from typing import Annotated, Any

import typer

from libs.money import format_dollars
from services.cli.options import MOST_64, AsJson, Operator, Price, Reason
from services.cli.settings import settings

app = typer.Typer(no_args_is_help=True, help="Bust and correct fills of the simulated exchange.")

ExecutionId = Annotated[
    str,
    typer.Argument(
        metavar="EXECUTION_ID",
        help="As the trade shows it, its latest correction's if it has one; without XSIM/.",
    ),
]


@app.command()
def bust(
    execution_id: ExecutionId, reason: Reason, operator: Operator = "", as_json: AsJson = False
) -> None:
    """Take a fill back, as if it never was: its order must have ended. Operators."""
    from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb

    request = pb.BustExecutionRequest(exec_id=execution_id, reason_text=reason)
    report = _ask("BustExecution", request, operator, as_json=as_json)
    if not as_json:
        _tell(f"busted: {report.last_quantity} {report.symbol}", report)


@app.command()
def correct(  # noqa: PLR0913 - a command's parameters are its options
    execution_id: ExecutionId,
    reason: Reason,
    quantity: Annotated[
        int, typer.Option(min=0, max=MOST_64, help="Whole shares; else as it was.")
    ] = 0,
    price: Price = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Give a fill another quantity or price: its order must have ended. Operators."""
    from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb

    request = pb.CorrectExecutionRequest(
        exec_id=execution_id, quantity=quantity, price_micros=price or 0, reason_text=reason
    )
    report = _ask("CorrectExecution", request, operator, as_json=as_json)
    if not as_json:
        _tell(f"corrected: now {report.last_quantity} {report.symbol}", report)


def _ask(method: str, request: Any, operator: str, *, as_json: bool) -> Any:
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub: ExchangeControlServiceStub = ExchangeControlServiceStub(door.channel)
        response = door.call(getattr(stub, method), request)
    if as_json:
        show_json(fields_of(response))
    return response.report


def _tell(words: str, report: Any) -> None:
    from services.cli.screen import say

    price = format_dollars(report.last_price_micros)
    say(f"{words} at {price}, order {report.client_order_id}, by {report.exec_id}")
