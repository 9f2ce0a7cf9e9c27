"""The files of an archived month: its rows, and a manifest that says what they are.

    order-trade_event-2026-07.csv.gz   the rows as CSV with a header, gzip
    order-trade_event-2026-07.json     the manifest

Times are UTC, bytes are hex, a null is empty and an empty text is "": as PostgreSQL's COPY reads it
again. A file appears under its name only once it is whole and on the disk.
"""

import csv
import gzip
import os
import zlib
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from libs.durable import put

FORMAT = "stockbroker-archive/1"
_LEVEL = 6
_UNFINISHED = ".unfinished"
_MOST_BYTES_AT_ONCE = 16 << 20  # a file of one endless line is read in pieces


class Damaged(Exception):
    """A file is not what its manifest says; the text says how."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a file of rows has in it."""

    columns: list[str]
    rows: int
    sha256: str  # of the CSV, uncompressed
    first: dict[str, str]  # the key of the first row; empty when there is none
    last: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The manifest. `gunzip --stdout FILE | sha256sum` gives `sha256`."""

    format: str = FORMAT
    service: str
    table: str
    month: str  # for example 2026-07
    has_all_before: bool  # also what is older than the month: it is the first of this database
    file: str
    rows: int
    sha256: str
    columns: list[str]
    first: dict[str, str]
    last: dict[str, str]
    schema: str  # the latest migration that made the table what it is
    database_since: str  # when the database was made: no other has the same
    facts: dict[str, Any] = {}  # what the service has to say of the month


class RowsFile:
    """Takes the CSV piece by piece and is there, under its name, once it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unfinished = path.with_name(path.name + _UNFINISHED)
        self._digest = sha256()

    def __enter__(self) -> "RowsFile":
        self._raw = self._unfinished.open("wb")
        # No name and no time in it: the same rows make the same file.
        self._file = gzip.GzipFile("", "wb", _LEVEL, self._raw, mtime=0)
        return self

    def write(self, piece: bytes) -> None:
        """The next piece."""
        self._digest.update(piece)
        self._file.write(piece)

    @property
    def sha256(self) -> str:
        """Of all pieces."""
        return self._digest.hexdigest()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._raw:
            if error is not None:
                return
            self._file.close()
            self._raw.flush()
            os.fsync(self._raw.fileno())
        put(self._unfinished, self._path)


def read_back(path: Path, key: tuple[str, ...]) -> Contents:
    """What is in a file of rows, all of it read. Raises Damaged."""
    digest = sha256()

    def lines(file: gzip.GzipFile) -> Iterator[str]:
        for line in iter(partial(file.readline, _MOST_BYTES_AT_ONCE), b""):
            digest.update(line)
            yield line.decode()

    try:
        with gzip.open(path, "rb") as file:
            rows = csv.reader(lines(file), strict=True)
            columns = next(rows)
            places = [(name, columns.index(name)) for name in key]
            count = 0
            first: list[str] = []
            last: list[str] = []
            for row in rows:
                count, first, last = count + 1, first or row, row
            keys = [{name: row[place] for name, place in places if row} for row in (first, last)]
    except (OSError, EOFError, zlib.error, csv.Error, LookupError, ValueError) as error:
        raise Damaged(f"{path} cannot be read: {error}") from error
    except StopIteration:
        raise Damaged(f"{path} has no header") from None
    return Contents(
        columns=columns, rows=count, sha256=digest.hexdigest(), first=keys[0], last=keys[1]
    )


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Where it lies."""
    path = manifest_path(folder, manifest.service, manifest.table, manifest.month)
    unfinished = path.with_name(path.name + _UNFINISHED)
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    with unfinished.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    put(unfinished, path)
    return path


def read_manifest(path: Path) -> Manifest:
    """A manifest, which is of the month that its name says.

    Raises Damaged; FileNotFoundError when there is none.
    """
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(f"{path} is no manifest: {error}") from error
    if manifest.format != FORMAT:
        raise Damaged(f"{path} is of another format: {manifest.format!r}")
    names = manifest.service, manifest.table, manifest.month
    expected = manifest_path(path.parent, *names), rows_path(path.parent, *names).name
    if (path, manifest.file) != expected:
        told = f"that of {manifest.month!r}, with the rows of {manifest.file!r}"
        raise Damaged(f"{path} is {told}")
    return manifest


def check(path: Path) -> Manifest:
    """A manifest whose file holds what it says. Raises Damaged, FileNotFoundError."""
    manifest = read_manifest(path)
    rows = path.with_name(manifest.file)
    found = read_back(rows, tuple(manifest.first))
    told = Contents(
        columns=manifest.columns,
        rows=manifest.rows,
        sha256=manifest.sha256,
        first=manifest.first,
        last=manifest.last,
    )
    if found != told:
        raise Damaged(
            f"{rows} is not what its manifest says: {found.rows:,} rows with SHA-256 "
            f"{found.sha256} instead of {told.rows:,} with {told.sha256}"
        )
    return manifest


def rows_path(folder: Path, service: str, table: str, month: str) -> Path:
    """Where a month's rows are."""
    return folder / f"{service}-{table}-{month}.csv.gz"


def manifest_path(folder: Path, service: str, table: str, month: str) -> Path:
    """Where a month's manifest is."""
    return folder / f"{service}-{table}-{month}.json"
