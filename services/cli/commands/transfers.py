"""`transfers`: an operator moves something between any accounts, or sees what became of it."""

from typing import Annotated

import typer

from services.cli.amounts import Unreadable, parse_dollars, parse_shares
from services.cli.failures import refused
from services.cli.options import Against, AsJson, Cost, Operator, OwnId, Reason, Source, Target
from services.cli.settings import settings

app = typer.Typer(help="Move cash and shares between accounts; what became of transfers.")

Asset = Annotated[str, typer.Argument(metavar="ASSET", help="USD, or a symbol.")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="Dollars, or whole shares.")]


@app.command()
def post(  # noqa: PLR0913 - a command's parameters are its options
    source: Source,
    target: Target,
    asset: Asset,
    amount: Amount,
    reason: Reason,
    against: Against = None,
    cost: Cost = "0",  # type: ignore[assignment]  # typer gives defaults to the parser as well
    transfer_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Move cash or shares from one account to another, --for cash the other way. Operators.

    All of it is done, or nothing. A reason that begins with "break VENUE/EXECUTION_ID" makes right
    what the books have otherwise of that fill than the exchange.
    """
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import balance_line, reason_word
    from stockbroker.ledger.v1 import posting_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    if asset == "USD" and (against is not None or cost):
        raise typer.BadParameter("--for and --cost are of shares")
    if source == target:
        raise typer.BadParameter(f"{source} cannot give to itself")
    moved = pb.TransferLeg(
        debit_account=source,
        credit_account=target,
        asset=asset,
        amount=_amount(asset, amount),
        cost_micros=cost,
    )
    legs = [moved]
    if against is not None:
        legs.append(
            pb.TransferLeg(debit_account=target, credit_account=source, asset="USD", amount=against)
        )
    with operators_door(settings(), operator) as door:
        transfer = pb.PostedTransfer(transfer_id=own_id(transfer_id), legs=legs, reference=reason)
        request = pb.PostTransfersRequest(transfers=[transfer])
        (result,) = door.call(LedgerServiceStub(door.channel).PostTransfers, request).results
    if result.reason:
        raise refused(reason_word(result.reason), result.reason_text or "nothing was moved")
    if as_json:
        show_json(fields_of(result))
        return
    say(f"moved by transfer {result.transfer_id}")
    for balance in result.balances:
        say(balance_line(balance))


def _amount(asset: str, text: str) -> int:
    """Micros of a dollar, or whole shares."""
    try:
        return parse_dollars(text) if asset == "USD" else parse_shares(text)
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def show(
    transfer_ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="Ids of any kind of operation.")
    ],
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """What became of transfers, refusals included. Operators.

    Ends with 3 when one is not on record, which it may still come to be if its call is on its way.
    """
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import balance_line, transfer_line
    from stockbroker.ledger.v1 import posting_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        stub = LedgerServiceStub(door.channel)
        found = door.call(stub.GetTransfers, pb.GetTransfersRequest(transfer_ids=transfer_ids))
    if as_json:
        show_json(fields_of(found))
    else:
        for one in found.transfers:
            say(transfer_line(one.transfer))
            for left in one.balances:
                say(balance_line(left))
    missing = {id_.lower() for id_ in transfer_ids}
    missing -= {one.transfer.transfer_id for one in found.transfers}
    if missing:
        raise refused("TRANSFER_NOT_FOUND", f"not on record: {', '.join(sorted(missing))}")
