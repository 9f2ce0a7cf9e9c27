"""`balance` and `journal`: an operator looks at the books."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.amounts import format_amount
from services.cli.options import MOST_64, Account, AsJson, AsOf, KnownAt, Operator
from services.cli.settings import settings

if TYPE_CHECKING:
    from stockbroker.ledger.v1.journal_pb2 import JournalRecord, ListJournalResponse


def balance(  # noqa: PLR0913 - a command's parameters are its options
    account: Account,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="USD, or a symbol.")],
    as_of: AsOf = None,
    known_at: KnownAt = None,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """One account's balance, now or at any time. Operators."""
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, show_json, table
    from services.cli.wire import stamp_of
    from stockbroker.ledger.v1 import posting_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    request = pb.GetBalanceRequest(
        account=account, asset=asset, as_of=stamp_of(as_of), known_at=stamp_of(known_at)
    )
    with operators_door(settings(), operator) as door:
        found = door.call(LedgerServiceStub(door.channel).GetBalance, request)
    if as_json:
        show_json(fields_of(found))
        return
    amounts = (found.balance.posted, found.available, found.balance.held)
    row = (
        account,
        asset,
        *(format_amount(asset, amount) for amount in amounts),
        str(found.balance.version),
        found.state,
    )
    headings = ("account", "asset", ">balance", ">available", ">held", ">version", "state")
    table(headings, [row], nothing="nothing")


def journal(
    after_seq: Annotated[
        int | None,
        typer.Option(min=0, max=MOST_64, help="Those after this transfer; else the last ones."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST_64, help="At most so many transfers.")] = 20,
    operator: Operator = "",
    as_json: AsJson = False,
) -> None:
    """Transfers in the order of commits, refusals included, each with its entries. Operators.

    With --json: a record a line, as the journal has them.
    """
    from services.cli.neighbours import operators_door
    from services.cli.screen import fields_of, say, show_json_line
    from services.cli.wire import entry_line, transfer_line
    from stockbroker.ledger.v1 import journal_pb2 as pb
    from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub

    # The last ones, or the first after the one named.
    request = pb.ListJournalRequest(
        after_seq=after_seq or 0, last=limit if after_seq is None else 0
    )
    with operators_door(settings(), operator) as door:
        stream = door.stream(LedgerServiceStub(door.channel).ListJournal, request)
        for record in _first_transfers(stream, limit):
            if as_json:
                show_json_line(fields_of(record))
            elif record.HasField("transfer"):
                say(transfer_line(record.transfer))
            elif record.HasField("entry"):
                say(entry_line(record.entry))


def _first_transfers(
    stream: "Iterable[ListJournalResponse]", limit: int
) -> "Iterator[JournalRecord]":
    """The records up to those of the transfer number `limit`."""
    count = 0
    for response in stream:
        for record in response.records:
            count += record.HasField("transfer")
            if count > limit:
                return
            yield record
