"""`invariants`: an operator sees whether the books keep their rules."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failures import ExitCode, Failure, unavailable
from services.cli.options import AsJson, Operator
from services.cli.settings import settings

if TYPE_CHECKING:
    from services.cli.neighbours import Door
    from stockbroker.ledger.v1.invariant_pb2 import GetInvariantsResponse


def invariants(
    full: Annotated[
        bool, typer.Option("--full", help="Look at everything, not only at what is new.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Then one line a look, until interrupted.")
    ] = False,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Whether the books keep their rules, and where not. Operators.

    Ends with 0 when all hold and with 7 when one is broken. With --watch --json: a document a line.
    """
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, show_json_line

    with operators_door(settings(), operator) as door:
        if not watch:
            look = _look(door, full)
            if as_json:
                show_json(fields_of(look))
            else:
                _show(look)
            _judge(look)
            return
        for number, look in enumerate(_looks(door, full)):
            if as_json:
                show_json_line(fields_of(look))
            elif number == 0:
                _show(look)
            else:
                _show_line(look)


def _look(door: "Door", full: bool) -> "GetInvariantsResponse":
    from stockbroker.ledger.v1 import invariant_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    request = pb.GetInvariantsRequest(full=full)
    found = next(door.stream(LedgerServiceStub(door.channel).GetInvariants, request), None)
    if found is None:
        raise unavailable("the ledger did not look")
    return found


def _looks(door: "Door", full: bool) -> "Iterator[GetInvariantsResponse]":
    from services.cli.neighbours import follow
    from services.cli.screen import note
    from stockbroker.ledger.v1 import invariant_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    stub = LedgerServiceStub(door.channel)
    request = pb.GetInvariantsRequest(full=full, follow=True)
    yield from follow(
        door,
        lambda: stub.GetInvariants(request, metadata=door.metadata()),
        on_cut_off=lambda why: note(f"the stream was cut off ({why}); looking anew"),
    )


def _show(look: "GetInvariantsResponse") -> None:
    from services.cli.screen import table
    from services.cli.wire import date_time

    rows = []
    for one in look.invariants:
        since = f"BROKEN since {date_time(one.broken_since)}"
        rows.append((one.id, "holds" if one.holds else since, one.rule, "; ".join(one.breaches)))
    table(("", "stands", "rule", "where not"), rows, nothing="no rules")
    _show_line(look)


def _show_line(look: "GetInvariantsResponse") -> None:
    from services.cli.screen import say
    from services.cli.wire import time_of_day

    broken = _broken(look)
    stands = f"BROKEN: {', '.join(broken)}" if broken else "all hold"
    say(
        f"{time_of_day(look.checked_at)}  up to transfer {look.transfer_seq:,}: {stands}"
        f" (last full look: up to {look.full_transfer_seq:,})"
    )


def _judge(look: "GetInvariantsResponse") -> None:
    if broken := _broken(look):
        raise Failure(f"the books are broken: {', '.join(broken)}", ExitCode.BROKEN)


def _broken(look: "GetInvariantsResponse") -> list[str]:
    return [one.id for one in look.invariants if not one.holds]
