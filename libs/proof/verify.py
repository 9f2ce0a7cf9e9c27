"""Recomputes the whole journal from an export alone.

What holds when this ends well: every row follows from those before it; no transfer, no version of
an account and no batch is missing or there twice; every transfer balances; no account with a floor
was ever below it; what is held is what open holds have left; and all is hashed as it says. Up to
the last checkpoint it is also what the owner of the key has signed.

What no export can show by itself: that rows after its last checkpoint were not made up, and that it
is not an old one, or one whose end was taken off at a checkpoint. For that, keep a checkpoint: the
next export must go on from it.
"""

import re
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from libs.proof.breach import Breach, Broken, Wrong, naming_rows
from libs.proof.checkpoint import Checkpoint
from libs.proof.export import (
    FORMAT,
    BatchRow,
    CheckpointRow,
    Counts,
    EndRow,
    ExportRow,
    HeaderRow,
    LineReader,
    TransferRow,
)
from libs.proof.forms import NO_BATCH, batch_hash, record_hash, transfer_hash
from libs.proof.once import Once
from libs.proof.replay import UNDOING, Books
from libs.proof.reversals import Reversals
from libs.proof.revivals import Revivals
from libs.proof.seals import Seals

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_LINES_PER_PROGRESS = 500


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds that was found whole."""

    transfers: int
    entries: int
    batches: int
    checkpoints: int
    accounts: int
    open_holds: int  # with something left
    sealed_transfers: int  # up to the last checkpoint; those after it have no signature yet
    signatures_checked: bool  # False: no key was given
    last_checkpoint: CheckpointRow | None  # keep it: the next export must go on from it


class _Journal:
    """What the rows so far come to."""

    def __init__(self, keys: Iterable[bytes], anchor: Checkpoint | None) -> None:
        self.counts = Counts()
        self.books = Books()
        self.seals = Seals(keys, anchor)
        self.once = Once()
        self.reversals = Reversals()
        self.revivals = Revivals()
        self._seq = 0
        self._recorded_at = -(2**63)
        self._batch_seq = 0
        self._batch_hash = NO_BATCH
        self._unbatched: list[bytes] = []  # hashes of the transfers since the batch before

    def take(self, line: int, row: ExportRow) -> None:
        """The next row. Raises Wrong."""
        if isinstance(row, TransferRow):
            self._take_transfer(line, row)
        elif isinstance(row, BatchRow):
            self._take_batch(row)
        elif isinstance(row, CheckpointRow):
            self._check_batched()
            self.seals.take(
                row,
                transfer_seq=self._seq,
                batch_seq=self._batch_seq,
                batch_hash=self._batch_hash.hex(),
            )
        else:
            raise Wrong("row", expected="a row of the journal", found=row)
        self.counts.add(row)

    def finish(self, end: EndRow, digest: str) -> None:
        """There are no more rows. Raises Wrong."""
        self._check_batched()
        expected = self.counts.end(digest)
        for name in expected.__struct_fields__:
            if getattr(end, name) != getattr(expected, name):
                wrong = getattr(expected, name), getattr(end, name)
                raise Wrong(f"{name} of the file", expected=wrong[0], found=wrong[1])
        self.seals.finish()

    def _take_transfer(self, line: int, row: TransferRow) -> None:
        if row.seq != self._seq + 1:
            raise Wrong("seq", expected=self._seq + 1, found=row.seq)
        if not _UUID.fullmatch(row.id):
            raise Wrong("id", expected="a UUID in lower case", found=row.id)
        if row.recorded_at < self._recorded_at:
            expected = f"at least {self._recorded_at}"
            raise Wrong("recorded_at", expected=expected, found=row.recorded_at)
        if _adjusts(row) and not self.books.has_hold(row.hold_id):
            self.revivals.add(line, row)
        record = record_hash(row)
        hash_ = transfer_hash(record, self.books.take(row, record))
        if row.hash != hash_.hex():
            raise Wrong("hash of the transfer", expected=hash_.hex(), found=row.hash)
        if row.kind in UNDOING and not row.reason:
            self.reversals.add(line, row)
        self.once.add(bytes.fromhex(row.id.replace("-", "")), line)
        self.seals.add(hash_)
        self._unbatched.append(hash_)
        self._seq = row.seq
        self._recorded_at = row.recorded_at

    def _take_batch(self, row: BatchRow) -> None:
        expected = batch_hash(
            self._batch_hash,
            seq=self._batch_seq + 1,
            first_seq=self._seq - len(self._unbatched) + 1,
            last_seq=self._seq,
            transfer_hashes=self._unbatched,
        )
        for name, wanted in (
            ("seq", self._batch_seq + 1),
            ("first_seq", self._seq - len(self._unbatched) + 1),
            ("last_seq", self._seq),
            ("hash", expected.hex()),
        ):
            if getattr(row, name) != wanted:
                raise Wrong(f"{name} of the batch", expected=wanted, found=getattr(row, name))
        if not self._unbatched:
            raise Wrong("transfers of the batch", expected="at least 1", found=0)
        self._batch_seq, self._batch_hash = row.seq, expected
        self._unbatched = []

    def _check_batched(self) -> None:
        if self._unbatched:
            expected = f"the batch of transfer {self._seq}"
            raise Wrong("row", expected=expected, found="another row")


def verify(
    file: Path,
    *,
    keys: Iterable[bytes] = (),
    anchor: Checkpoint | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """What the export in `file` holds. Raises Broken for its first broken row, OSError.

    `keys`: public keys that may have signed; none: signatures are not checked. `anchor`: a
    checkpoint known from before. `progress` hears now and then how many bytes are read.
    """
    keys = tuple(keys)
    journal = _Journal(keys, anchor)
    try:
        _read(file, journal, progress)
        _look_back(file, journal)
    finally:
        journal.once.close()
    counts, last = journal.counts, journal.seals.last
    return Report(
        transfers=counts.transfers,
        entries=counts.entries,
        batches=counts.batches,
        checkpoints=counts.checkpoints,
        accounts=journal.books.account_count,
        open_holds=journal.books.hold_count,
        sealed_transfers=last.last_transfer_seq if last else 0,
        signatures_checked=bool(keys),
        last_checkpoint=last,
    )


def _read(file: Path, journal: _Journal, progress: Callable[[int], None] | None) -> None:
    with file.open("rb") as source:
        reader: LineReader[ExportRow] = LineReader(source, ExportRow)
        with naming_rows(reader):
            rows = iter(reader)
            header = next(rows, None)
            if header != HeaderRow(FORMAT):
                raise Wrong("first row", expected=HeaderRow(FORMAT), found=header)
            for row in rows:
                if isinstance(row, EndRow):
                    journal.finish(row, reader.digest_before())
                    break
                journal.take(reader.line, row)
                if progress and reader.line % _LINES_PER_PROGRESS == 0:
                    progress(reader.bytes_read)
            else:
                raise Wrong("last row", expected="the row that ends it", found="cut off before")
            for row in rows:
                raise Wrong("rows after the end", expected="none", found=row)


def _adjusts(row: TransferRow) -> bool:
    return row.kind == "hold_adjustment" and not row.reason


def _look_back(file: Path, journal: _Journal) -> None:
    """What only all rows together show."""
    again = journal.once.first_repeated()
    if again is not None:
        id_, before, line = str(uuid.UUID(bytes=again[0])), again[1], again[2]
        found = f"that of line {before}"
        breach = Breach(line=line, rule="id", expected="a new one", found=found, transfer_id=id_)
        raise Broken(breach)
    if journal.reversals or journal.revivals:
        with file.open("rb") as source:
            reader: LineReader[ExportRow] = LineReader(source, ExportRow)
            with naming_rows(reader):
                for row in reader:
                    if isinstance(row, TransferRow):
                        journal.reversals.meet(row)
                        journal.revivals.meet(row)
        journal.reversals.finish()
        journal.revivals.finish()
