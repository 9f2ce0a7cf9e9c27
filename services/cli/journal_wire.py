"""The contract's rows of the journal and parts of a statement as those of a file that proves them.

Nothing is put right on the way: what is wrong is for whoever checks the file to find.
"""

from collections.abc import Iterable
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from libs.proof.export import BatchRow, CheckpointRow, EntryRow, TransferRow
from libs.proof.statement import HeadRow, ProvenRow
from stockbroker.ledger.v1 import journal_pb2 as pb
from stockbroker.ledger.v1 import statement_pb2


def transfer_from(transfer: pb.JournalTransfer, entries: Iterable[pb.JournalEntry]) -> TransferRow:
    return TransferRow(**_fields_of(transfer), entries=tuple(map(_entry_from, entries)))


def batch_from(batch: pb.JournalBatch) -> BatchRow:
    return BatchRow(
        seq=batch.seq,
        first_seq=batch.first_seq,
        last_seq=batch.last_seq,
        hash=batch.hash.hex(),
    )


def checkpoint_from(checkpoint: pb.JournalCheckpoint) -> CheckpointRow:
    return CheckpointRow(
        seq=checkpoint.seq,
        last_transfer_seq=checkpoint.last_transfer_seq,
        last_batch_seq=checkpoint.last_batch_seq,
        last_batch_hash=checkpoint.last_batch_hash.hex(),
        merkle_root=checkpoint.merkle_root.hex(),
        previous_hash=checkpoint.previous_hash.hex(),
        sealed_at=checkpoint.sealed_at.ToMicroseconds(),
        key_id=checkpoint.key_id,
        signature=checkpoint.signature.hex(),
    )


def head_from(head: statement_pb2.StatementHead) -> HeadRow:
    return HeadRow(
        account=head.account,
        asset=head.asset,
        opening_version=head.opening_version,
        opening_balance=head.opening_balance,
        opening_hash=head.opening_hash.hex(),
        since=_micros_of(getattr(head, "from")) if head.HasField("from") else None,
        until=_micros_of(head.until) if head.HasField("until") else None,
        public_key=head.public_key.hex(),
    )


def proven_from(proven: statement_pb2.StatementTransfer) -> ProvenRow:
    return ProvenRow(
        **_fields_of(proven.transfer),
        entries=tuple(map(_entry_from, proven.entries)),
        leaves=tuple(leaf.hash.hex() if leaf.hash else leaf.version for leaf in proven.leaves),
        checkpoint_seq=proven.checkpoint_seq,
        leaf_index=proven.leaf_index,
        leaf_count=proven.leaf_count,
        path=tuple(step.hex() for step in proven.path),
    )


def _fields_of(transfer: pb.JournalTransfer) -> dict[str, Any]:
    return {
        "seq": transfer.seq,
        "id": transfer.transfer_id,
        "kind": transfer.kind,
        "reason": transfer.reason,
        "amount": transfer.amount,
        "fingerprint": transfer.fingerprint.hex(),
        "hold_id": transfer.hold_id or None,
        "reverses": transfer.reverses or None,
        "reference": transfer.reference,
        "actor": transfer.actor,
        "terms": transfer.terms if transfer.HasField("terms") else None,
        "effective_at": _micros_of(transfer.effective_at),
        "recorded_at": _micros_of(transfer.recorded_at),
        "hash": transfer.hash.hex(),
    }


def _entry_from(entry: pb.JournalEntry) -> EntryRow:
    is_debit = entry.direction == pb.DIRECTION_DEBIT
    return EntryRow(
        account=entry.account,
        asset=entry.asset,
        version=entry.version,
        amount=-entry.amount if is_debit else entry.amount,
        balance_after=entry.balance_after,
        held_after=entry.held_after,
        cost_after=entry.cost_after,
        previous_hash=entry.previous_hash.hex(),
        hash=entry.hash.hex(),
    )


def _micros_of(at: Timestamp) -> int:
    """Microseconds since 1970."""
    return at.ToMicroseconds()
