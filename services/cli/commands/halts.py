"""`halt`, `resume` and `halts`: an operator stops trades from being taken up."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import AsJson, Operator, Reason
from services.cli.pages import since_the_first
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.execution.v1.execution_service_pb2 import (
        HaltScope,
        ListHaltEventsResponse,
        TradingHalt,
    )

_PAGE = 1000
Firm = Annotated[bool, typer.Option("--firm", help="Every trade of the house.")]
Customer = Annotated[str, typer.Option("--customer", help="One customer's trades.")]
Symbol = Annotated[str, typer.Option("--symbol", help="Trades in one symbol.")]


def halt(  # noqa: PLR0913 - a command's parameters are its options
    reason: Reason,
    firm: Firm = False,
    customer: Customer = "",
    symbol: Symbol = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Stop trades on their way to the exchange; they wait, and are not rejected. Operators."""
    from services.cli.listed import note_if_not_traded
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    scope = _scope(firm=firm, customer=customer, symbol=symbol)
    request = pb.HaltRequest(scope=scope, reason_text=reason)
    with operators_door(settings(), operator) as door:
        response = door.call(ExecutionServiceStub(door.channel).Halt, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"halted: {' | '.join(_cells(response.halt))}")
    if symbol:
        note_if_not_traded(symbol, operator, undo="stockbroker resume")


def resume(  # noqa: PLR0913 - a command's parameters are its options
    reason: Reason,
    firm: Firm = False,
    customer: Customer = "",
    symbol: Symbol = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """End a halt; what waits is taken up. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    scope = _scope(firm=firm, customer=customer, symbol=symbol)
    request = pb.ResumeRequest(scope=scope, reason_text=reason)
    with operators_door(settings(), operator) as door:
        response = door.call(ExecutionServiceStub(door.channel).Resume, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"{'resumed' if response.resumed else 'was not halted'}: {_scope_words(scope)}")


History = Annotated[
    bool, typer.Option("--history", help="Every halt and resume asked for, newest first.")
]


def halts(history: History = False, operator: Operator = "", as_json: AsJson = False) -> None:
    """The halts in force, oldest first. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    with operators_door(settings(), operator) as door:
        stub = ExecutionServiceStub(door.channel)
        if history:
            ask = partial(door.call, stub.ListHaltEvents)
            request = pb.ListHaltEventsRequest(page_size=_PAGE)
            _show_history(since_the_first(ask, request, "events", "before_id"), as_json)
            return
        found = door.call(stub.ListHalts, pb.ListHaltsRequest())
    if as_json:
        show_json(fields_of(found))
    else:
        headings = ("what", "why", "by", "since (UTC)")
        table(headings, map(_cells, found.halts), nothing="nothing is halted")


def _show_history(found: "ListHaltEventsResponse", as_json: bool) -> None:
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import date_time
    from stockbroker.execution.v1.execution_service_pb2 import HaltEvent

    if as_json:
        show_json(fields_of(found))
        return
    rows = [
        (
            HaltEvent.Action.Name(event.action).removeprefix("ACTION_"),
            _scope_words(event.scope),
            event.reason_text,
            event.actor,
            date_time(event.at),
            "" if event.took_effect else "nothing to do",
        )
        for event in found.events
    ]
    headings = ("what", "of what", "why", "by", "when (UTC)", "")
    table(headings, rows, nothing="nothing was ever halted")


def _scope(*, firm: bool, customer: str, symbol: str) -> "HaltScope":
    from stockbroker.execution.v1 import execution_service_pb2 as pb

    if (firm, bool(customer), bool(symbol)).count(True) != 1:
        raise typer.BadParameter("give exactly one of --firm, --customer and --symbol")
    if firm:
        return pb.HaltScope(firm=True)
    return pb.HaltScope(customer_id=customer) if customer else pb.HaltScope(symbol=symbol)


def _scope_words(scope: "HaltScope") -> str:
    if scope.WhichOneof("scope") == "firm":
        return "the whole house"
    if scope.customer_id:
        return f"customer {scope.customer_id}"
    return f"symbol {scope.symbol}"


def _cells(one: "TradingHalt") -> tuple[str, ...]:
    from services.cli.wire import date_time

    return _scope_words(one.scope), one.reason_text, one.actor, date_time(one.halted_at)
