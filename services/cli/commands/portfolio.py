"""`portfolio` and `entries`: what a customer owns, and how it came about."""

from typing import Annotated

import typer

from libs.money import format_dollars
from services.cli.amounts import format_amount, format_shares
from services.cli.options import AsCustomer, AsJson, AsOf, KnownAt
from services.cli.pages import note_if_more
from services.cli.settings import settings

_PAGE_SIZE = 200


def portfolio(
    customer: AsCustomer = None,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    as_json: AsJson = False,
) -> None:
    """A customer's cash and positions, now or at any time."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import stamp_of
    from stockbroker.ledger.v1 import portfolio_service_pb2 as pb
    from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub

    with customers_door(settings(), customer) as door:
        stub = PortfolioServiceStub(door.channel)
        request = pb.GetPortfolioRequest(as_of=stamp_of(as_of), known_at=stamp_of(known_at))
        owned = door.call(stub.GetPortfolio, request)
    if as_json:
        show_json(fields_of(owned))
        return
    cash = owned.cash
    micros = (cash.total_micros, cash.available_micros, cash.held_micros)
    rows = [("USD", *map(format_dollars, micros), "")]
    for position in owned.positions:
        shares = (position.quantity, position.available_quantity, position.held_quantity)
        cost = format_dollars(position.cost_micros)
        rows.append((position.symbol, *map(format_shares, shares), cost))
    table(("asset", ">owned", ">available", ">held", ">cost"), rows, nothing="nothing")


def entries(  # noqa: PLR0913 - a command's parameters are its options
    customer: AsCustomer = None,
    asset: Annotated[str, typer.Option(help="Only USD, or only this symbol.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_of: AsOf = None,
    known_at: KnownAt = None,
    as_json: AsJson = False,
) -> None:
    """Every change to a customer's accounts, newest first, as known now or at any time."""
    from services.cli.neighbours import customers_door
    from services.cli.screen import fields_of, say, show_json, table
    from services.cli.wire import date_time, stamp_of
    from stockbroker.ledger.v1 import portfolio_service_pb2 as pb
    from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub

    request = pb.ListEntriesRequest(asset=asset, as_of=stamp_of(as_of), known_at=stamp_of(known_at))
    found = pb.ListEntriesResponse()
    with customers_door(settings(), customer) as door:
        stub = PortfolioServiceStub(door.channel)
        while len(found.entries) < limit:
            request.page_size = min(limit - len(found.entries), _PAGE_SIZE)
            request.page_token = found.next_page_token
            page = door.call(stub.ListEntries, request)
            found.entries.extend(page.entries)
            found.next_page_token = page.next_page_token
            if page.HasField("archived_until"):
                found.archived_until.CopyFrom(page.archived_until)
            if not page.next_page_token:
                break
    note_if_more(len(found.entries), found.next_page_token)
    if as_json:
        show_json(fields_of(found))
        return
    rows = (
        (
            date_time(one.recorded_at),
            one.asset,
            str(one.version),
            one.kind,
            format_amount(one.asset, one.amount),
            format_amount(one.asset, one.balance_after),
            format_amount(one.asset, one.held_after),
            one.reference,
        )
        for one in found.entries
    )
    headings = ("recorded (UTC)", "asset", ">version", "kind", ">change", ">balance", ">held", "of")
    table(headings, rows, nothing="no entries")
    if found.HasField("archived_until") and not found.next_page_token:
        say(f"entries recorded until {date_time(found.archived_until)} UTC are archived")
