"""A statement of one account that proves itself to whoever has the house's public key.

A file of JSON lines in one spelling, as an export is:

    {"row":"statement", ...}    whose, of what, when, and where the account stood before
    {"row":"checkpoint", ...}   before the first transfer that it covers
    {"row":"transfer", ...}     a transfer that changed the account, with the account's own entries,
                                the bare hashes of all others, and its Merkle path to the checkpoint
    {"row":"end", ...}          how many there were, and the SHA-256 of all bytes before

What holds when a check ends well: each entry is in the journal that the owner of the key signed, in
a transfer that says what the statement says, and from the first entry to the last none is missing.
What no statement can show by itself: that nothing came before its first entry or after its last.
The statements before and after do, for each must go on from where the other ends, version and hash;
and one that begins with the account has version 0 before its first entry.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from libs.proof.breach import Wrong, naming_rows
from libs.proof.checkpoint import Hash, checkpoint_hash
from libs.proof.export import CheckpointRow, EntryRow, LineReader, LineWriter
from libs.proof.forms import (
    Int64,
    Transfer,
    account_origin,
    entry_hash,
    record_hash,
    transfer_hash,
)
from libs.proof.merkle import root_from
from libs.proof.seals import check_signed, keyring

FORMAT = "stockbroker-statement/1"


class HeadRow(msgspec.Struct, frozen=True, kw_only=True, tag_field="row", tag="statement"):
    """The first row. Times are microseconds since 1970-01-01 UTC."""

    format: str = FORMAT
    account: str
    asset: str
    opening_version: Int64  # before the first entry listed; 0: the account was not there
    opening_balance: Int64
    opening_hash: Hash
    since: Int64 | None  # what was recorded at or after; None: from the first entry on
    until: Int64 | None  # what was recorded before; None: to the latest checkpoint
    public_key: Hash  # that signed; it proves nothing unless it is known from elsewhere


class ProvenRow(Transfer, frozen=True, kw_only=True, tag_field="row", tag="transfer"):
    """A transfer that changed the account, and the proof that it is in the journal."""

    entries: tuple[EntryRow, ...]  # the account's own, by version
    leaves: tuple[Int64 | Hash, ...]  # all of its entries: an own one's version, another's hash
    hash: str
    checkpoint_seq: Int64
    leaf_index: Int64  # among the transfers of the checkpoint, from 0
    leaf_count: Int64
    path: tuple[Hash, ...]  # lowest first


class StatementEndRow(msgspec.Struct, frozen=True, kw_only=True, tag_field="row", tag="end"):
    """The last row: a file without it was cut off."""

    transfers: Int64
    entries: Int64
    checkpoints: Int64
    sha256: str


StatementRow = HeadRow | CheckpointRow | ProvenRow | StatementEndRow


class StatementReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement that was found right says."""

    account: str
    asset: str
    since: int | None
    until: int | None
    transfers: int
    entries: int
    checkpoints: int
    opening_version: int
    opening_balance: int
    closing_version: int
    closing_balance: int
    closing_hash: str  # the next statement goes on from here


class StatementWriter:
    """Writes a statement from its head to its end."""

    def __init__(self, file: BinaryIO, head: HeadRow) -> None:
        self._lines = LineWriter(file)
        self._lines.write(head)
        self._transfers = self._entries = self._checkpoints = 0

    def write(self, row: CheckpointRow | ProvenRow) -> None:
        """Append the next."""
        self._lines.write(row)
        if isinstance(row, ProvenRow):
            self._transfers += 1
            self._entries += len(row.entries)
        else:
            self._checkpoints += 1

    def end(self) -> StatementEndRow:
        """Write the last row: everything is there."""
        end = StatementEndRow(
            transfers=self._transfers,
            entries=self._entries,
            checkpoints=self._checkpoints,
            sha256=self._lines.digest(),
        )
        self._lines.write(end)
        return end


