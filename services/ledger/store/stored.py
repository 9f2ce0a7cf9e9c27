"""What the journal has on record, and the rows that it is read from."""

from collections.abc import Sequence
from typing import Any

import msgspec

from libs.proof import forms
from libs.proof.checkpoint import Checkpoint


class StoredEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as it is on record, with its links."""

    account_id: int
    has_floor: bool
    entry: forms.Entry
    hash: bytes
    previous_hash: bytes


class StoredTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer as it is on record, with its entries."""

    record: forms.Transfer
    own_hash: bytes | None  # as it is stored with transfers that have no entries
    entries: tuple[StoredEntry, ...]
    is_archived: bool = False  # it has entries, and they are archived

    @property
    def hash(self) -> bytes:
        """As it is stored, or as what is stored makes it; empty: its entries are archived."""
        if self.own_hash is not None:
            return self.own_hash
        if self.is_archived:
            return b""
        return forms.transfer_hash(
            forms.record_hash(self.record), [entry.hash for entry in self.entries]
        )


class StoredBatch(msgspec.Struct, frozen=True):
    """The transfers of one transaction."""

    seq: int
    first_seq: int
    last_seq: int
    hash: bytes


class ReversalRequest(msgspec.Struct, frozen=True):
    """A reversal that is asked for; the time in microseconds since 1970."""

    request_id: str
    transfer_id: str
    operator: str
    reference: str
    requested_at: int


class End(msgspec.Struct, frozen=True):
    """Where the journal ended at some moment."""

    transfer_seq: int
    checkpoint_seq: int


def checkpoint_from(row: Sequence[Any]) -> Checkpoint:
    """From the columns of LIST_CHECKPOINTS."""
    return Checkpoint(
        seq=row[0],
        last_transfer_seq=row[1],
        last_batch_seq=row[2],
        last_batch_hash=row[3],
        merkle_root=row[4],
        previous_hash=row[5],
        sealed_at=row[6],
        key_id=row[7],
        signature=row[8],
    )


def transfers_from(
    transfers: Sequence[Sequence[Any]], entries: Sequence[Sequence[Any]]
) -> list[StoredTransfer]:
    """From the rows of transfers and of their entries, both in order."""
    mine: dict[int, list[StoredEntry]] = {}
    for row in entries:
        mine.setdefault(row[0], []).append(_entry(row))
    return [
        StoredTransfer(record=_record(row), own_hash=row[13], entries=tuple(mine.get(row[0], ())))
        for row in transfers
    ]


def _record(row: Sequence[Any]) -> forms.Transfer:
    return forms.Transfer(
        seq=row[0],
        id=row[1],
        kind=row[2],
        reason=row[3],
        amount=row[4],
        fingerprint=row[5],
        hold_id=row[6],
        reverses=row[7],
        reference=row[8],
        actor=row[9],
        terms=row[10],
        effective_at=row[11],
        recorded_at=row[12],
    )


def _entry(row: Sequence[Any]) -> StoredEntry:
    _, account_id, name, asset, has_floor, *figures, hash_, previous_hash = row
    if previous_hash is None:
        previous_hash = forms.account_origin(name, asset, has_floor=has_floor)
    return StoredEntry(
        account_id=account_id,
        has_floor=has_floor,
        entry=forms.Entry(name, asset, *figures),
        hash=hash_,
        previous_hash=previous_hash,
    )
