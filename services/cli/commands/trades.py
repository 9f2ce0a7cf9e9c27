"""`trades`, `trade` and `watch`."""

from enum import Enum
from typing import Annotated

import typer

from services.cli.options import MOST_64, AsCustomer, AsJson
from services.cli.pages import note_if_more
from services.cli.settings import settings

_PAGE_SIZE = 200


class Status(Enum):
    """Where a trade stands."""

    PLACED = "placed"
    IN_PROGRESS = "in-progress"
    PARTIALLY_FILLED = "partially-filled"
    FILLED = "filled"
    PENDING_CANCEL = "pending-cancel"
    PENDING_REPLACE = "pending-replace"
    CANCELED = "canceled"
    REJECTED = "rejected"
    EXPIRED = "expired"


def trades(
    customer: AsCustomer = None,
    status: Annotated[
        list[Status] | None, typer.Option(help="Only these; may be given several times.")
    ] = None,
    symbol: Annotated[str, typer.Option(help="Only this symbol.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """A customer's trades, newest first."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import date_time, fills_of, status_word, terms_of, why_of
    from stockbroker.order.v1 import order_pb2
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    statuses = [order_pb2.TradeStatus.Value(f"TRADE_STATUS_{one.name}") for one in status or ()]
    request = pb.ListTradesRequest(statuses=statuses, symbol=symbol)
    found = pb.ListTradesResponse()
    with customers_door(settings(), customer) as door:
        stub = OrderServiceStub(door.channel)
        while len(found.trades) < limit:
            request.page_size = min(limit - len(found.trades), _PAGE_SIZE)
            request.page_token = found.next_page_token
            page = door.call(stub.ListTrades, request)
            found.trades.extend(page.trades)
            found.next_page_token = page.next_page_token
            if not page.next_page_token:
                break
    note_if_more(len(found.trades), found.next_page_token)
    if as_json:
        show_json(fields_of(found))
        return
    rows = (
        (
            date_time(one.created_at),
            one.trade_id,
            terms_of(one),
            status_word(one.status) + (" (in doubt)" if one.in_doubt else ""),
            fills_of(one),
            why_of(one),
        )
        for one in found.trades
    )
    headings = ("placed (UTC)", "trade", "terms", "status", "filled, average", "why")
    table(headings, rows, nothing="no trades")


def trade(
    trade_id: Annotated[str, typer.Argument(metavar="TRADE_ID", help="The house's id of it.")],
    customer: AsCustomer = None,
    as_json: AsJson = False,
) -> None:
    """The whole story of one trade."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, note, say, show_json
    from services.cli.wire import TERMINAL, event_line, outcome_line
    from stockbroker.order.v1 import order_service_pb2 as pb
    from stockbroker.order.v1.order_service_pb2_grpc import OrderServiceStub

    request = pb.ListTradeEventsRequest(trade_id=trade_id, partial=True)
    with customers_door(settings(), customer) as door:
        stub = OrderServiceStub(door.channel)
        story = door.call(stub.ListTradeEvents, request)
        if story.events:
            now = story.events[-1].trade
        else:
            now = door.call(stub.GetTrade, pb.GetTradeRequest(trade_id=trade_id)).trade
    if as_json:
        show_json(fields_of(story))
        return
    if story.archived_through_seq:
        note(f"its events up to {story.archived_through_seq} are archived")
    for event in story.events:
        say(event_line(event))
    if now.status in TERMINAL:
        say(outcome_line(now))


def watch(
    customer: AsCustomer = None,
    after_seq: Annotated[
        int,
        typer.Option(min=0, max=MOST_64, help="The last event already seen; 0 for all."),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """A customer's events as they happen.

    Those after --after-seq first, then live ones, until interrupted.

    Connects again whenever it is cut off, and goes on after the last event shown.
    """
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, say, show_json_line
    from services.cli.watching import watch_trades
    from services.cli.wire import event_line

    with customers_door(settings(), customer) as door:
        for response in watch_trades(door, after_seq):
            if as_json:
                show_json_line(fields_of(response))
            elif response.HasField("event"):
                say(event_line(response.event))
