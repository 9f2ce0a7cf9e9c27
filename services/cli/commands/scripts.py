"""`exchange scripts`: what becomes of orders at the simulated exchange, by pattern."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import MOST_32, AsJson, Operator
from services.cli.settings import settings

if TYPE_CHECKING:
    from services.cli.neighbours import Door
    from stockbroker.exchange.v1.scripts_pb2 import ListScriptsResponse, OrderScript

app = typer.Typer()


class Outcome(StrEnum):
    """What becomes of an order."""

    FILL = "fill"
    HALF_THEN_CANCEL = "half-then-cancel"
    PARTIAL_FILLS = "partial-fills"
    REJECT = "reject"
    REST = "rest"
    EXPIRE = "expire"
    NO_ANSWER = "no-answer"


class Refusal(StrEnum):
    """Why an order is refused."""

    UNKNOWN_SYMBOL = "unknown-symbol"
    MARKET_CLOSED = "market-closed"
    HALTED = "halted"
    NO_LIQUIDITY = "no-liquidity"
    MAX_NOTIONAL = "max-notional"
    OTHER = "other"


Symbols = Annotated[str, typer.Option("--symbol", help="Symbols it fits, with * and ?; else all.")]
Quantities = Annotated[
    str, typer.Option("--quantity", help="Quantities it fits, with * and ?; else all.")
]
Parts = Annotated[int, typer.Option("--parts", min=0, max=MOST_32, help="partial-fills: how many.")]
Why = Annotated[Refusal, typer.Option("--reason", help="reject: why.")]
Words = Annotated[str, typer.Option("--text", help="reject: why in words.")]
Delay = Annotated[
    int, typer.Option("--delay-ms", min=0, max=MOST_32, help="Until it is answered at all.")
]
Step = Annotated[int, typer.Option("--step-ms", min=0, max=MOST_32, help="Between its reports.")]


@app.callback(invoke_without_command=True)
def scripts(context: typer.Context, operator: Operator = "", as_json: AsJson = False) -> None:
    """Outcomes of orders by symbol and quantity; alone: the table of them. Operators."""
    if context.invoked_subcommand is None:
        from services.cli.neighbours import operators_door

        with operators_door(settings(), operator) as door:
            _show(_read(door), as_json)


@app.command()
def put(  # noqa: PLR0913 - a command's parameters are its options
    outcome: Annotated[Outcome, typer.Argument(metavar="OUTCOME", help="What is to become.")],
    symbol: Symbols = "",
    quantity: Quantities = "",
    parts: Parts = 0,
    reason: Why = Refusal.OTHER,
    text: Words = "",
    delay_ms: Delay = 0,
    step_ms: Step = 0,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Put a script before all others, in place of one with the same patterns.

    OUTCOME: fill, half-then-cancel, partial-fills, reject, rest, expire or no-answer.
    """
    from services.cli.neighbours import operators_door
    from stockbroker.exchange.v1 import exchange_pb2
    from stockbroker.exchange.v1 import scripts_pb2 as pb

    script = pb.OrderScript(
        symbol=symbol,
        quantity=quantity,
        outcome=pb.OrderScript.Outcome.Value(f"OUTCOME_{outcome.name}"),
        parts=parts,
        reason_text=text,
        delay_ms=delay_ms,
        step_ms=step_ms,
    )
    if outcome is Outcome.REJECT:
        script.reject_reason = exchange_pb2.RejectReason.Value(f"REJECT_REASON_{reason.name}")
    with operators_door(settings(), operator) as door:
        _write(door, [script, *_others(_read(door).scripts, symbol, quantity)], as_json)


@app.command()
def remove(
    symbol: Symbols = "",
    quantity: Quantities = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Remove the script that has these very patterns."""
    from services.cli.failures import ExitCode, Failure
    from services.cli.neighbours import operators_door

    with operators_door(settings(), operator) as door:
        table = _read(door).scripts
        left = _others(table, symbol, quantity)
        if len(left) == len(table):
            raise Failure("no script has these patterns", ExitCode.USAGE)
        _write(door, left, as_json)


@app.command()
def reset(operator: Operator = "", as_json: AsJson = False) -> None:
    """Go back to the table the exchange comes with."""
    from services.cli.neighbours import operators_door

    with operators_door(settings(), operator) as door:
        _write(door, None, as_json)


def _others(table: "Sequence[OrderScript]", symbol: str, quantity: str) -> "list[OrderScript]":
    return [one for one in table if (one.symbol, one.quantity) != (symbol, quantity)]


def _read(door: "Door") -> "ListScriptsResponse":
    from stockbroker.exchange.v1 import scripts_pb2 as pb
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    stub = ExchangeControlServiceStub(door.channel)
    return door.call(stub.ListScripts, pb.ListScriptsRequest())


def _write(door: "Door", scripts: "Sequence[OrderScript] | None", as_json: bool) -> None:
    """Set the table (None: the one the exchange comes with) and show it."""
    from stockbroker.exchange.v1 import scripts_pb2 as pb
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    stub = ExchangeControlServiceStub(door.channel)
    request = pb.SetScriptsRequest(scripts=scripts or (), is_default=scripts is None)
    response = door.call(stub.SetScripts, request)
    is_default = scripts is None
    _show(pb.ListScriptsResponse(scripts=response.scripts, is_default=is_default), as_json)


def _show(table: "ListScriptsResponse", as_json: bool) -> None:
    from services.cli.screen import fields_of, say, show_json
    from services.cli.screen import table as show_table

    if as_json:
        show_json(fields_of(table))
        return
    headings = ("symbol", "quantity", "outcome", ">answered after", ">then each")
    rows = [_cells(script) for script in table.scripts]
    show_table(headings, rows, nothing="no order goes by script")
    say("the table the exchange comes with" if table.is_default else "set by an operator")


def _cells(script: "OrderScript") -> tuple[str, ...]:
    from stockbroker.exchange.v1.exchange_pb2 import RejectReason
    from stockbroker.exchange.v1.scripts_pb2 import OrderScript

    words = OrderScript.Outcome.Name(script.outcome).removeprefix("OUTCOME_")
    if script.parts:
        words += f", {script.parts} parts"
    if script.reject_reason:
        words += f", {RejectReason.Name(script.reject_reason).removeprefix('REJECT_REASON_')}"
    if script.reason_text:
        words += f": {script.reason_text}"
    return (
        script.symbol or "*",
        script.quantity or "*",
        words,
        f"{script.delay_ms} ms" if script.delay_ms else "-",
        f"{script.step_ms} ms" if script.step_ms else "-",
    )
