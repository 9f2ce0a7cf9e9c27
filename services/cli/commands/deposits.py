"""`deposit` and `deposit-shares`: an operator brings cash and shares in from outside."""

from typing import Annotated

import typer

from services.cli.changes import change_books, tell_owned
from services.cli.failures import Failure
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
    from services.cli.screen import note
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
    if not _may_be_traded(symbol, operator):
        note(
            f"the exchange does not trade {symbol}; if that was mistyped, `stockbroker reversals`"
            " undoes it"
        )


def _may_be_traded(symbol: str, operator: str) -> bool:
    from services.cli.neighbours import operators_door
    from stockbroker.exchange.v1 import exchange_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    try:
        with operators_door(settings(), operator) as door:
            stub = ExchangeServiceStub(door.channel)
            found = door.call(stub.ListQuotes, pb.ListQuotesRequest(), tries=1)
    except Failure:  # the shares are in the books all the same
        return True
    return symbol in {quote.symbol for quote in found.quotes}
