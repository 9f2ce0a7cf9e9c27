"""`freeze`, `unfreeze` and `close`: an operator says whether the accounts of a name may be used."""

from functools import partial
from typing import Any

from services.cli.amounts import format_amount
from services.cli.changes import change_books
from services.cli.options import Account, AsJson, Operator, OwnId, Reason


def freeze(
    account: Account,
    reason: Reason,
    freeze_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Freeze all accounts of a name, later ones too; what was begun still ends. Operators."""
    from services.cli.ids import own_id
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.FreezeRequest:
        return pb.FreezeRequest(freeze_id=own_id(freeze_id), account=account, reference=reason)

    change_books(
        "Freeze",
        make,
        operator=operator,
        as_json=as_json,
        tell=partial(_show, f"{account} is frozen"),
    )


def unfreeze(
    account: Account,
    reason: Reason,
    unfreeze_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """End a freeze. Operators."""
    from services.cli.ids import own_id
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.UnfreezeRequest:
        return pb.UnfreezeRequest(
            unfreeze_id=own_id(unfreeze_id), account=account, reference=reason
        )

    change_books(
        "Unfreeze",
        make,
        operator=operator,
        as_json=as_json,
        tell=partial(_show, f"{account} is open"),
    )


def close(
    account: Account,
    reason: Reason,
    close_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Close the accounts of a name, which must be empty, for ever. Operators."""
    from services.cli.ids import own_id
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb

    def make() -> pb.CloseRequest:
        return pb.CloseRequest(close_id=own_id(close_id), account=account, reference=reason)

    change_books(
        "Close",
        make,
        operator=operator,
        as_json=as_json,
        tell=partial(_show, f"{account} is closed"),
    )


def _show(what: str, response: Any) -> None:
    from services.cli.screen import say, table

    say(what)
    rows = (
        (one.asset, format_amount(one.asset, one.posted), format_amount(one.asset, one.held))
        for one in response.balances
    )
    table(("asset", ">owned", ">held"), rows, nothing="there is no account of that name yet")
