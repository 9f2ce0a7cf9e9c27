"""`freeze`, `unfreeze` and `close`: an operator says whether the accounts of a name may be used."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from services.cli.amounts import format_amount
from services.cli.options import Account, AsJson, Operator, OwnId, Reason
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.ledger.v1.ledger_service_pb2 import Balance


def freeze(
    account: Account,
    reason: Reason,
    freeze_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Let the accounts of a name, those to come included, only end what they began. Operators."""
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.FreezeRequest(freeze_id=own_id(freeze_id), account=account, reference=reason)
        response = door.call(LedgerServiceStub(door.channel).Freeze, request)
    if as_json:
        show_json({"freeze_id": request.freeze_id, **fields_of(response)})
    else:
        _show(f"{account} is frozen", response.balances)


def unfreeze(
    account: Account,
    reason: Reason,
    unfreeze_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """End a freeze. Operators."""
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.UnfreezeRequest(
            unfreeze_id=own_id(unfreeze_id), account=account, reference=reason
        )
        response = door.call(LedgerServiceStub(door.channel).Unfreeze, request)
    if as_json:
        show_json({"unfreeze_id": request.unfreeze_id, **fields_of(response)})
    else:
        _show(f"{account} is open", response.balances)


def close(
    account: Account,
    reason: Reason,
    close_id: OwnId = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Close the accounts of a name, which must be empty, for ever. Operators."""
    from services.cli.ids import own_id
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.ledger.v1 import ledger_service_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = pb.CloseRequest(close_id=own_id(close_id), account=account, reference=reason)
        response = door.call(LedgerServiceStub(door.channel).Close, request)
    if as_json:
        show_json({"close_id": request.close_id, **fields_of(response)})
    else:
        _show(f"{account} is closed", response.balances)


def _show(what: str, balances: "Iterable[Balance]") -> None:
    from services.cli.screen import say, table

    say(what)
    rows = (
        (one.asset, format_amount(one.asset, one.posted), format_amount(one.asset, one.held))
        for one in balances
    )
    table(("asset", ">owned", ">held"), rows, nothing="there is no account of that name yet")
