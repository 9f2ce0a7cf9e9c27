"""`tape`: an operator plays a recorded market into the simulated exchange."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.amounts import format_shares
from services.cli.failures import ExitCode, Failure
from services.cli.options import AsJson, Speed
from services.cli.settings import settings

if TYPE_CHECKING:
    from services.cli.neighbours import Door
    from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb

_CSV = {"exists": True, "dir_okay": False, "metavar": "FILE"}
_LOAD_SECONDS = 60.0


def tape(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="For example AAPL.")],
    seed: Annotated[
        Path | None, typer.Option(help="Resting orders that become the book.", **_CSV)
    ] = None,
    commands: Annotated[
        Path | None, typer.Option(help="What others did from then on.", **_CSV)
    ] = None,
    speed: Speed = "1",  # type: ignore[assignment]  # typer gives defaults to the parser as well
    as_json: AsJson = False,
) -> None:
    """Play a recorded market into a symbol's book. Operators.

    Columns of a seed: order_id,side,price_e4,qty. Of commands: t,cmd and those. Prices are dollars
    x 10,000; t is seconds after midnight. With --json: a document a line.
    """
    from services.cli.neighbours import operators_door

    if not (seed or commands):
        raise typer.BadParameter("give --seed, --commands, or both")
    with operators_door(settings()) as door:
        if seed:
            _show_loaded(_load(door, symbol, seed), symbol, as_json)
        if commands:
            _show_played(_play(door, symbol, commands, speed), as_json)


def _load(door: "Door", symbol: str, seed: Path) -> "pb.LoadBookResponse":
    from libs.tape import read_seed
    from stockbroker.exchange.v1 import exchange_control_service_pb2 as pb
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    try:
        orders = read_seed(seed)
    except ValueError as error:
        raise _not_a_tape(error) from None
    stub = ExchangeControlServiceStub(door.channel)
    request = pb.LoadBookRequest(symbol=symbol, orders=orders)
    return door.call(stub.LoadBook, request, seconds=_LOAD_SECONDS)


def _play(door: "Door", symbol: str, path: Path, speed_millis: int) -> "pb.PlayTapeResponse":
    import grpc

    from libs.tape import read_commands, requests
    from services.cli.screen import note
    from stockbroker.exchange.v1.exchange_control_service_pb2_grpc import (
        ExchangeControlServiceStub,
    )

    try:
        # Read to the end first: a line that makes no sense is found before anything is played.
        commands = list(read_commands(path))
    except ValueError as error:
        raise _not_a_tape(error) from None
    note(f"playing {format_shares(len(commands))} commands into {symbol}")
    stub = ExchangeControlServiceStub(door.channel)
    messages = requests(commands, symbol=symbol, speed_millis=speed_millis)
    try:
        # Never repeated: a tape played twice is another market.
        return stub.PlayTape(messages, metadata=door.metadata())
    except grpc.RpcError as error:
        raise door.failure(error) from None


def _not_a_tape(error: ValueError) -> Failure:
    return Failure(f"this is no tape: {error}", ExitCode.USAGE)


def _show_loaded(response: "pb.LoadBookResponse", symbol: str, as_json: bool) -> None:
    from services.cli.screen import fields_of, say, show_json_line

    if as_json:
        show_json_line(fields_of(response))
    else:
        say(f"{response.orders} orders rest in {symbol}")


def _show_played(response: "pb.PlayTapeResponse", as_json: bool) -> None:
    from services.cli.screen import fields_of, say, show_json_line

    if as_json:
        show_json_line(fields_of(response))
    else:
        say(
            f"{format_shares(response.commands)} commands played, "
            f"{format_shares(response.missed)} missed, "
            f"{format_shares(response.volume)} shares traded"
        )
