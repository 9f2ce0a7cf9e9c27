"""`withdraw` and `withdraw-shares`: an operator brings cash and shares out."""

from services.cli.commands.deposits import Reference
from services.cli.options import AsJson, Customer, Dollars, Operator, OwnId, Shares, Symbol
from services.cli.settings import settings


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
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import owned_line
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.WithdrawRequest(
            withdrawal_id=own_id(withdrawal_id),
            customer_id=customer,
            amount_micros=amount,
            reference=reference,
        )
        response = door.call(LedgerServiceStub(door.channel).Withdraw, request)
    if as_json:
        show_json({"withdrawal_id": request.withdrawal_id, **fields_of(response)})
    else:
        say(owned_line(customer, response.balance))


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
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import owned_line
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.WithdrawSharesRequest(
            withdrawal_id=own_id(withdrawal_id),
            customer_id=customer,
            symbol=symbol,
            quantity=quantity,
            reference=reference,
        )
        response = door.call(LedgerServiceStub(door.channel).WithdrawShares, request)
    if as_json:
        show_json({"withdrawal_id": request.withdrawal_id, **fields_of(response)})
    else:
        say(owned_line(customer, response.balance))
