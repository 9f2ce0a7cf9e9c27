"""`preview`: what would become of a trade."""

from typing import TYPE_CHECKING

from services.cli.commands.place import SideTyped, Tif, TimeInForce, request_of
from services.cli.options import AsCustomer, AsJson, Limit, Shares, Stop, Symbol
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.order.v1.order_service_pb2 import PreviewTradeResponse


def preview(  # noqa: PLR0913 - a command's parameters are its options
    symbol: Symbol,
    side: SideTyped,
    quantity: Shares,
    limit: Limit = None,
    stop: Stop = None,
    time_in_force: Tif = TimeInForce.DAY,
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """What would become of an order if it were placed now; nothing is recorded."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    trade = request_of(symbol, side, quantity, (limit, stop), time_in_force)
    with customers_door(settings(), customer) as door:
        stub = OrderServiceStub(door.channel)
        found = door.call(stub.PreviewTrade, pb.PreviewTradeRequest(trade=trade))
    if as_json:
        show_json(fields_of(found))
    else:
        _show(found)


def _show(found: "PreviewTradeResponse") -> None:
    from libs.money import format_dollars
    from services.cli.amounts import format_amount, format_shares
    from services.cli.controls_wire import CHECK_HEADINGS, check_cells
    from services.cli.screen import say, table
    from services.cli.wire import reason_word

    if found.would_be_accepted:
        say("would be accepted")
    else:
        say(f"would not be accepted: {reason_word(found.reason)}: {found.reason_text}")
    hold = found.hold
    amount, available = (format_amount(hold.asset, each) for each in (hold.amount, hold.available))
    say(f"would hold {amount} of {available} {hold.asset} available")
    if found.HasField("estimate") and not found.estimate.quantity:
        say("would fill nothing at once")
    elif found.HasField("estimate"):
        estimate = found.estimate
        average = format_dollars(estimate.average_price_micros)
        say(
            f"would fill {format_shares(estimate.quantity)} at once, at {average} on average, "
            f"{format_dollars(estimate.notional_micros)} in all"
        )
    table(CHECK_HEADINGS, map(check_cells, found.checks), nothing="nothing is looked at")
