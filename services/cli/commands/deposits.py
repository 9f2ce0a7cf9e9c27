"""`deposit` and `deposit-shares`: an operator brings cash and shares in from outside."""

from typing import Annotated

import typer

from services.cli.options import (
    AsJson,
    Cost,
    Customer,
    Dollars,
    Operator,
    Shares,
    Symbol,
)
from services.cli.settings import settings

Reference = Annotated[str, typer.Option(help="Why, for the record.")]
DepositId = Annotated[
    str,
    typer.Option(
        "--id",
        "--deposit-id",
        metavar="UUID",
        help="Of your own; depositing it again does nothing new.",
    ),
]


def deposit(  # noqa: PLR0913 - a command's parameters are its options
    customer: Customer,
    amount: Dollars,
    reference: Reference = "deposited by command line",
    deposit_id: DepositId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Bring cash in for a customer. Operators."""
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import owned_line
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.DepositRequest(
            deposit_id=own_id(deposit_id),
            customer_id=customer,
            amount_micros=amount,
            reference=reference,
        )
        response = door.call(LedgerServiceStub(door.channel).Deposit, request)
    if as_json:
        show_json({"deposit_id": request.deposit_id, **fields_of(response)})
    else:
        say(owned_line(customer, response.balance))


def deposit_shares(  # noqa: PLR0913 - a command's parameters are its options
    customer: Customer,
    symbol: Symbol,
    quantity: Shares,
    cost: Cost = "0",  # type: ignore[assignment]  # typer gives defaults to the parser as well
    reference: Reference = "deposited by command line",
    deposit_id: DepositId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Bring shares in for a customer. Operators."""
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import owned_line
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.DepositSharesRequest(
            deposit_id=own_id(deposit_id),
            customer_id=customer,
            symbol=symbol,
            quantity=quantity,
            cost_micros=cost,
            reference=reference,
        )
        response = door.call(LedgerServiceStub(door.channel).DepositShares, request)
    if as_json:
        show_json({"deposit_id": request.deposit_id, **fields_of(response)})
    else:
        say(owned_line(customer, response.balance))
