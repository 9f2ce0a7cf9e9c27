"""`withdraw` and `withdraw-shares`: an operator brings cash and shares out."""

from services.cli.changes import change_books, tell_owned
from services.cli.commands.deposits import Reference
from services.cli.options import AsJson, Customer, Dollars, Operator, OwnId, Shares, Symbol


def withdraw(  # noqa: PLR0913 - a command's parameters are its options
    customer: Customer,
    amount: Dollars,
    reference: Reference = "withdrawn by command line",
    withdrawal_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Pay a customer's cash out, at most what is available. Operators."""
    from services.cli.ids import own_id
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.WithdrawRequest:
        return pb.WithdrawRequest(
            withdrawal_id=own_id(withdrawal_id),
            customer_id=customer,
            amount_micros=amount,
            reference=reference,
        )

    change_books("Withdraw", make, operator=operator, as_json=as_json, tell=tell_owned(customer))


def withdraw_shares(  # noqa: PLR0913 - a command's parameters are its options
    customer: Customer,
    symbol: Symbol,
    quantity: Shares,
    reference: Reference = "withdrawn by command line",
    withdrawal_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Deliver a customer's shares to the outside, at most what is available. Operators."""
    from services.cli.ids import own_id
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.WithdrawSharesRequest:
        return pb.WithdrawSharesRequest(
            withdrawal_id=own_id(withdrawal_id),
            customer_id=customer,
            symbol=symbol,
            quantity=quantity,
            reference=reference,
        )

    change_books(
        "WithdrawShares", make, operator=operator, as_json=as_json, tell=tell_owned(customer)
    )
