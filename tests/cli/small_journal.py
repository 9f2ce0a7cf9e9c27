"""A journal and its statements out of memory, as the ledger's contract has them."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from libs.proof.checkpoint import Checkpoint, SigningKey
from libs.proof.export import BatchRow, EntryRow, JournalRow, TransferRow
from libs.proof.forms import Transfer
from libs.proof.statement import HeadRow, ProvenRow
from libs.refusals import Unavailable
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.ledger.v1 import journal_pb2 as pb
from stockbroker.ledger.v1 import statement_pb2
from stockbroker.ledger.v1.ledger_service_pb2_grpc import LedgerServiceServicer
from stockbroker.ledger.v1.portfolio_service_pb2_grpc import PortfolioServiceServicer
from tests.proof.small_ledger import a_day
from tests.proof.small_statement import statement_of

KEY = SigningKey.new()
DAY = a_day().hashed(KEY)


class SmallJournal(LedgerServiceServicer):
    """The journal of one day, a record at a time. `cut_off_after` makes it fail on purpose."""

    def __init__(self) -> None:
        self.asked_after: list[int] = []
        self.asked_last: list[int] = []
        self.cut_off_after: list[int] = []
        self.rows = DAY

    async def ListJournal(
        self, request: pb.ListJournalRequest, context: Any
    ) -> AsyncIterator[pb.ListJournalResponse]:
        self.asked_after.append(request.after_seq)
        self.asked_last.append(request.last)
        left = self.cut_off_after.pop(0) if self.cut_off_after else -1
        for record in _records_after(self.rows, request.after_seq):
            if left == 0:
                raise Unavailable(Reason.REASON_UNAVAILABLE, "cut off")
            yield pb.ListJournalResponse(records=[record])
            left -= 1


class SmallStatements(PortfolioServiceServicer):
    """Everybody gets alice's."""

    async def GetStatement(
        self, request: statement_pb2.GetStatementRequest, context: Any
    ) -> AsyncIterator[statement_pb2.GetStatementResponse]:
        asked = getattr(request, "from")
        since = asked.ToMicroseconds() if request.HasField("from") else None
        rows = statement_of(DAY, KEY.public_key, asset=request.asset, since=since)
        for row in rows:
            if isinstance(row, HeadRow):
                yield statement_pb2.GetStatementResponse(head=_head(row))
            elif isinstance(row, ProvenRow):
                yield statement_pb2.GetStatementResponse(transfer=_proven(row))
            else:
                yield statement_pb2.GetStatementResponse(checkpoint=_checkpoint(row))


def _records_after(rows: list[JournalRow], seq: int) -> Iterator[pb.JournalRecord]:
    """What follows the transfer `seq` and all that belongs to it, as the ledger has it."""
    latest = 0
    for row in rows:
        latest = row.seq if isinstance(row, TransferRow) else latest
        if latest > seq:
            yield from _records(row)


def _records(row: JournalRow) -> Iterator[pb.JournalRecord]:
    if isinstance(row, TransferRow):
        yield pb.JournalRecord(transfer=_transfer(row, row.hash))
        for entry in row.entries:
            yield pb.JournalRecord(entry=_entry(entry))
    elif isinstance(row, BatchRow):
        numbers = {"seq": row.seq, "first_seq": row.first_seq, "last_seq": row.last_seq}
        yield pb.JournalRecord(batch=pb.JournalBatch(**numbers, hash=bytes.fromhex(row.hash)))
    else:
        yield pb.JournalRecord(checkpoint=_checkpoint(row))


def _transfer(row: Transfer, hash_: str) -> pb.JournalTransfer:
    return pb.JournalTransfer(
        seq=row.seq,
        transfer_id=row.id,
        kind=row.kind,
        reason=Reason.ValueType(row.reason),
        amount=row.amount,
        fingerprint=bytes.fromhex(row.fingerprint),
        hold_id=row.hold_id or "",
        reverses=row.reverses or "",
        reference=row.reference,
        actor=row.actor,
        terms=row.terms,
        effective_at=_stamp(row.effective_at),
        recorded_at=_stamp(row.recorded_at),
        hash=bytes.fromhex(hash_),
    )


def _entry(entry: EntryRow) -> pb.JournalEntry:
    way = (pb.DIRECTION_DEBIT, pb.DIRECTION_UNSPECIFIED, pb.DIRECTION_CREDIT)
    return pb.JournalEntry(
        account=entry.account,
        asset=entry.asset,
        direction=way[(entry.amount > 0) - (entry.amount < 0) + 1],
        amount=abs(entry.amount),
        version=entry.version,
        balance_after=entry.balance_after,
        held_after=entry.held_after,
        cost_after=entry.cost_after,
        previous_hash=bytes.fromhex(entry.previous_hash),
        hash=bytes.fromhex(entry.hash),
    )


def _checkpoint(row: Checkpoint) -> pb.JournalCheckpoint:
    return pb.JournalCheckpoint(
        seq=row.seq,
        last_transfer_seq=row.last_transfer_seq,
        last_batch_seq=row.last_batch_seq,
        last_batch_hash=bytes.fromhex(row.last_batch_hash),
        merkle_root=bytes.fromhex(row.merkle_root),
        previous_hash=bytes.fromhex(row.previous_hash),
        sealed_at=_stamp(row.sealed_at),
        key_id=row.key_id,
        signature=bytes.fromhex(row.signature),
    )


def _head(row: HeadRow) -> statement_pb2.StatementHead:
    head = statement_pb2.StatementHead(
        account=row.account,
        asset=row.asset,
        opening_version=row.opening_version,
        opening_balance=row.opening_balance,
        opening_hash=bytes.fromhex(row.opening_hash),
        public_key=bytes.fromhex(row.public_key),
    )
    if row.since is not None:
        getattr(head, "from").CopyFrom(_stamp(row.since))
    return head


def _proven(row: ProvenRow) -> statement_pb2.StatementTransfer:
    return statement_pb2.StatementTransfer(
        transfer=_transfer(row, row.hash),
        entries=map(_entry, row.entries),
        leaves=[
            statement_pb2.StatementLeaf(hash=bytes.fromhex(leaf))
            if isinstance(leaf, str)
            else statement_pb2.StatementLeaf(version=leaf)
            for leaf in row.leaves
        ],
        checkpoint_seq=row.checkpoint_seq,
        leaf_index=row.leaf_index,
        leaf_count=row.leaf_count,
        path=map(bytes.fromhex, row.path),
    )


def _stamp(micros: int) -> Timestamp:
    at = Timestamp()
    at.FromMicroseconds(micros)
    return at
