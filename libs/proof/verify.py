"""Recomputes the whole journal from an export alone, be it in one file or in several.

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
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec.structs import replace

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
    NotARow,
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
        self.counts = Counts()  # of the files before
        self.books = Books()
        self.seals = Seals(keys, anchor)
        self.once = Once()
        self.reversals = Reversals()
        self.revivals = Revivals()
        self.digests: list[str] = []  # of the files, each without its last row
        self._mine = Counts()  # of the file in hand
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
        self._mine.add(row)

    def end_file(self, end: EndRow, digest: str) -> None:
        """The file has no more rows. Raises Wrong."""
        self._check_batched()
        expected = self._mine.end(digest)
        for name in expected.__struct_fields__:
            if getattr(end, name) != getattr(expected, name):
                wrong = getattr(expected, name), getattr(end, name)
                raise Wrong(f"{name} of the file", expected=wrong[0], found=wrong[1])
        self.counts.include(self._mine)
        self.digests.append(digest)
        self._mine = Counts()

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


class _Reader(LineReader[ExportRow]):
    """Reads one of several files."""

    def __init__(self, source: BinaryIO, *, lines_before: int, bytes_before: int) -> None:
        super().__init__(source, ExportRow, lines_before=lines_before)
        self.bytes_before = bytes_before
        self.progress: Callable[[int], None] | None = None

    def tell(self) -> None:
        """Say now and then how far it is."""
        if self.progress and self.line % _LINES_PER_PROGRESS == 0:
            self.progress(self.bytes_before + self.bytes_read)


class _Files:
    """Files read as one text, whose lines are numbered through."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._first_lines: list[int] = []
        self.is_last = False  # whether the file in hand is

    def read(self, progress: Callable[[int], None] | None) -> Iterator[_Reader]:
        """A reader of each, to be read to its end before the next is asked for."""
        self._first_lines, lines, bytes_read = [], 0, 0
        for number, file in enumerate(self._files):
            self._first_lines.append(lines)
            self.is_last = number == len(self._files) - 1
            with file.open("rb") as source:
                reader = _Reader(source, lines_before=lines, bytes_before=bytes_read)
                reader.progress = progress
                yield reader
            lines, bytes_read = reader.line, reader.bytes_before + reader.bytes_read

    def place(self, line: int) -> tuple[int, str | None]:
        """The line's number in its file, and which file if there are several."""
        found = bisect_left(self._first_lines, line) - 1
        name = self._files[found].name if len(self._files) > 1 else None
        return line - self._first_lines[found], name

    def words(self, line: int) -> str:
        """The line's place in words."""
        number, name = self.place(line)
        return f"line {number}" if name is None else f"line {number} of {name}"

    @contextmanager
    def naming_files(self) -> Iterator[None]:
        """Says of Broken in which file it is."""
        try:
            yield
        except Broken as broken:
            number, name = self.place(broken.breach.line)
            raise Broken(replace(broken.breach, line=number, file=name)) from None


def verify(
    *files: Path,
    keys: Iterable[bytes] = (),
    anchor: Checkpoint | None = None,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """What the export in `files`, one after the other, holds.

    Raises Broken for its first broken row, OSError. `keys`: public keys that may have signed; none:
    signatures are not checked. `anchor`: a checkpoint known from before. `progress` hears now and
    then how many bytes are read.
    """
    keys = tuple(keys)
    journal, text = _Journal(keys, anchor), _Files(files)
    try:
        with text.naming_files():
            for reader in text.read(progress):
                with naming_rows(reader):
                    _read(reader, journal, is_last=text.is_last)
            _look_back(text, journal)
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


def _read(reader: _Reader, journal: _Journal, *, is_last: bool) -> None:
    rows = iter(reader)
    header = next(rows, None)
    if header is None:
        raise NotARow(reader.line + 1, "an empty file")
    if header != HeaderRow(FORMAT):
        raise Wrong("first row", expected=HeaderRow(FORMAT), found=header)
    for row in rows:
        if isinstance(row, EndRow):
            journal.end_file(row, reader.digest_before())
            if is_last:
                journal.seals.finish()
            break
        journal.take(reader.line, row)
        reader.tell()
    else:
        raise Wrong("last row", expected="the row that ends it", found="cut off before")
    for row in rows:
        raise Wrong("rows after the end", expected="none", found=row)


def _adjusts(row: TransferRow) -> bool:
    return row.kind == "hold_adjustment" and not row.reason


def _look_back(text: _Files, journal: _Journal) -> None:
    """What only all rows together show."""
    again = journal.once.first_repeated()
    if again is not None:
        id_, before, line = str(uuid.UUID(bytes=again[0])), again[1], again[2]
        found = f"that of {text.words(before)}"
        breach = Breach(line=line, rule="id", expected="a new one", found=found, transfer_id=id_)
        raise Broken(breach)
    if journal.reversals or journal.revivals:
        for reader, digest in zip(text.read(None), journal.digests, strict=True):
            with naming_rows(reader):
                for row in reader:
                    if isinstance(row, TransferRow):
                        journal.reversals.meet(row)
                        journal.revivals.meet(row)
                found_digest = reader.digest_before()
                if found_digest != digest:
                    raise Wrong("file read once more", expected=digest, found=found_digest)
        journal.reversals.finish()
        journal.revivals.finish()
