"""The hashes of what a batch writes: a chain per account, a hash per transfer, a chain of batches.

`libs.proof.forms` has the spelling. The entries of a transfer count in the order of account id and
version, which is the order that they are read in.
"""

from collections.abc import Sequence

import msgspec

from libs.proof import forms
from services.ledger.domain.books import Account, AccountKey, Entry, Head, State, Transfer, Writes


class Batch(msgspec.Struct, frozen=True):
    """The transfers of one transaction."""

    seq: int
    first_seq: int
    last_seq: int
    hash: bytes


class Chained(msgspec.Struct, frozen=True, kw_only=True):
    """The hashes of what a batch writes."""

    batch: Batch
    transfers: list[bytes]  # of each transfer
    alone: list[bytes | None]  # the same, of those that have no entry whose hash would cover them
    entries: list[bytes]  # of each entry
    accounts: dict[int, bytes]  # of the latest entry of each account that has one, by id


def chained(state: State, writes: Writes) -> Chained:
    """The hashes of `writes`, which was decided on `state` and has at least one transfer."""
    keys, heads = _beginnings(state, writes)
    records = {t.seq: forms.record_hash(spelled_transfer(t)) for t in writes.transfers}
    entries: list[bytes] = []
    mine: dict[int, list[tuple[int, int, bytes]]] = {}
    for entry in writes.entries:
        seq = entry.transfer_seq
        hash_ = forms.entry_hash(
            heads[entry.account_id],
            spelled_entry(entry, keys[entry.account_id]),
            record=records[seq],
        )
        heads[entry.account_id] = hash_
        entries.append(hash_)
        mine.setdefault(seq, []).append((entry.account_id, entry.version, hash_))
    transfers = [
        forms.transfer_hash(record, [row[2] for row in sorted(mine.get(seq, ()))])
        for seq, record in records.items()
    ]
    return Chained(
        batch=_batch(writes.before, transfers),
        transfers=transfers,
        alone=[
            None if seq in mine else hash_ for seq, hash_ in zip(records, transfers, strict=True)
        ],
        entries=entries,
        accounts=heads,
    )


def spelled_entry(entry: Entry, key: AccountKey) -> forms.Entry:
    """What the hash of an entry covers."""
    return forms.Entry(
        key.name,
        key.asset,
        entry.version,
        entry.amount,
        entry.balance_after,
        entry.held_after,
        entry.cost_after,
    )


def spelled_transfer(transfer: Transfer) -> forms.Transfer:
    """What the hash of a transfer covers."""
    result = transfer.result
    return forms.Transfer(
        seq=transfer.seq,
        id=result.id,
        kind=transfer.kind.value,
        reason=result.reason,
        amount=result.amount,
        fingerprint=transfer.fingerprint.hex(),
        hold_id=transfer.hold_id,
        reverses=transfer.reverses,
        reference=transfer.reference,
        actor=transfer.actor,
        terms=transfer.terms,
        effective_at=forms.micros_of(transfer.effective_at),
        recorded_at=forms.micros_of(transfer.recorded_at),
    )


def _beginnings(state: State, writes: Writes) -> tuple[dict[int, AccountKey], dict[int, bytes]]:
    """The names, and what their chains go on from, of all accounts that are written; by id."""
    keys: dict[int, AccountKey] = {}
    heads: dict[int, bytes] = {}
    for account in writes.changed:
        keys[account.id] = account.key
        heads[account.id] = state.accounts[account.key].hash
    for account in writes.opened:
        keys[account.id] = account.key
        heads[account.id] = origin_of(account)
    return keys, heads


def origin_of(account: Account) -> bytes:
    """What the chain of an account begins with."""
    return forms.account_origin(account.key.name, account.key.asset, has_floor=account.has_floor)


def _batch(before: Head, transfer_hashes: Sequence[bytes]) -> Batch:
    seq, first_seq = before.batch_seq + 1, before.transfer_seq + 1
    last_seq = before.transfer_seq + len(transfer_hashes)
    hash_ = forms.batch_hash(
        before.batch_hash,
        seq=seq,
        first_seq=first_seq,
        last_seq=last_seq,
        transfer_hashes=transfer_hashes,
    )
    return Batch(seq, first_seq, last_seq, hash_)
