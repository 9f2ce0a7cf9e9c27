"""The export: the whole journal in a file of JSON lines, or in several, for anyone to check.

    {"row":"header", ...}       says what the file is
    {"row":"transfer", ...}     in the order of seq, each with its entries
    {"row":"batch", ...}        after the last of its transfers
    {"row":"checkpoint", ...}   after the last of its batches
    {"row":"end", ...}          how many of each there were, and the SHA-256 of all bytes before

Numbers are integers of 64 bits with a sign, times microseconds since 1970-01-01 UTC, hashes
lower-case hex. A row has one spelling and no other: keys in the order of the structs below, all of
them, no space, a newline at its end. So a file holds nothing that is not checked.

A journal in several files goes on in each where the one before ended, at a checkpoint. Each has its
own header and end; together they are checked as one.
"""

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

from libs.durable import put
from libs.proof.checkpoint import Checkpoint
from libs.proof.forms import Entry, Int64, Transfer

FORMAT = "stockbroker-journal/1"
_MOST_LINE_BYTES = 64 << 20  # no row is longer, whatever the file says

Row = TypeVar("Row")


class HeaderRow(msgspec.Struct, frozen=True, tag_field="row", tag="header"):
    """The first row."""

    format: str


class EntryRow(Entry, frozen=True, gc=False):
    """An entry with its links."""

    previous_hash: str  # of the account's entry before; of its origin where version is 1
    hash: str


class TransferRow(Transfer, frozen=True, kw_only=True, gc=False, tag_field="row", tag="transfer"):
    """A transfer with its entries."""

    entries: tuple[EntryRow, ...]
    hash: str


class BatchRow(msgspec.Struct, frozen=True, kw_only=True, tag_field="row", tag="batch"):
    """The transfers of one transaction."""

    seq: Int64
    first_seq: Int64
    last_seq: Int64
    hash: str


class CheckpointRow(Checkpoint, frozen=True, kw_only=True, tag_field="row", tag="checkpoint"):
    """A checkpoint, as it was signed."""


class EndRow(msgspec.Struct, frozen=True, kw_only=True, tag_field="row", tag="end"):
    """The last row: a file without it was cut off."""

    transfers: Int64
    entries: Int64
    batches: Int64
    checkpoints: Int64
    sha256: str


JournalRow = TransferRow | BatchRow | CheckpointRow
ExportRow = HeaderRow | TransferRow | BatchRow | CheckpointRow | EndRow


class Counts:
    """How many rows of each kind there were."""

    def __init__(self) -> None:
        self.transfers = 0
        self.entries = 0
        self.batches = 0
        self.checkpoints = 0

    def add(self, row: JournalRow) -> None:
        """Count one."""
        if isinstance(row, TransferRow):
            self.transfers += 1
            self.entries += len(row.entries)
        elif isinstance(row, BatchRow):
            self.batches += 1
        else:
            self.checkpoints += 1

    def include(self, other: "Counts") -> None:
        """Add up."""
        self.transfers += other.transfers
        self.entries += other.entries
        self.batches += other.batches
        self.checkpoints += other.checkpoints

    def end(self, digest: str) -> EndRow:
        """The row that says so."""
        return EndRow(
            transfers=self.transfers,
            entries=self.entries,
            batches=self.batches,
            checkpoints=self.checkpoints,
            sha256=digest,
        )


class NotARow(Exception):
    """A line is no row in its one spelling; the text says why."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line
        self.why = why


class LineReader(Generic[Row]):
    """The rows of a file of JSON lines, one by one, with what is known of the bytes so far."""

    def __init__(self, file: BinaryIO, kind: Any, *, lines_before: int = 0) -> None:
        """`kind`: the struct, or union of tagged structs, of a row."""
        self._file = file
        self._decode: Callable[[bytes], Row] = msgspec.json.Decoder(kind).decode
        self._digest = sha256()
        self.row: Row | None = None  # the latest
        self.line = lines_before  # its number, from 1
        self.bytes_read = 0

    def __iter__(self) -> Iterator[Row]:
        """The rows to the end of the file. Raises NotARow."""
        encode, readline = msgspec.json.Encoder().encode, self._file.readline
        last = b""
        while line := readline(_MOST_LINE_BYTES):
            self._digest.update(last)
            self.line += 1
            self.bytes_read += len(line)
            last = line
            self.row = row = self._read(line)
            if encode(row) + b"\n" != line:
                raise NotARow(self.line, f"another spelling of one: {_excerpt(line)}")
            yield row

    def digest_before(self) -> str:
        """SHA-256 of all lines before the latest."""
        return self._digest.hexdigest()

    def _read(self, line: bytes) -> Row:
        try:
            return self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NotARow(self.line, f"{error}: {_excerpt(line)}") from None


class LineWriter:
    """Writes rows in their one spelling."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encode = msgspec.json.Encoder().encode
        self._digest = sha256()

    def write(self, row: msgspec.Struct) -> None:
        """Append one."""
        line = self._encode(row) + b"\n"
        self._digest.update(line)
        self._file.write(line)

    def digest(self) -> str:
        """SHA-256 of all lines so far."""
        return self._digest.hexdigest()


class ExportWriter:
    """Writes an export from its header to its end."""

    def __init__(self, file: BinaryIO) -> None:
        self._lines = LineWriter(file)
        self._lines.write(HeaderRow(FORMAT))
        self.counts = Counts()

    def write(self, row: JournalRow) -> None:
        """Append the next row of the journal."""
        self._lines.write(row)
        self.counts.add(row)

    def end(self) -> EndRow:
        """Write the last row: everything is there."""
        end = self.counts.end(self._lines.digest())
        self._lines.write(end)
        return end


def read_checkpoint(file: Path) -> CheckpointRow:
    """The checkpoint that is kept in `file`. Raises NotARow, OSError."""
    with file.open("rb") as source:
        reader: LineReader[CheckpointRow] = LineReader(source, CheckpointRow)
        rows = list(reader)
    if len(rows) != 1:
        raise NotARow(reader.line, "there is not one row alone")
    return rows[0]


def write_checkpoint(file: Path, checkpoint: CheckpointRow) -> None:
    """Keep a checkpoint; one that is there stays until it can be replaced."""
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as target:
            LineWriter(target).write(checkpoint)
            target.flush()
            os.fsync(target.fileno())
        put(part, file)
    finally:
        part.unlink(missing_ok=True)


def _excerpt(line: bytes) -> str:
    text = line[:60].decode("ascii", errors="replace")
    return repr(text) + ("..." if len(line) > 60 else "")
