"""`exchange halt` and `exchange resume`: trading in a symbol at the simulated exchange."""

from typing import Annotated

import typer

from services.cli.options import AsJson, Operator
from services.cli.settings import settings

Symbol = Annotated[str, typer.Argument(metavar="SYMBOL", help="For example AAPL.")]


def halt(symbol: Symbol, operator: Operator = "", as_json: AsJson = False) -> None:
    """Have orders in a symbol refused as halted, until it is resumed. Operators."""
    _set(symbol, True, operator, as_json)


def resume(symbol: Symbol, operator: Operator = "", as_json: AsJson = False) -> None:
    """End an operator's halt of a symbol; one that price limits made ends by itself. Operators."""
    _set(symbol, False, operator, as_json)


def _set(symbol: str, is_halted: bool, operator: str, as_json: bool) -> None:
    """Say so, and show how the symbol stands then."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import halt_of
    from stockbroker.exchange.v1 import exchange_control_service_pb2 as control
    from stockbroker.exchange.v1 import exchange_service_pb2 as exchange
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )
    from stockbroker.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub

    request = control.SetHaltRequest(symbol=symbol, is_halted=is_halted)
    with operators_door(settings(), operator) as door:
        door.call(ExchangeControlServiceStub(door.channel).SetHalt, request)
        asked = exchange.ListQuotesRequest(symbols=[symbol])
        (quote,) = door.call(ExchangeServiceStub(door.channel).ListQuotes, asked).quotes
    if as_json:
        show_json(fields_of(quote))
    else:
        say(f"{symbol} is {halt_of(quote) or 'not halted'} at the exchange")
