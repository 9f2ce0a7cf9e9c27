"""The last checkpoint that this ledger signed or saw, in a file that the database never sees.

A ledger signs what its database says. So that it does not sign another history for who rewrites the
database, it compares the database with this file first. A checkpoint is kept before it is put on
record: whatever is killed in between, nothing was signed that is not kept. What was kept and not
put on record is put there, as it is, by whoever finds it so; until then, or where another process
put its own there first, the history under it says as well that it goes on.
"""

import asyncio
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import structlog
from msgspec.structs import asdict
from psycopg import AsyncConnection

from libs.durable import put
from libs.proof.checkpoint import (
    NO_CHECKPOINT,
    Checkpoint,
    checkpoint_hash,
    is_signed_by,
    key_id_of,
)
from libs.proof.export import CheckpointRow, LineWriter, NotARow, read_checkpoint
from services.ledger.proving import Flaw
from services.ledger.store import checkpoints
from services.ledger.store.stored import StoredBatch

_log = structlog.get_logger()


def place_of(checkpoint_file: str, signing_key_file: str) -> Path | None:
    """Where the last checkpoint is kept: where that is told, or beside the key.

    None: nobody told, and beside the key nothing can be written.
    """
    if checkpoint_file:
        return Path(checkpoint_file)
    beside = Path(signing_key_file).with_suffix(".checkpoint")
    if beside.exists() or os.access(beside.parent, os.W_OK):
        return beside
    _log.warning("no_checkpoint_is_kept", folder=str(beside.parent))
    return None


class Kept:
    """What is kept, and whether the history on record goes on from there."""

    def __init__(self, file: Path | None, *, public_key: bytes) -> None:
        """`file` None: nothing is kept, and any history will do."""
        self._file = file
        self._public_key = public_key

    async def keep(self, checkpoint: Checkpoint) -> None:
        """Keep it in place of the one before; durable when this returns. Raises OSError."""
        if self._file is not None:
            await asyncio.to_thread(_replace, self._file, checkpoint)

    async def check(self, connection: AsyncConnection) -> None:
        """That the history goes on from what is kept. Raises Flaw."""
        await self._latest(connection, await self._read())

    async def follow(
        self, connection: AsyncConnection
    ) -> tuple[Checkpoint | None, Checkpoint | None]:
        """The last checkpoint on record, which is kept from now on, and one yet to be put there.

        Raises Flaw, OSError.
        """
        kept = await self._read()
        last = await self._latest(connection, kept)
        if kept is not None and (last is None or last.seq < kept.seq):
            return last, kept
        if last is not None and not _is_same(last, kept):
            await self.keep(last)
            if kept is None and self._file is not None:
                told = {"seq": last.seq, "last_transfer_seq": last.last_transfer_seq}
                _log.warning("first_checkpoint_kept", **told, hash=checkpoint_hash(last))
        return last, None

    async def _read(self) -> Checkpoint | None:
        """None: nothing is kept. Raises Flaw."""
        if self._file is None:
            return None
        try:
            return await asyncio.to_thread(read_checkpoint, self._file)
        except FileNotFoundError:
            return None
        except (NotARow, OSError) as error:
            raise Flaw(f"{self._file} is no checkpoint that can be read: {error}") from None

    async def _latest(
        self, connection: AsyncConnection, kept: Checkpoint | None
    ) -> Checkpoint | None:
        """The last checkpoint of a history that goes on from the one kept. Raises Flaw."""
        if kept is None:
            return await checkpoints.latest(connection)
        found = {each.seq: each for each in await checkpoints.two_from(connection, kept.seq - 1)}
        batch = await checkpoints.batch(connection, kept.last_batch_seq)
        words = _flaw(kept, found, batch)
        last = await checkpoints.latest(connection)
        if not words and last is not None and not self._is_ours(last, kept):
            words = f"the ledger did not sign checkpoint {last.seq}"
        if words:
            raise Flaw(words)
        return last

    def _is_ours(self, last: Checkpoint, kept: Checkpoint) -> bool:
        """Whether it is the one kept, or signed. What an older key signed this one cannot tell."""
        if _is_same(last, kept):
            return True
        if last.key_id == key_id_of(self._public_key):
            return is_signed_by(last, self._public_key)
        return last.key_id == kept.key_id


def _flaw(kept: Checkpoint, found: Mapping[int, Checkpoint], batch: StoredBatch | None) -> str:
    """What shows that a history does not go on from the checkpoint kept; empty: nothing.

    `found`: the first two checkpoints from the one before it on. `batch`: the last it covers.
    """
    covered = kept.last_transfer_seq, kept.last_batch_hash
    if batch is None or (batch.last_seq, batch.hash.hex()) != covered:
        return f"batch {kept.last_batch_seq} is not the one that checkpoint {kept.seq} covers"
    there = found.get(kept.seq)
    if _is_same(kept, there):
        return ""
    if there is None and max(found, default=0) > kept.seq:
        return f"checkpoint {kept.seq} is not there, and later ones are"
    # It was kept and not put on record: another process did, or nobody yet.
    before = found.get(kept.seq - 1)
    if kept.previous_hash != (NO_CHECKPOINT if before is None else checkpoint_hash(before)):
        return f"checkpoint {kept.seq} is not there, nor the one before it"
    return ""


def _is_same(one: Checkpoint, other: Checkpoint | None) -> bool:
    return other is not None and checkpoint_hash(one) == checkpoint_hash(other)


def _replace(file: Path, checkpoint: Checkpoint) -> None:
    """Whatever ends this, the file is whole: the one before, or this one."""
    number, fresh = tempfile.mkstemp(prefix=f"{file.name}.", dir=file.parent)
    try:
        with os.fdopen(number, "wb") as target:
            LineWriter(target).write(CheckpointRow(**asdict(checkpoint)))
            target.flush()
            os.fsync(number)
        put(Path(fresh), file)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise
