"""`orders`: an operator looks at orders in doubt, and says what became of one."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import MOST_64, TIMES, AsJson, Operator, Reason
from services.cli.pages import whole
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.exchange_gateway.v1.operators_pb2 import ResolveOrderRequest

app = typer.Typer(help="Orders the exchange owes an answer, and what operators did about them.")

TradeId = Annotated[str, typer.Argument(metavar="TRADE_ID", help="Which trade.")]
Evidence = Annotated[
    str, typer.Option("--evidence", help="What proves it: the exchange's letter, and where it is.")
]
Despite = Annotated[
    str,
    typer.Option("--despite-exchange", help="Why, although the exchange answers when asked."),
]
ExecutionId = Annotated[
    str, typer.Option("--execution-id", help="A fill: the exchange's id of the execution.")
]
Quantity = Annotated[
    int, typer.Option("--quantity", min=0, max=MOST_64, help="A fill: whole shares.")
]
PriceMicros = Annotated[
    int, typer.Option("--price-micros", min=0, max=MOST_64, help="A fill: micros a share.")
]
ExecutedAt = Annotated[
    datetime | None,
    typer.Option("--executed-at", formats=TIMES, metavar="TIME", help="A fill: when, in UTC."),
]
NextCommand = Annotated[
    int,
    typer.Option(
        "--next-command", min=1, max=MOST_64, help="The first command the exchange lacks."
    ),
]
NextReport = Annotated[
    int,
    typer.Option(
        "--next-report", min=1, max=MOST_64, help="The number of the exchange's next report."
    ),
]
Became = Annotated[
    str, typer.Argument(metavar="OUTCOME", help="not-known, filled, rejected, canceled or expired.")
]


@app.command("in-doubt")
def in_doubt(operator: Operator = "", as_json: AsJson = False) -> None:
    """Orders without an answer, oldest first, with what was heard of them last. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import date_time
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        request = pb.ListUnansweredOrdersRequest(limit=1000)
        found = whole(partial(door.call, stub.ListUnansweredOrders), request, "after_seq")
    if as_json:
        show_json(fields_of(found))
        return
    rows = [
        (
            o.trade_id,
            o.customer_id,
            f"{o.quantity} {o.symbol}",
            date_time(o.created_at),
            f"{o.age_seconds} s",
            o.heard or "not asked yet",
        )
        for o in found.orders
    ]
    headings = ("trade", "customer", "what", "stored (UTC)", ">age", "heard last")
    table(headings, rows, nothing="no order is without an answer")


@app.command()
def resolve(  # noqa: PLR0913 - a command's parameters are its options
    trade_id: TradeId,
    outcome: Became,
    evidence: Evidence,
    reason: Reason,
    despite_exchange: Despite = "",
    execution_id: ExecutionId = "",
    quantity: Quantity = 0,
    price_micros: PriceMicros = 0,
    executed_at: ExecutedAt = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Write the report the exchange owes; it counts like the exchange's own. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    request = pb.ResolveOrderRequest(
        trade_id=trade_id,
        evidence=evidence,
        reason_text=reason,
        despite_exchange=despite_exchange,
    )
    _say_outcome(request, outcome)
    if outcome == "filled":
        filled = request.filled
        filled.execution_id, filled.quantity = execution_id, quantity
        filled.price_micros = price_micros
        if executed_at is not None:
            filled.executed_at.FromDatetime(executed_at)
    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        response = door.call(stub.ResolveOrder, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"{trade_id}: {outcome}, by report {response.report_seq}")


@app.command("reset-session")
def reset_session(  # noqa: PLR0913 - a command's parameters are its options
    next_command: NextCommand,
    next_report: NextReport,
    evidence: Evidence,
    reason: Reason,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Let a session that is out of step go on from the exchange's numbers. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    request = pb.ResetSessionRequest(
        next_command_seq=next_command,
        next_report_seq=next_report,
        evidence=evidence,
        reason_text=reason,
    )
    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        response = door.call(stub.ResetSession, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"goes on from command {next_command} and report {next_report}")


@app.command()
def breaks(operator: Operator = "", as_json: AsJson = False) -> None:
    """What the exchange and the books say differently of orders, oldest first. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import date_time
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        request = pb.ListOrderBreaksRequest(limit=1000)
        found = whole(partial(door.call, stub.ListOrderBreaks), request, "after_id")
    if as_json:
        show_json(fields_of(found))
        return
    rows = [(str(b.id), b.trade_id, b.kind, b.detail, date_time(b.found_at)) for b in found.breaks]
    headings = (">break", "trade", "what", "in words", "found (UTC)")
    table(headings, rows, nothing="the exchange and the books agree")


@app.command("dismiss-break")
def dismiss_break(
    break_id: Annotated[
        int, typer.Argument(metavar="BREAK", min=1, max=MOST_64, help="Its number.")
    ],
    reason: Reason,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Lay such a difference aside; it is kept. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    request = pb.DismissOrderBreakRequest(break_id=break_id, reason_text=reason)
    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        response = door.call(stub.DismissOrderBreak, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"break {break_id}: {'laid aside' if response.dismissed else 'is not open'}")


@app.command()
def actions(operator: Operator = "", as_json: AsJson = False) -> None:
    """What operators did about orders and reports, oldest first. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import date_time
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2_grpc import (
        ExchangeGatewayServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ExchangeGatewayServiceStub(door.channel)
        request = pb.ListOperatorActionsRequest(limit=1000)
        found = whole(partial(door.call, stub.ListOperatorActions), request, "after_id")
    if as_json:
        show_json(fields_of(found))
        return
    rows = [
        (
            date_time(a.done_at),
            a.actor,
            a.action,
            a.trade_id or f"report {a.report_seq}",
            a.detail,
            a.reason_text,
            a.evidence,
        )
        for a in found.actions
    ]
    headings = ("when (UTC)", "who", "what", "about", "detail", "why", "evidence")
    table(headings, rows, nothing="no operator did anything")


def _say_outcome(request: "ResolveOrderRequest", outcome: str) -> None:
    from stockbroker.exchange_gateway.v1 import operators_pb2 as pb

    ended = pb.ResolveOrderRequest.Ended
    kinds = {
        "rejected": ended.KIND_REJECTED,
        "canceled": ended.KIND_CANCELED,
        "expired": ended.KIND_EXPIRED,
    }
    if outcome == "not-known":
        request.not_known.SetInParent()
    elif outcome == "filled":
        request.filled.SetInParent()
    elif outcome in kinds:
        request.ended.kind = kinds[outcome]
    else:
        raise typer.BadParameter("OUTCOME is not-known, filled, rejected, canceled or expired")
