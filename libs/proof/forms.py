"""How rows of the journal are hashed.

Every row has one spelling, and its hash is the SHA-256 of it:

    tag, NUL, integers, lengths, texts, hashes

Integers are 8 bytes, big-endian, signed; a length is 4 bytes, big-endian, signed, -1 for a text
that is absent; texts are UTF-8; a hash is its 32 bytes. How many integers and texts a row has
follows from its tag, and the last integer of a row with any number of hashes counts them, so no two
rows share a spelling. Ids are spelled as the text they are everywhere else, fingerprints as hex.
Times are microseconds since 1970-01-01 UTC.

    account     has_floor (0 or 1); name, asset
    record      seq, reason, amount, effective_at, recorded_at;
                id, kind, fingerprint, hold_id, reverses, reference, actor, terms
    entry       version, amount, balance_after, held_after, cost_after; account, asset;
                hash of its transfer's record, hash of the account's entry before (of the account
                itself, where version is 1)
    transfer    count of entries; hash of its record, hashes of its entries in order
    batch       seq, first_seq, last_seq, count of transfers; hash of the batch before (32 zero
                bytes for the first), hashes of its transfers in order

So each account is a chain of its own that covers all there is to say about its entries, and all
transfers, refused ones included, are another. Stored are the hashes of entries, of batches, and of
transfers that have no entries: whatever part of a row is changed, a hash stored with it shows it;
and if that is changed as well, the next one of its chain does.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import Struct
from typing import Annotated

import msgspec

HASH_BYTES = 32
NO_BATCH = bytes(HASH_BYTES)  # stands before the first batch

Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ABSENT = -1
_account = Struct(">8s q 2i").pack
_record = Struct(">7s 5q 8i").pack
_entry = Struct(">6s 5q").pack
_lengths = Struct(">2i").pack
_transfer = Struct(">9s q").pack
_batch = Struct(">6s 4q").pack


class Entry(msgspec.Struct, frozen=True):
    """One change of one account: what its hash covers, with its transfer's record."""

    account: str
    asset: str
    version: Int64
    amount: Int64
    balance_after: Int64
    held_after: Int64
    cost_after: Int64  # 0: none


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for and what it came to: the record that its hash covers."""

    seq: Int64
    id: str
    kind: str
    reason: Int64  # 0: done; else the number of the Reason
    amount: Int64  # held by a hold, freed by a post or release
    fingerprint: str  # of the terms, in lower-case hex
    hold_id: str | None = None  # the hold placed (then its own id), drawn on or released
    reverses: str | None = None  # id of the transfer it undoes
    reference: str = ""
    actor: str = ""  # empty: the house itself
    terms: str | None = None  # what was asked, where the entries do not tell
    effective_at: Int64
    recorded_at: Int64


def account_origin(name: str, asset: str, *, has_floor: bool) -> bytes:
    """What stands before the first entry of an account."""
    name_, asset_ = name.encode(), asset.encode()
    head = _account(b"account\0", has_floor, len(name_), len(asset_))
    return sha256(head + name_ + asset_).digest()


def record_hash(transfer: Transfer) -> bytes:
    """Of all that a transfer says besides its entries."""
    numbers = (
        transfer.seq,
        transfer.reason,
        transfer.amount,
        transfer.effective_at,
        transfer.recorded_at,
    )
    texts = (
        transfer.id,
        transfer.kind,
        transfer.fingerprint,
        transfer.hold_id,
        transfer.reverses,
        transfer.reference,
        transfer.actor,
        transfer.terms,
    )
    return record_hash_of(numbers, texts)


def record_hash_of(numbers: Sequence[int], texts: Sequence[str | None]) -> bytes:
    """The same of a transfer's integers and texts, in the order of the spelling above."""
    joined = "".join(filter(None, texts))
    spelled = joined.encode()
    if len(spelled) == len(joined):  # so each character is one byte
        lengths = [_ABSENT if text is None else len(text) for text in texts]
    else:
        lengths = [_ABSENT if text is None else len(text.encode()) for text in texts]
    return sha256(_record(b"record\0", *numbers, *lengths) + spelled).digest()


def entry_hash(previous: bytes, entry: Entry, *, record: bytes) -> bytes:
    """`previous`: hash of the account's entry before; of version 1 the account's origin."""
    figures = (
        entry.version,
        entry.amount,
        entry.balance_after,
        entry.held_after,
        entry.cost_after,
    )
    return entry_hash_of(figures, spelled_names(entry.account, entry.asset), record + previous)


def spelled_names(account: str, asset: str) -> bytes:
    """The lengths and texts of an entry: the same in all entries of an account."""
    account_, asset_ = account.encode(), asset.encode()
    return _lengths(len(account_), len(asset_)) + account_ + asset_


def entry_hash_of(figures: Sequence[int], names: bytes, links: bytes) -> bytes:
    """The same of an entry's integers, of its spelled names, and of its two hashes in a row."""
    return sha256(_entry(b"entry\0", *figures) + names + links).digest()


def transfer_hash(record: bytes, entry_hashes: Sequence[bytes] = ()) -> bytes:
    """`entry_hashes`: of its entries, in order; none where it is refused."""
    head = _transfer(b"transfer\0", len(entry_hashes))
    return sha256(b"".join((head, record, *entry_hashes))).digest()


def batch_hash(
    previous: bytes, *, seq: int, first_seq: int, last_seq: int, transfer_hashes: Sequence[bytes]
) -> bytes:
    """`previous`: hash of the batch before, NO_BATCH if there is none."""
    head = _batch(b"batch\0", seq, first_seq, last_seq, len(transfer_hashes))
    return sha256(b"".join((head, previous, *transfer_hashes))).digest()


def micros_of(at: datetime) -> int:
    """An aware time as rows spell it; exact."""
    return (at - _EPOCH) // _MICROSECOND


def time_of(micros: int) -> datetime:
    """The time that rows spell so. Raises OverflowError beyond the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)
