"""The journal and statements as they come from the ledger."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import grpc

from libs.proof.export import BatchRow, CheckpointRow, JournalRow, TransferRow
from libs.proof.statement import HeadRow, ProvenRow
from services.cli import journal_wire
from services.cli.failures import unavailable
from services.cli.neighbours import Door, follow
from services.cli.screen import note
from stockbroker.ledger.v1 import journal_pb2 as pb
from stockbroker.ledger.v1 import statement_pb2
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceStub


def journal_rows(door: Door, *, after: int = 0) -> Iterator[JournalRow]:
    """Every row after that transfer to where the journal ends now, over any number of connections.

    Raises Failure.
    """
    stub = LedgerServiceStub(door.channel)
    rows = _Rows(after)

    def open_stream() -> Iterator[pb.ListJournalResponse]:
        rows.forget_latest()
        request = pb.ListJournalRequest(after_seq=rows.whole_seq)
        yield from stub.ListJournal(request, metadata=door.metadata())
        yield pb.ListJournalResponse()  # no response of the ledger is empty: this is the end

    def say_cut_off(why: str) -> None:
        note(f"the stream was cut off ({why}); going on after transfer {rows.whole_seq}")

    for response in follow(door, open_stream, on_cut_off=say_cut_off):
        if not response.records:
            break
        for record in response.records:
            yield from rows.take(record)
    yield from rows.latest()


def sealed(rows: Iterable[JournalRow]) -> Iterator[JournalRow]:
    """Up to the last checkpoint."""
    waiting: list[JournalRow] = []
    for row in rows:
        waiting.append(row)
        if isinstance(row, CheckpointRow):
            yield from waiting
            waiting = []


def statement_parts(
    door: Door, asset: str, *, since: datetime | None, until: datetime | None
) -> tuple[HeadRow, Iterator[CheckpointRow | ProvenRow]]:
    """The caller's statement: its head and what follows. Raises Failure."""
    request = statement_pb2.GetStatementRequest(asset=asset)
    if since is not None:
        getattr(request, "from").FromDatetime(since)
    if until is not None:
        request.until.FromDatetime(until)
    stub = PortfolioServiceStub(door.channel)
    parts = _parts(door, stub.GetStatement(request, metadata=door.metadata()))
    first = next(parts, None)
    if first is None or not first.HasField("head"):
        raise unavailable("the ledger gave a statement without a head")
    return journal_wire.head_from(first.head), map(_row_of, parts)


def _parts(
    door: Door, stream: Iterator[statement_pb2.GetStatementResponse]
) -> Iterator[statement_pb2.GetStatementResponse]:
    try:
        yield from stream
    except grpc.RpcError as error:
        raise door.failure(error) from None


def _row_of(part: statement_pb2.GetStatementResponse) -> CheckpointRow | ProvenRow:
    if part.HasField("checkpoint"):
        return journal_wire.checkpoint_from(part.checkpoint)
    return journal_wire.proven_from(part.transfer)


class _Rows:
    """Puts rows together, and keeps the latest back until it is known to be whole.

    A stream that is cut off goes on after a transfer; what comes after that transfer and before the
    next one, its batch and its checkpoint, must then not be lost.
    """

    def __init__(self, after: int) -> None:
        self.whole_seq = after  # of the latest transfer that was given with all that follows it
        self._transfer: pb.JournalTransfer | None = None
        self._entries: list[pb.JournalEntry] = []
        self._after: list[BatchRow | CheckpointRow] = []

    def take(self, record: pb.JournalRecord) -> Iterator[JournalRow]:
        """The rows that this one shows to be whole."""
        if record.HasField("transfer"):
            yield from self.latest()
            if self._transfer is not None:
                self.whole_seq = self._transfer.seq
            self.forget_latest()
            self._transfer = record.transfer
        elif record.HasField("entry"):
            self._entries.append(record.entry)
        elif record.HasField("batch"):
            self._after.append(journal_wire.batch_from(record.batch))
        else:
            self._after.append(journal_wire.checkpoint_from(record.checkpoint))

    def latest(self) -> Iterator[JournalRow]:
        """The latest transfer and what came after it."""
        if self._transfer is not None:
            yield self._row(self._transfer)
        yield from self._after

    def forget_latest(self) -> None:
        """It is given, or will come once more."""
        self._transfer, self._entries, self._after = None, [], []

    def _row(self, transfer: pb.JournalTransfer) -> TransferRow:
        return journal_wire.transfer_from(transfer, self._entries)
