"""`controls` and `explain`: what is looked at before a trade is let through."""

from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.amounts import Unreadable, parse_dollars, parse_percent, parse_shares
from services.cli.options import MOST_32, TIMES, AsCustomer, AsJson, Operator, Reason
from services.cli.pages import since_the_first
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.order.v1.control_pb2 import ControlAction
    from stockbroker.order.v1.order_control_service_pb2 import SetControlRequest

_PAGE = 1000
app = typer.Typer(help="Limits that operators set on what may be traded.")


class Control(StrEnum):
    """What is looked at."""

    MAX_QUANTITY = "max-quantity"
    MAX_NOTIONAL = "max-notional"
    PRICE_COLLAR = "price-collar"
    DUPLICATE_ORDER = "duplicate-order"
    CUSTOMER_RATE = "customer-rate"
    SYMBOL_RATE = "symbol-rate"
    RESTRICTED_SYMBOL = "restricted-symbol"
    SELF_TRADE = "self-trade"


Which = Annotated[Control, typer.Argument(metavar="CONTROL", help="See `controls set --help`.")]
Customer = Annotated[str, typer.Option("--customer", help="One customer's; else everybody's.")]
Symbol = Annotated[str, typer.Option("--symbol", help="Trades in one symbol; else in all.")]
From = Annotated[
    datetime | None,
    typer.Option("--from", formats=TIMES, metavar="TIME", help="In UTC; else at once."),
]


@app.command("set")
def set_control(  # noqa: PLR0913 - a command's parameters are its options
    control: Annotated[Control, typer.Argument(metavar="CONTROL", help=", ".join(Control))],
    reason: Reason,
    limit: Annotated[
        str,
        typer.Argument(
            metavar="[LIMIT]",
            help="Shares for max-quantity, dollars for max-notional, percent for price-collar, "
            "orders for the rates.",
        ),
    ] = "0",
    seconds: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_32,
            help="In what time, for duplicate-order and the rates; how old the last price may be.",
        ),
    ] = 0,
    passes_without_price: Annotated[
        bool,
        typer.Option("--pass-without-price", help="Let pass when the last price is not known."),
    ] = False,
    customer: Customer = "",
    symbol: Symbol = "",
    start: From = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Set a limit: for the firm, or with --customer and --symbol for some. Operators.

    The most specific one wins: a customer's in a symbol, a customer's, a symbol's, the firm's.
    """
    from services.cli.listed import note_if_not_traded
    from stockbroker.order.v1 import order_control_service_pb2 as pb

    request = pb.SetControlRequest(
        action=_action("SET"),
        limit=_limit(control, limit),
        seconds=seconds,
        passes_without_price=passes_without_price,
        reason_text=reason,
    )
    _record(request, control, (customer, symbol, start), operator, as_json)
    if symbol:
        note_if_not_traded(symbol, operator, undo="stockbroker controls withdraw")


@app.command()
def exempt(  # noqa: PLR0913 - a command's parameters are its options
    control: Which,
    reason: Reason,
    customer: Customer = "",
    symbol: Symbol = "",
    start: From = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Let some trade without a limit that is set for more. Operators."""
    from stockbroker.order.v1 import order_control_service_pb2 as pb

    request = pb.SetControlRequest(action=_action("EXEMPT"), reason_text=reason)
    _record(request, control, (customer, symbol, start), operator, as_json)


