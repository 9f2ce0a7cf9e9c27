"""Signs what is written: a checkpoint at most once a second, and only when there is something new.

The order of transfers is the order of commits, so whatever batch is seen as the last, all before it
are there too: that is the exact horizon of a checkpoint. Where commits wait for a standby, only
what that has is sealed: a failover would leave a signature without its history. What was just
written is sealed from memory; what an earlier process left is read and hashed again. No checkpoint
reaches over the end of a month, so that a month can be archived and what comes after it still be
proven.

Nothing is sealed but what goes on from the last checkpoint kept outside of the database: see
`kept`. A process that is not the writer keeps what it sees, and compares as well.
"""

import asyncio
from functools import partial

import structlog
from prometheus_client import Gauge
from psycopg import AsyncConnection

from libs.clock import Clock
from libs.postgres import Lane
from libs.proof import forms
from libs.proof.checkpoint import NO_CHECKPOINT, Checkpoint, SigningKey, checkpoint_hash
from libs.proof.merkle import Tree
from libs.refusals import Unavailable
from libs.tasks import end
from services.ledger.domain.chain import Chained
from services.ledger.kept import Kept
from services.ledger.proving import Flaw
from services.ledger.store import checkpoints
from services.ledger.store.history import read_range
from services.ledger.store.stored import StoredBatch
from services.ledger.tenure import Tenure

_PAUSE_SECONDS = 1.0
_MOST_KEPT = 200_000  # hashes in memory
_AT_ONCE = 5_000  # transfers read at once

_sealed = Gauge("ledger_sealed_transfer_seq", "The latest transfer that a checkpoint covers")
_log = structlog.get_logger()


class Sealer:
    """Seals while this process is the writer."""

    def __init__(
        self, dsn: str, key: SigningKey, *, kept: Kept, tenure: Tenure, clock: Clock
    ) -> None:
        self.public_key = key.public_key
        self._key = key
        self._kept = kept
        self._tenure = tenure
        self._clock = clock
        self._lane = Lane(dsn, name="ledger-sealer")
        self._something = asyncio.Event()
        self._hashes: dict[int, bytes] = {}  # by seq, of transfers written and not sealed yet
        self._refused = ""  # why nothing is sealed
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Seal what there is, and from now on whatever is noted."""
        self._something.set()
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Seal the rest, if the database answers."""
        await end(self._task)
        if self._something.is_set() and self._tenure.epoch is not None:
            await self._seal()
        await self._lane.close()

    def note(self, written: Chained | None) -> None:
        """A batch was committed; None: something may have been, that nobody was told of.

        For who is not the writer, there is always something that may have been.
        """
        if len(self._hashes) > _MOST_KEPT:
            self._hashes.clear()  # they will be read
        if written is not None:
            self._hashes.update(enumerate(written.transfers, start=written.batch.first_seq))
        self._something.set()

    async def _run(self) -> None:
        while True:
            await self._something.wait()
            await self._seal()
            await self._clock.sleep(_PAUSE_SECONDS)

    async def _seal(self) -> None:
        until = 0
        try:
            if self._tenure.epoch is not None:
                self._something.clear()
                until = await self._lane.run(checkpoints.last_batch)
            write = partial(self._write, until=until)
            sealed, is_all = await self._lane.run(write)
            while not is_all:
                sealed, is_all = await self._lane.run(write)
        except Unavailable:
            self._something.set()
            return
        except Flaw as flaw:
            self._something.set()
            if self._refused != str(flaw):
                self._refused = str(flaw)
                _log.error("seal_refused", invariant="I8", where=self._refused)
            return
        except Exception:
            _log.error("seal_failed", exc_info=True)
            self._something.set()
            return
        self._refused = ""
        _sealed.set(sealed)
        self._hashes = {seq: hash_ for seq, hash_ in self._hashes.items() if seq > sealed}

    async def _write(self, connection: AsyncConnection, *, until: int) -> tuple[int, bool]:
        """One checkpoint more; the last transfer that is sealed then, and whether all up to the
        batch `until` is.

        Each is committed by itself: no more than one is kept that is not on record.
        """
        before, owed = await self._kept.follow(connection)
        sealed = 0 if before is None else before.last_transfer_seq
        if self._tenure.epoch is None:
            return sealed, True  # it is the writer's to do
        if owed is not None:
            await checkpoints.write(connection, owed)
            return owed.last_transfer_seq, False
        found = await checkpoints.next_to_seal(connection, sealed, until=until)
        if found is None:
            return sealed, True
        batch, is_last = found
        await self._write_next(connection, before, batch)
        return batch.last_seq, is_last

    async def _write_next(
        self, connection: AsyncConnection, before: Checkpoint | None, batch: StoredBatch
    ) -> None:
        """Seal up to a batch what the checkpoint before does not cover."""
        sealed = 0 if before is None else before.last_transfer_seq
        checkpoint = Checkpoint(
            seq=1 if before is None else before.seq + 1,
            last_transfer_seq=batch.last_seq,
            last_batch_seq=batch.seq,
            last_batch_hash=batch.hash.hex(),
            merkle_root=(await self._root(connection, sealed, batch.last_seq)).hex(),
            previous_hash=NO_CHECKPOINT if before is None else checkpoint_hash(before),
            sealed_at=forms.micros_of(self._clock.now()),
            key_id=self._key.key_id,
        )
        signed = self._key.seal(checkpoint)
        await self._kept.keep(signed)
        await checkpoints.write(connection, signed)

    async def _root(self, connection: AsyncConnection, after: int, until: int) -> bytes:
        """The Merkle root of the transfers above `after` up to `until`."""
        tree = Tree()
        if all(seq in self._hashes for seq in range(after + 1, until + 1)):
            for seq in range(after + 1, until + 1):
                tree.add(self._hashes[seq])
            return tree.root()
        for first in range(after, until, _AT_ONCE):
            for transfer in await read_range(connection, first, min(first + _AT_ONCE, until)):
                tree.add(transfer.hash)
        return tree.root()
