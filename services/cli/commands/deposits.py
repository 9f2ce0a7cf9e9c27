"""`deposit` and `deposit-shares`: an operator brings cash and shares in from outside."""

from typing import Annotated

import typer

from services.cli.changes import change_books, tell_owned
from services.cli.options import (
    AsJson,
    Cost,
    Customer,
    Dollars,
    Operator,
    Shares,
    Symbol,
)

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
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.DepositRequest:
        return pb.DepositRequest(
            deposit_id=own_id(deposit_id),
            customer_id=customer,
            amount_micros=amount,
            reference=reference,
        )

    change_books("Deposit", make, operator=operator, as_json=as_json, tell=tell_owned(customer))


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
    """Bring shares in for a customer. Operators.

    The books take any symbol; one that the exchange does not trade is told on standard error.
    """
    from services.cli.ids import own_id
    from services.cli.listed import note_if_not_traded
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.DepositSharesRequest:
        return pb.DepositSharesRequest(
            deposit_id=own_id(deposit_id),
            customer_id=customer,
            symbol=symbol,
            quantity=quantity,
            cost_micros=cost,
            reference=reference,
        )

    change_books(
        "DepositShares", make, operator=operator, as_json=as_json, tell=tell_owned(customer)
    )
    note_if_not_traded(symbol, operator, undo="stockbroker reversals")
