"""`reversals`: one operator asks that a transfer be reversed, another approves."""

from typing import Annotated

import typer

from services.cli.options import AsJson, Operator, OwnId, Reason
from services.cli.settings import settings

app = typer.Typer(help="Undo a transfer by a new one, with the word of two operators.")


@app.command()
def request(
    transfer_id: Annotated[
        str, typer.Argument(metavar="TRANSFER_ID", help="What was done and moved something.")
    ],
    reason: Reason,
    request_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Ask that a transfer be reversed; nothing moves until another operator approves. Operators."""
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import leg_line
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        asked = pb.RequestReversalRequest(
            request_id=own_id(request_id), transfer_id=transfer_id, reference=reason
        )
        response = door.call(LedgerServiceStub(door.channel).RequestReversal, asked)
    if as_json:
        show_json({"request_id": asked.request_id, **fields_of(response)})
        return
    say(f"asked for as {asked.request_id}; once another operator approves it, it moves")
    for leg in response.legs:
        say(leg_line(leg))


@app.command()
def approve(
    request_id: Annotated[
        str, typer.Argument(metavar="REQUEST_ID", help="The request, of another operator.")
    ],
    reason: Reason,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Reverse a transfer as another operator asked for; safe to repeat. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import balance_line
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        asked = pb.ApproveReversalRequest(request_id=request_id, reference=reason)
        response = door.call(LedgerServiceStub(door.channel).ApproveReversal, asked)
    if as_json:
        show_json(fields_of(response))
        return
    say(f"reversed by transfer {response.transfer_id}")
    for balance in response.balances:
        say(balance_line(balance))


@app.command("list")
def waiting(operator: Operator = "", as_json: AsJson = False) -> None:
    """The reversals asked for and not approved yet, oldest first. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import date_time
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        stub = LedgerServiceStub(door.channel)
        found = door.call(stub.ListReversalRequests, pb.ListReversalRequestsRequest())
    if as_json:
        show_json(fields_of(found))
        return
    rows = (
        (one.request_id, one.transfer_id, one.operator, one.reference, date_time(one.requested_at))
        for one in found.requests
    )
    headings = ("request", "reverses", "asked by", "why", "since (UTC)")
    table(headings, rows, nothing="no reversal waits for approval")
