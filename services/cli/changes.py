"""An operator's change of the books: asked of the ledger, and what came of it shown."""

from collections.abc import Callable
from typing import Any

from services.cli.settings import settings


def change_books(
    method: str,
    make: Callable[[], Any],
    *,
    operator: str,
    as_json: bool,
    tell: Callable[[Any], None],
) -> None:
    """Call LedgerService.`method` with the request that `make` makes, and show the answer.

    `tell` shows it in words. In JSON the id the change was asked under, which is the first field of
    every such request, stands beside the answer: asking again with it does nothing new.
    """
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    with operators_door(settings(), operator) as door:
        request = make()
        response = door.call(getattr(LedgerServiceStub(door.channel), method), request)
    if as_json:
        own_id = request.DESCRIPTOR.fields[0].name
        show_json({own_id: getattr(request, own_id), **fields_of(response)})
    else:
        tell(response)


def tell_owned(customer: str) -> Callable[[Any], None]:
    """Says what the customer owns after the change."""

    def tell(response: Any) -> None:
        from services.cli.screen import say
        from services.cli.wire import owned_line

        if response.HasField("balance"):
            say(owned_line(customer, response.balance))
        else:
            say("that was done before; what it left is archived")

    return tell
