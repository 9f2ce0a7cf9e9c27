"""Whether a stretch of the journal is what its hashes and checkpoints say."""

from psycopg import AsyncConnection

from libs.proof import forms
from libs.proof.checkpoint import Checkpoint
from libs.proof.merkle import Tree
from services.ledger.domain.books import NO_BATCH
from services.ledger.store import history
from services.ledger.store.stored import StoredBatch, StoredTransfer

_AT_ONCE = 2_000  # transfers read at once


class Flaw(Exception):
    """What is on record is not what was sealed; the text says where."""


async def prove(connection: AsyncConnection, after: int, until: int) -> None:
    """That transfers above `after` up to `until` hash to what checkpoints say. Raises Flaw.

    A checkpoint ends at `after`, unless it is 0, and one at `until`. Whether the checkpoints are
    signed is for whoever has the public key to look at.
    """
    links = _Links(after, await _hash_at(connection, after))
    for first in range(after, until, _AT_ONCE):
        last = min(first + _AT_ONCE, until)
        batches = {b.last_seq: b for b in await history.read_batches(connection, first, last)}
        sealed = await history.read_checkpoints(connection, first, last, newest=2**63 - 1)
        checkpoints = {c.last_transfer_seq: c for c in sealed}
        for transfer in await history.read_range(connection, first, last):
            links.take(transfer)
            if links.seq in batches:
                links.close_batch(batches[links.seq])
            if links.seq in checkpoints:
                links.close_checkpoint(checkpoints[links.seq])
    links.end(until)


async def _hash_at(connection: AsyncConnection, seq: int) -> bytes:
    """Of the batch that ends there."""
    found = await history.read_batches(connection, seq - 1, seq)
    return found[0].hash if found else NO_BATCH


class _Links:
    """What the transfers so far come to."""

    def __init__(self, after: int, batch_hash: bytes) -> None:
        self.seq = after
        self._batch_hash = batch_hash
        self._unbatched: list[bytes] = []  # hashes of the transfers since the batch before
        self._tree = Tree()  # of those since the checkpoint before
        self._is_sealed = True

    def take(self, stored: StoredTransfer) -> None:
        """The next transfer. Raises Flaw."""
        if stored.record.seq != self.seq + 1:
            raise Flaw(f"transfer {self.seq + 1} is not there")
        self.seq += 1
        record = forms.record_hash(stored.record)
        hashes = []
        for each in stored.entries:
            hashes.append(forms.entry_hash(each.previous_hash, each.entry, record=record))
            if hashes[-1] != each.hash:
                raise Flaw(f"an entry of transfer {self.seq} has another hash than its own")
        hash_ = forms.transfer_hash(record, hashes)
        if (stored.own_hash or hash_) != hash_:
            raise Flaw(f"transfer {self.seq} has another hash than its own")
        self._unbatched.append(hash_)
        self._tree.add(hash_)
        self._is_sealed = False

    def close_batch(self, batch: StoredBatch) -> None:
        """The latest transfer is the last of that batch. Raises Flaw."""
        first_seq = self.seq - len(self._unbatched) + 1
        self._batch_hash = forms.batch_hash(
            self._batch_hash,
            seq=batch.seq,
            first_seq=first_seq,
            last_seq=self.seq,
            transfer_hashes=self._unbatched,
        )
        if (batch.first_seq, batch.hash) != (first_seq, self._batch_hash):
            raise Flaw(f"batch {batch.seq} has another hash than its own")
        self._unbatched = []

    def close_checkpoint(self, checkpoint: Checkpoint) -> None:
        """The latest transfer is the last that the checkpoint covers. Raises Flaw."""
        sealed = checkpoint.last_batch_hash, checkpoint.merkle_root
        if self._unbatched or sealed != (self._batch_hash.hex(), self._tree.root().hex()):
            raise Flaw(f"checkpoint {checkpoint.seq} covers something else")
        self._tree = Tree()
        self._is_sealed = True

    def end(self, until: int) -> None:
        """There are no more. Raises Flaw."""
        if self.seq != until:
            raise Flaw(f"transfer {self.seq + 1} is not there")
        if not self._is_sealed:
            raise Flaw(f"no checkpoint ends with transfer {until}")
