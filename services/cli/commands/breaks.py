"""`breaks` and `reconciliation`: whether venue, gateway, trades and books have the same fills."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.options import AsJson, Operator, Reason
from services.cli.pages import note_if_more, whole
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.reconciliation.v1.day_pb2 import Day
    from stockbroker.reconciliation.v1.reconciliation_service_pb2 import (
        GetReconciliationResponse,
        SourceStatus,
    )

app = typer.Typer()

_PAGE = 1000


@app.callback(invoke_without_command=True)
def breaks(
    context: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, max=_PAGE, help="At most this many.")] = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Executions that the house's records and the venue's differ in, newest first. Operators."""
    if context.invoked_subcommand is not None:
        return
    from services.cli.breaks_wire import BREAK_HEADINGS, EVERY_STATE, break_cells
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
    from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
        ReconciliationServiceStub,
    )

    request = pb.ListBreaksRequest(states=EVERY_STATE if every else (), page_size=limit or _PAGE)
    with operators_door(settings(), operator) as door:
        ask = partial(door.call, ReconciliationServiceStub(door.channel).ListBreaks)
        found = ask(request) if limit else whole(ask, request, "page_token")
    note_if_more(len(found.breaks), found.next_page_token)
    if as_json:
        show_json(fields_of(found))
    else:
        table(BREAK_HEADINGS, map(break_cells, found.breaks), nothing="no breaks")


@app.command()
def show(
    break_id: Annotated[str, typer.Argument(metavar="BREAK_ID", help="Which break.")],
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """One break: what each source says, and what operators said of it. Operators."""
    from services.cli.breaks_wire import TOLD_HEADINGS, break_line, explanation_line, told_cells
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json, table
    from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
    from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
        ReconciliationServiceStub,
    )

    request = pb.GetBreakRequest(break_id=break_id)
    with operators_door(settings(), operator) as door:
        found = door.call(ReconciliationServiceStub(door.channel).GetBreak, request)
    if as_json:
        show_json(fields_of(found))
        return
    say(break_line(found.found_break))
    table(TOLD_HEADINGS, map(told_cells, found.found_break.told), nothing="nobody has it now")
    for explanation in found.found_break.explanations:
        say(explanation_line(explanation))


@app.command()
def explain(
    break_id: Annotated[str, typer.Argument(metavar="BREAK_ID", help="Which break.")],
    reason: Reason,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Say why the sources differ, for the record; it repairs nothing. Operators."""
    from services.cli.breaks_wire import break_line
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json
    from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
    from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
        ReconciliationServiceStub,
    )

    request = pb.ExplainBreakRequest(break_id=break_id, reason_text=reason)
    with operators_door(settings(), operator) as door:
        response = door.call(ReconciliationServiceStub(door.channel).ExplainBreak, request)
    if as_json:
        show_json(fields_of(response))
    else:
        say(f"on record: {break_line(response.found_break)}")


def reconciliation(operator: Operator = "", as_json: AsJson = False) -> None:
    """How far every source is read, and what is open. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json
    from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
    from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
        ReconciliationServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ReconciliationServiceStub(door.channel)
        found = door.call(stub.GetReconciliation, pb.GetReconciliationRequest())
    if as_json:
        show_json(fields_of(found))
    else:
        _show(found)


def days(
    trade_date: Annotated[
        str, typer.Argument(metavar="[DATE]", help="One day, YYYY-MM-DD; else all.")
    ] = "",
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """The sealed reports of trade dates: what every source had of the day. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as pb
    from stockbroker.reconciliation.v1.reconciliation_service_pb2_grpc import (
        ReconciliationServiceStub,
    )

    with operators_door(settings(), operator) as door:
        stub = ReconciliationServiceStub(door.channel)
        if trade_date:
            day = door.call(stub.GetDay, pb.GetDayRequest(trade_date=trade_date)).day
            answer, found = fields_of(day), [day]
        else:
            request = pb.ListDaysRequest(page_size=_PAGE)
            listed = whole(partial(door.call, stub.ListDays), request, "page_token")
            answer, found = fields_of(listed), list(listed.days)
    if as_json:
        show_json(answer)
        return
    headings = ("day", "source", ">fills", ">shares", ">notional", ">corrections", ">open breaks")
    table(headings, [row for day in found for row in _day_rows(day)], nothing="no day is sealed")


def _day_rows(day: "Day") -> list[tuple[str, ...]]:
    from services.cli.breaks_wire import day_cells

    return [day_cells(day, each) for each in day.sources]


def _show(found: "GetReconciliationResponse") -> None:
    from services.cli.breaks_wire import class_word
    from services.cli.screen import say, table

    headings = ("source", "", "read until (UTC)", ">position", "read anew (UTC)")
    table(headings, map(_source_cells, found.sources), nothing="nothing is read")
    counts = [f"{each.count} {class_word(each.break_class)}" for each in found.open_breaks]
    say(f"open breaks: {', '.join(counts) or 'none'}; pending: {found.pending}")
    if found.parked_reports >= 0:
        say(
            f"at the gateway: {found.in_doubt_orders} orders without an answer,"
            f" {found.parked_reports} reports parked"
        )
    else:
        say("at the gateway: it does not answer")
    say(f"last day sealed: {found.last_sealed_date or 'none'}")


def _source_cells(source: "SourceStatus") -> tuple[str, ...]:
    from services.cli.breaks_wire import source_word
    from services.cli.wire import date_time

    return (
        source_word(source.source),
        f"away: {source.detail}" if source.is_away else "answers",
        date_time(source.read_at) if source.HasField("read_at") else "-",
        str(source.position),
        date_time(source.reread_at) if source.HasField("reread_at") else "-",
    )
