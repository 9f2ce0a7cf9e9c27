"""`cancel` and `replace`."""

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import AsCustomer, AsJson, NewLimit, NewShares, Stop
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.order.v1.order_pb2 import Trade


def cancel(
    trade_id: Annotated[
        str, typer.Argument(metavar="[TRADE_ID]", help="The house's id of it.")
    ] = "",
    is_all: Annotated[
        bool, typer.Option("--all", help="All that is open, instead of one.")
    ] = False,
    symbol: Annotated[str, typer.Option(help="With --all: only in this symbol.")] = "",
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """Ask for what is not filled yet to be canceled: of one trade, or with --all of all of them."""
    if bool(trade_id) is is_all or (symbol and not is_all):
        raise typer.BadParameter("give a TRADE_ID, or --all with or without --symbol")
    if is_all:
        _cancel_all(symbol, customer, as_json)
    else:
        _cancel_one(trade_id, customer, as_json)


def replace(  # noqa: PLR0913 - a command's parameters are its options
    trade_id: Annotated[str, typer.Argument(metavar="TRADE_ID", help="The house's id of it.")],
    quantity: NewShares = None,
    limit: NewLimit = None,
    stop: Stop = None,
    customer: AsCustomer = None,
    client_order_id: Annotated[
        str, typer.Option(help="Your own id of the new terms; asking again is the same replace.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Ask for other terms for what is not filled yet; what is not given stays as it is.

    A trade that waits for its turn has them at once; otherwise the exchange answers, and `watch` or
    `trade` tells what.
    """
    if quantity is None and limit is None and stop is None:
        raise typer.BadParameter("give --quantity, --limit or --stop")
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    request = pb.ReplaceTradeRequest(
        trade_id=trade_id,
        client_order_id=client_order_id or str(uuid.uuid4()),
        quantity=quantity or 0,
        limit_price_micros=limit or 0,
        stop_price_micros=stop or 0,
    )
    with customers_door(settings(), customer) as door:
        response = door.call(OrderServiceStub(door.channel).ReplaceTrade, request)
    if as_json:
        show_json(fields_of(response))
    else:
        _say(response.trade)


def _cancel_one(trade_id: str, customer: str | None, as_json: bool) -> None:
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    with customers_door(settings(), customer) as door:
        stub = OrderServiceStub(door.channel)
        response = door.call(stub.CancelTrade, pb.CancelTradeRequest(trade_id=trade_id))
    if as_json:
        show_json(fields_of(response))
    else:
        _say(response.trade)


def _cancel_all(symbol: str, customer: str | None, as_json: bool) -> None:
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    with customers_door(settings(), customer) as door:
        stub = OrderServiceStub(door.channel)
        response = door.call(stub.CancelAllTrades, pb.CancelAllTradesRequest(symbol=symbol))
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"canceled {response.canceled}, asked the exchange to cancel {response.pending}")


def _say(trade: "Trade") -> None:
    from services.cli.screen import say
    from services.cli.wire import status_word, terms_of

    say(f"{status_word(trade.status)} {terms_of(trade)}, trade {trade.trade_id}")
