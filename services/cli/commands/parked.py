"""`parked`: an operator decides about trades the house could not execute."""

from typing import Annotated

import typer

from services.cli.options import AsJson, Operator, Reason
from services.cli.settings import settings

app = typer.Typer(help="Trades that failed again and again by a fault of the house.")

_MOST = 1000
TradeId = Annotated[str, typer.Argument(metavar="TRADE_ID", help="Which trade.")]
TradeOrAll = Annotated[str, typer.Argument(metavar="TRADE_ID", help="Which trade; else --all.")]
All = Annotated[bool, typer.Option("--all", help="Every parked trade, 1,000 at a time.")]


@app.command("list")
def list_parked(operator: Operator = "", as_json: AsJson = False) -> None:
    """Parked trades, longest parked first, and what went wrong with each last. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, note, show_json, table
    from services.cli.wire import date_time
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    with operators_door(settings(), operator) as door:
        stub = ExecutionServiceStub(door.channel)
        found = door.call(stub.ListParkedTrades, pb.ListParkedTradesRequest(page_size=_MOST))
    if len(found.trades) == _MOST:
        note(f"these are the {_MOST:,} that are parked longest: there may be more")
    if as_json:
        show_json(fields_of(found))
        return
    rows = [
        (
            parked.trade.trade_id,
            parked.trade.customer_id,
            f"{parked.trade.quantity} {parked.trade.symbol}",
            date_time(parked.parked_at),
            str(parked.faults),
            "being rejected" if parked.is_condemned else parked.fault_text,
        )
        for parked in found.trades
    ]
    headings = ("trade", "customer", "what", "since (UTC)", ">faults", "the last one")
    table(headings, rows, nothing="no trade is parked")


@app.command()
def release(
    reason: Reason,
    trade_id: TradeOrAll = "",
    every: All = False,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Let a parked trade be taken up again, its faults forgotten. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import say, show_json
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    if bool(trade_id) == every:
        raise typer.BadParameter("give either a trade or --all")
    with operators_door(settings(), operator) as door:
        stub = ExecutionServiceStub(door.channel)
        trade_ids = [trade_id]
        if every:
            found = door.call(stub.ListParkedTrades, pb.ListParkedTradesRequest(page_size=_MOST))
            parked = [one for one in found.trades if not one.is_condemned]
            trade_ids = [one.trade.trade_id for one in parked]
        for each in trade_ids:
            request = pb.ReleaseParkedTradeRequest(trade_id=each, reason_text=reason)
            door.call(stub.ReleaseParkedTrade, request)
    if as_json:
        show_json({"released": trade_ids})
        return
    say("\n".join(f"released: {each}" for each in trade_ids) or "no trade is parked")


@app.command()
def reject(
    trade_id: TradeId, reason: Reason, operator: Operator = "", as_json: AsJson = False
) -> None:
    """Reject a parked trade that was never sent, and free what is held for it. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.execution.v1 import execution_service_pb2 as pb
    from stockbroker.execution.v1.execution_service_pb2_grpc import ExecutionServiceStub

    request = pb.RejectParkedTradeRequest(trade_id=trade_id, reason_text=reason)
    with operators_door(settings(), operator) as door:
        response = door.call(ExecutionServiceStub(door.channel).RejectParkedTrade, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"rejected: {trade_id}")
