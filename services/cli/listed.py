"""Whether a symbol is one of the exchange, for who may have mistyped it."""

from services.cli.failures import Failure
from services.cli.settings import settings


def note_if_not_traded(symbol: str, operator: str, undo: str) -> None:
    """Told on standard error, with the command that undoes it; what was done stays done."""
    from services.cli.screen import note

    if not _may_be_traded(symbol, operator):
        note(f"the exchange does not trade {symbol}; if that was mistyped, `{undo}` undoes it")


def _may_be_traded(symbol: str, operator: str) -> bool:
    from services.cli.neighbours import operators_door
    from stockbroker.exchange.v1 import exchange_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    try:
        with operators_door(settings(), operator) as door:
            stub = ExchangeServiceStub(door.channel)
            found = door.call(stub.ListQuotes, pb.ListQuotesRequest(), tries=1)
    except Failure:  # nobody can tell
        return True
    return symbol in {quote.symbol for quote in found.quotes}
