"""`place`."""

import time
import uuid
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failures import ExitCode
from services.cli.options import AsCustomer, AsJson, Limit, Shares, Stop, Symbol
from services.cli.settings import settings

if TYPE_CHECKING:
    from services.cli.neighbours import Door
    from stockbroker.order.v1.order_pb2 import Trade
    from stockbroker.order.v1.order_service_pb2 import PlaceTradeRequest, PlaceTradeResponse


_LONGEST = 366 * 86_400  # seconds


class Side(Enum):
    """Which way the shares move."""

    BUY = "buy"
    SELL = "sell"


class TimeInForce(Enum):
    """How long an order may wait for a fill."""

    DAY = "day"
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


SideTyped = Annotated[Side, typer.Argument(metavar="buy|sell", case_sensitive=False)]
Tif = Annotated[
    TimeInForce,
    typer.Option("--tif", case_sensitive=False, help="How long it may wait for a fill."),
]


def place(  # noqa: PLR0913 - a command's parameters are its options
    symbol: Symbol,
    side: SideTyped,
    quantity: Shares,
    limit: Limit = None,
    stop: Stop = None,
    time_in_force: Tif = TimeInForce.DAY,
    customer: AsCustomer = None,
    client_order_id: Annotated[
        str, typer.Option(help="Your own id; placing it again gives the same trade.")
    ] = "",
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Show events until the trade has ended.")
    ] = True,
    timeout_seconds: Annotated[
        int, typer.Option("--timeout", min=1, max=_LONGEST, help="Seconds to wait at most.")
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Place an order and watch what becomes of it: at the market, or with --limit or --stop.

    With --json: the answer, then (unless --no-wait) each event, one JSON document a line.
    Ends with 0 when it is filled whole (or, with --no-wait, recorded), 5 when it ended otherwise, 6
    when it is still open after --timeout.
    """
    from services.cli.neighbours import customers_door
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    request = request_of(symbol, side, quantity, (limit, stop), time_in_force)
    # One of our own even when none was given: the call may then be repeated.
    request.client_order_id = client_order_id or str(uuid.uuid4())
    with customers_door(settings(), customer) as door:
        response = door.call(OrderServiceStub(door.channel).PlaceTrade, request)
        _show_placed(response, as_json)
        if wait:
            _wait_for_end(door, response.trade, time.monotonic() + timeout_seconds, as_json)


def request_of(
    symbol: str,
    side: Side,
    quantity: int,
    prices: tuple[int | None, int | None],
    time_in_force: TimeInForce,
) -> "PlaceTradeRequest":
    """The terms as they were typed; `prices`: limit and stop, None where none was given."""
    from stockbroker.common.v1 import terms_pb2
    from stockbroker.order.v1.order_service_pb2 import PlaceTradeRequest

    limit, stop = (price or 0 for price in prices)
    return PlaceTradeRequest(
        symbol=symbol,
        side=terms_pb2.SIDE_BUY if side is Side.BUY else terms_pb2.SIDE_SELL,
        quantity=quantity,
        order_type=terms_pb2.OrderType.Value(f"ORDER_TYPE_{_order_type(limit, stop)}"),
        limit_price_micros=limit,
        stop_price_micros=stop,
        time_in_force=terms_pb2.TimeInForce.Value(f"TIME_IN_FORCE_{time_in_force.name}"),
    )


def _order_type(limit: int, stop: int) -> str:
    if stop:
        return "STOP_LIMIT" if limit else "STOP"
    return "LIMIT" if limit else "MARKET"


def _show_placed(response: "PlaceTradeResponse", as_json: bool) -> None:
    from services.cli.screen import fields_of, say, show_json_line
    from services.cli.wire import terms_of

    if as_json:
        show_json_line(fields_of(response))
    else:
        trade = response.trade
        say(f"trade {trade.trade_id}: {terms_of(trade)} for {trade.customer_id}")


def _wait_for_end(door: "Door", trade: "Trade", deadline: float, as_json: bool) -> None:
    """Show the trade's events to the last one; typer.Exit unless it is filled whole."""
    from services.cli.screen import fields_of, say, show_json_line
    from services.cli.watching import watch_trades
    from services.cli.wire import TERMINAL, event_line, outcome_line
    from stockbroker.order.v1.order_pb2 import TRADE_STATUS_FILLED

    try:
        for response in watch_trades(door, trade.seq - 1, deadline=deadline):
            if response.event.trade.trade_id != trade.trade_id:
                continue
            trade = response.event.trade
            if as_json:
                show_json_line(fields_of(response.event))
            else:
                say(event_line(response.event))
            if trade.status in TERMINAL:
                if not as_json:
                    say(outcome_line(trade))
                if trade.status != TRADE_STATUS_FILLED:
                    raise typer.Exit(ExitCode.UNFILLED)
                return
    except KeyboardInterrupt:
        _note_still_open(trade)
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    _note_still_open(trade)
    raise typer.Exit(ExitCode.STILL_OPEN)


def _note_still_open(trade: "Trade") -> None:
    """Nobody waits for it any more; it goes on all the same."""
    from services.cli.screen import note
    from services.cli.wire import status_word
    from stockbroker.order.v1.order_pb2 import TRADE_STATUS_PLACED

    why = ""
    if trade.status == TRADE_STATUS_PLACED:
        why = " (it waits for an earlier trade, or for the end of a halt)"
    which = f"{trade.trade_id} --as {trade.customer_id}"
    note(
        f"trade {trade.trade_id} is still {status_word(trade.status)}{why} and goes on: "
        f"`stockbroker trade {which}` shows its story, "
        f"`stockbroker cancel {which}` cancels what is not filled"
    )
