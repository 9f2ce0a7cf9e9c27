"""`in-doubt`: an operator looks at trades of which nobody says what became of them."""

from typing import Annotated

import typer

from services.cli.options import AsJson, Operator
from services.cli.settings import settings

_MOST = 1000
Query = Annotated[bool, typer.Option("--query", help="Have the exchange asked for them now.")]


def in_doubt(query: Query = False, operator: Operator = "", as_json: AsJson = False) -> None:
    """Trades in doubt, oldest first, with what the gateway knows of each. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, note, show_json, table
    from stockbroker.exchange_gateway.v1.exchange_gateway_service_pb2 import OrderState
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    with operators_door(settings(), operator) as door:
        stub = ExecutionServiceStub(door.channel)
        wanted = pb.ListInDoubtRequest(page_size=_MOST)
        found = door.call(stub.ListInDoubt, wanted)
        if query and found.trades:
            trade_ids = [case.trade.trade_id for case in found.trades]
            door.call(stub.QueryInDoubt, pb.QueryInDoubtRequest(trade_ids=trade_ids))
            found = door.call(stub.ListInDoubt, wanted)
    if len(found.trades) == _MOST:
        note(f"these are the oldest {_MOST:,}: there may be more")
    if as_json:
        show_json(fields_of(found))
        return
    rows = [
        (
            case.trade.trade_id,
            case.trade.customer_id,
            f"{case.trade.quantity} {case.trade.symbol}",
            f"{case.age_ms // 1000} s",
            OrderState.Name(case.order.state).removeprefix("ORDER_STATE_")
            if case.HasField("order")
            else "the gateway does not say",
            case.trade.reason_text,
        )
        for case in found.trades
    ]
    headings = ("trade", "customer", "what", ">age", "at the gateway", "why")
    table(headings, rows, nothing="no trade is in doubt")