@app.command()
def withdraw(  # noqa: PLR0913 - a command's parameters are its options
    control: Which,
    reason: Reason,
    customer: Customer = "",
    symbol: Symbol = "",
    start: From = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Take back what was set or exempted for exactly this customer and symbol. Operators.

    What else stands of the control, for others, is told.
    """
    from stockbroker.order.v1 import order_control_service_pb2 as pb

    request = pb.SetControlRequest(action=_action("WITHDRAW"), reason_text=reason)
    _record(request, control, (customer, symbol, start), operator, as_json)
    if not as_json:
        _tell_what_stands(control, operator)


def _tell_what_stands(control: Control, operator: str) -> None:
    from services.cli.controls_wire import setting_cells
    from services.cli.neighbours import operators_door
    from services.cli.screen import say
    from stockbroker.order.v1 import control_pb2
    from stockbroker.order.v1 import order_control_service_pb2 as pb
    from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceStub

    request = pb.ListControlsRequest(control=control_pb2.Control.Value(f"CONTROL_{control.name}"))
    with operators_door(settings(), operator) as door:
        found = door.call(OrderControlServiceStub(door.channel).ListControls, request)
    for each in found.settings:
        if each.action != _action("WITHDRAW"):
            say(f"still set: {' | '.join(setting_cells(each))}")


@app.command("list")
def list_controls(
    history: Annotated[
        bool, typer.Option("--history", help="Every setting ever recorded, newest first.")
    ] = False,
    customer: Customer = "",
    symbol: Symbol = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """The settings in force and those to come. Operators."""
    from services.cli.controls_wire import SETTING_HEADINGS, setting_cells
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.order.v1 import order_control_service_pb2 as pb
    from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceStub

    request = pb.ListControlsRequest(
        history=history, customer_id=customer, symbol=symbol, page_size=_PAGE
    )
    with operators_door(settings(), operator) as door:
        ask = partial(door.call, OrderControlServiceStub(door.channel).ListControls)
        if history:
            found = since_the_first(ask, request, "settings", "before_version")
        else:
            found = ask(request)
    if as_json:
        show_json(fields_of(found))
    else:
        table(SETTING_HEADINGS, map(setting_cells, found.settings), nothing="nothing is set")


def explain(
    trade_id: Annotated[str, typer.Argument(metavar="TRADE_ID", help="The house's id of it.")],
    customer: AsCustomer = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """What every control said of a trade when it was placed; with --operator of anybody's."""
    from services.cli.controls_wire import CHECK_HEADINGS, check_cells
    from services.cli.neighbours import customers_door, operators_door
    from services.cli.screen import fields_of, say, show_json, table
    from services.cli.wire import date_time
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    opened = (
        operators_door(settings(), operator) if operator else customers_door(settings(), customer)
    )
    with opened as door:
        request = pb.ExplainTradeRequest(trade_id=trade_id)
        found = door.call(OrderServiceStub(door.channel).ExplainTrade, request)
    if as_json:
        show_json(fields_of(found))
        return
    word = "let through" if found.is_accepted else "rejected"
    say(f"{word} {date_time(found.decided_at)}, settings version {found.settings_version}")
    table(CHECK_HEADINGS, map(check_cells, found.checks), nothing="nothing was looked at")


def _record(
    request: "SetControlRequest",
    control: Control,
    where: tuple[str, str, datetime | None],
    operator: str,
    as_json: bool,
) -> None:
    """`where`: the customer, the symbol, and from when on."""
    from services.cli.controls_wire import setting_cells
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from services.cli.wire import stamp_of
    from stockbroker.order.v1 import control_pb2
    from stockbroker.order.v1.order_control_service_pb2_grpc import OrderControlServiceStub

    customer, symbol, start = where
    request.control = control_pb2.Control.Value(f"CONTROL_{control.name}")
    request.scope.CopyFrom(control_pb2.ControlScope(customer_id=customer, symbol=symbol))
    at = stamp_of(start)
    if at is not None:
        request.effective_at.CopyFrom(at)
    with operators_door(settings(), operator) as door:
        response = door.call(OrderControlServiceStub(door.channel).SetControl, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(" | ".join(setting_cells(response.setting)))


def _limit(control: Control, text: str) -> int:
    try:
        match control:
            case Control.MAX_NOTIONAL:
                return parse_dollars(text)
            case Control.PRICE_COLLAR:
                return parse_percent(text)
            case _:
                return parse_shares(text)
    except Unreadable as error:
        raise typer.BadParameter(str(error)) from None


def _action(name: str) -> "ControlAction.ValueType":
    from stockbroker.order.v1.control_pb2 import ControlAction

    return ControlAction.Value(f"CONTROL_ACTION_{name}")