class _Statement:
    """What the rows so far come to."""

    def __init__(self, head: HeadRow, keys: Iterable[bytes]) -> None:
        self._keys = keyring(keys)
        _check_head(head, self._keys)
        self.head = head
        self.transfers = self.entries = self.checkpoints = 0
        self.version, self.balance = head.opening_version, head.opening_balance
        self.hash = head.opening_hash
        self._checkpoint: CheckpointRow | None = None

    def take(self, row: StatementRow) -> None:
        """The next row. Raises Wrong."""
        if isinstance(row, ProvenRow):
            self._take_transfer(row)
        elif isinstance(row, CheckpointRow):
            self._take_checkpoint(row)
        else:
            raise Wrong("row", expected="a transfer or a checkpoint", found=row)

    def finish(self, end: StatementEndRow, digest: str) -> None:
        """There are no more rows. Raises Wrong."""
        for name, expected in (
            ("transfers", self.transfers),
            ("entries", self.entries),
            ("checkpoints", self.checkpoints),
            ("sha256", digest),
        ):
            if getattr(end, name) != expected:
                raise Wrong(f"{name} of the file", expected=expected, found=getattr(end, name))

    def _take_checkpoint(self, row: CheckpointRow) -> None:
        check_signed(row, self._keys)
        before = self._checkpoint
        if before is not None:
            if row.seq <= before.seq:
                raise Wrong("seq", expected=f"more than {before.seq}", found=row.seq)
            expected = checkpoint_hash(before)
            if row.seq == before.seq + 1 and row.previous_hash != expected:
                raise Wrong("previous_hash", expected=expected, found=row.previous_hash)
        self._checkpoint = row
        self.checkpoints += 1

    def _take_transfer(self, row: ProvenRow) -> None:
        _check_period(row, self.head)
        if row.reason or not row.entries:
            raise Wrong("entries", expected="at least 1, of a transfer that was done", found=0)
        record = record_hash(row)
        hashes = self._hashes(row, record)
        hash_ = transfer_hash(record, hashes)
        if row.hash != hash_.hex():
            raise Wrong("hash of the transfer", expected=hash_.hex(), found=row.hash)
        _check_sealed(row, hash_, self._checkpoint)
        self.transfers += 1

    def _hashes(self, row: ProvenRow, record: bytes) -> list[bytes]:
        """Of all entries of the transfer, its own recomputed."""
        hashes = []
        own = iter(row.entries)
        for leaf in row.leaves:
            if isinstance(leaf, str):
                hashes.append(bytes.fromhex(leaf))
                continue
            entry = next(own, None)
            if entry is None or entry.version != leaf:
                found = "none" if entry is None else entry.version
                raise Wrong("version of its next own entry", expected=leaf, found=found)
            hashes.append(self._enter(entry, record))
        for entry in own:
            raise Wrong("place among all entries", expected="one", found="none", entry=entry)
        return hashes

    def _enter(self, entry: EntryRow, record: bytes) -> bytes:
        for name, expected in (
            ("account", self.head.account),
            ("asset", self.head.asset),
            ("version", self.version + 1),
            ("balance_after", self.balance + entry.amount),
            ("previous_hash", self.hash),
        ):
            if getattr(entry, name) != expected:
                raise Wrong(name, expected=expected, found=getattr(entry, name), entry=entry)
        hash_ = entry_hash(bytes.fromhex(self.hash), entry, record=record)
        if entry.hash != hash_.hex():
            raise Wrong(
                "hash over the entry and its transfer",
                expected=hash_.hex(),
                found=entry.hash,
                entry=entry,
            )
        self.version, self.balance, self.hash = entry.version, entry.balance_after, entry.hash
        self.entries += 1
        return hash_


def check_statement(file: Path, *, keys: Iterable[bytes]) -> StatementReport:
    """What the statement in `file` says. Raises Broken for its first broken row, OSError.

    `keys`: the public keys, known from elsewhere, that may have signed.
    """
    with file.open("rb") as source:
        reader: LineReader[StatementRow] = LineReader(source, StatementRow)
        with naming_rows(reader):
            statement = _read(reader, keys)
    head = statement.head
    return StatementReport(
        account=head.account,
        asset=head.asset,
        since=head.since,
        until=head.until,
        transfers=statement.transfers,
        entries=statement.entries,
        checkpoints=statement.checkpoints,
        opening_version=head.opening_version,
        opening_balance=head.opening_balance,
        closing_version=statement.version,
        closing_balance=statement.balance,
        closing_hash=statement.hash,
    )


def _read(reader: LineReader[Any], keys: Iterable[bytes]) -> _Statement:
    rows = iter(reader)
    head = next(rows, None)
    if not isinstance(head, HeadRow) or head.format != FORMAT:
        raise Wrong("first row", expected=f"the head of a {FORMAT}", found=head)
    statement = _Statement(head, keys)
    for row in rows:
        if isinstance(row, StatementEndRow):
            statement.finish(row, reader.digest_before())
            break
        statement.take(row)
    else:
        raise Wrong("last row", expected="the row that ends it", found="cut off before")
    for row in rows:
        raise Wrong("rows after the end", expected="none", found=row)
    return statement


def _check_head(head: HeadRow, keys: Mapping[str, bytes]) -> None:
    """An account that was not there yet begins with nothing, at its origin."""
    known = [key.hex() for key in keys.values()]
    if head.public_key not in known:
        raise Wrong("public_key", expected=" or ".join(known), found=head.public_key)
    if head.since is None and head.opening_version:
        raise Wrong("opening_version", expected=0, found=head.opening_version)
    if head.opening_version == 0:
        if head.opening_balance:
            raise Wrong("opening_balance", expected=0, found=head.opening_balance)
        floors = True, False
        origins = [account_origin(head.account, head.asset, has_floor=f).hex() for f in floors]
        if head.opening_hash not in origins:
            raise Wrong("opening_hash", expected=" or ".join(origins), found=head.opening_hash)


def _check_period(row: ProvenRow, head: HeadRow) -> None:
    if head.since is not None and row.recorded_at < head.since:
        raise Wrong("recorded_at", expected=f"at least {head.since}", found=row.recorded_at)
    if head.until is not None and row.recorded_at >= head.until:
        raise Wrong("recorded_at", expected=f"less than {head.until}", found=row.recorded_at)


def _check_sealed(row: ProvenRow, hash_: bytes, checkpoint: CheckpointRow | None) -> None:
    """The transfer is among those that the checkpoint before it covers."""
    seq = checkpoint.seq if checkpoint else None
    if checkpoint is None or row.checkpoint_seq != seq:
        raise Wrong("checkpoint_seq", expected=seq, found=row.checkpoint_seq)
    index = row.seq - (checkpoint.last_transfer_seq - row.leaf_count + 1)
    if row.leaf_index != index:
        raise Wrong("leaf_index", expected=index, found=row.leaf_index)
    path = [bytes.fromhex(step) for step in row.path]
    root = root_from(hash_, path, index=index, leaf_count=row.leaf_count)
    if root is None or root.hex() != checkpoint.merkle_root:
        found = "a path of another length" if root is None else root.hex()
        raise Wrong("root of its path", expected=checkpoint.merkle_root, found=found)
