"""The chain of checkpoints over the journal's transfers, recomputed."""

from collections.abc import Iterable, Mapping

from libs.proof.breach import Wrong
from libs.proof.checkpoint import (
    NO_CHECKPOINT,
    Checkpoint,
    checkpoint_hash,
    is_signed_by,
    key_id_of,
)
from libs.proof.export import CheckpointRow
from libs.proof.merkle import Tree


class Seals:
    """Takes the checkpoints in their order, and the transfers between them."""

    def __init__(self, keys: Iterable[bytes], anchor: Checkpoint | None) -> None:
        """`keys`: those that may have signed; none: signatures are not checked.

        `anchor`: a checkpoint that must be among them.
        """
        self._keys = keyring(keys)
        self._anchor = anchor
        self._tree = Tree()
        self._hash = NO_CHECKPOINT
        self.last: CheckpointRow | None = None

    def add(self, transfer_hash: bytes) -> None:
        """The next transfer."""
        self._tree.add(transfer_hash)

    def take(
        self, found: CheckpointRow, *, transfer_seq: int, batch_seq: int, batch_hash: str
    ) -> None:
        """The next checkpoint, which must be of the journal as it stands here. Raises Wrong."""
        for name, expected in (
            ("seq", self.last.seq + 1 if self.last else 1),
            ("last_transfer_seq", transfer_seq),
            ("last_batch_seq", batch_seq),
            ("last_batch_hash", batch_hash),
            ("merkle_root", self._tree.root().hex()),
            ("previous_hash", self._hash),
        ):
            if getattr(found, name) != expected:
                raise Wrong(name, expected=expected, found=getattr(found, name))
        if not self._tree.leaf_count:
            raise Wrong("transfers since the checkpoint before", expected="at least 1", found=0)
        if self._keys:
            check_signed(found, self._keys)
        self._hash = checkpoint_hash(found)
        self._check_anchor(found)
        self._tree = Tree()
        self.last = found

    def finish(self) -> None:
        """There are no more. Raises Wrong if the anchor was not among them."""
        anchor, seq = self._anchor, self.last.seq if self.last else 0
        if anchor is not None and seq < anchor.seq:
            expected = f"at least {anchor.seq}, which covers transfer {anchor.last_transfer_seq}"
            raise Wrong("last checkpoint of the journal", expected=expected, found=seq)

    def _check_anchor(self, found: Checkpoint) -> None:
        anchor = self._anchor
        if anchor is not None and anchor.seq == found.seq:
            expected = checkpoint_hash(anchor)
            if expected != self._hash:
                raise Wrong("the checkpoint kept from before", expected=expected, found=self._hash)


def keyring(keys: Iterable[bytes]) -> dict[str, bytes]:
    """Public keys by their ids."""
    return {key_id_of(key): key for key in keys}


def check_signed(checkpoint: Checkpoint, keys: Mapping[str, bytes]) -> None:
    """Raises Wrong unless one of `keys` signed it."""
    key = keys.get(checkpoint.key_id)
    if key is None:
        raise Wrong("key_id", expected=" or ".join(sorted(keys)), found=checkpoint.key_id)
    if not is_signed_by(checkpoint, key):
        expected = f"one of key {checkpoint.key_id} over the row"
        raise Wrong("signature", expected=expected, found=checkpoint.signature)
