"""`deposit` and `deposit-shares`: an operator brings cash and shares in from outside."""

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.amounts import format_amount
from services.cli.options import AsJson, Cost, Dollars, Shares
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.ledger.v1.ledger_service_pb2 import Balance

Customer = Annotated[str, typer.Argument(metavar="CUSTOMER", help="Whose.")]
DepositId = Annotated[
    str, typer.Option(help="UUID of your own; depositing it again does nothing new.")
]
Reference = Annotated[str, typer.Option(help="Why, for the record.")]


def deposit(
    customer: Customer,
    amount: Dollars,
    reference: Reference = "deposited by command line",
    deposit_id: DepositId = "",
    as_json: AsJson = False,
) -> None:
    """Bring cash in for a customer. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    request = pb.DepositRequest(
        deposit_id=deposit_id or str(uuid.uuid4()),
        customer_id=customer,
        amount_micros=amount,
        reference=reference,
    )
    with operators_door(settings()) as door:
        response = door.call(LedgerServiceStub(door.channel).Deposit, request)
    if as_json:
        show_json(fields_of(response))
    else:
        _show_balance(customer, response.balance)


def deposit_shares(  # noqa: PLR0913 - a command's parameters are its options
    customer: Customer,
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="For example AAPL.")],
    quantity: Shares,
    cost: Cost = "0",  # type: ignore[assignment]  # typer gives defaults to the parser as well
    reference: Reference = "deposited by command line",
    deposit_id: DepositId = "",
    as_json: AsJson = False,
) -> None:
    """Bring shares in for a customer. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    request = pb.DepositSharesRequest(
        deposit_id=deposit_id or str(uuid.uuid4()),
        customer_id=customer,
        symbol=symbol,
        quantity=quantity,
        cost_micros=cost,
        reference=reference,
    )
    with operators_door(settings()) as door:
        response = door.call(LedgerServiceStub(door.channel).DepositShares, request)
    if as_json:
        show_json(fields_of(response))
    else:
        _show_balance(customer, response.balance)


def _show_balance(customer: str, balance: "Balance") -> None:
    from services.cli.screen import say

    amount = format_amount(balance.asset, balance.posted)
    shares = "" if balance.asset == "USD" else f" shares of {balance.asset}"
    say(f"{customer} now owns {amount}{shares}")
