"""The hashes of what a batch writes: a chain per account, a hash per transfer, a chain of batches.

`libs.proof.forms` has the spelling. The entries of a transfer count in the order of account id and
version, which is the order that they are read in.
"""

from collections.abc import Sequence

import msgspec

from libs.proof import forms
from services.ledger.domain.books import Account, AccountKey, Head, State, Transfer, Writes


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
    alone: list[bytes | None]  # the same of those without an entry whose hash would cover them
    entries: list[bytes]  # of each entry
    accounts: dict[int, bytes]  # of the latest entry of each account that has one, by id


def chained(state: State, writes: Writes) -> Chained:
    """The hashes of `writes`, which was decided on `state` and has at least one transfer."""
    recorded_at = forms.micros_of(writes.transfers[0].recorded_at)  # that of all of them
    records = {t.seq: _record_hash(t, recorded_at) for t in writes.transfers}
    keys, heads = _beginnings(state, writes)
    entries: list[bytes] = []
    mine: dict[int, list[tuple[int, int, bytes]]] = {seq: [] for seq in records}
    for entry in writes.entries:
        id_, seq = entry.account_id, entry.transfer_seq
        figures = (
            entry.version,
            entry.amount,
            entry.balance_after,
            entry.held_after,
            entry.cost_after,
        )
        hash_ = forms.entry_hash_of(figures, keys[id_], records[seq] + heads[id_])
        heads[id_] = hash_
        entries.append(hash_)
        mine[seq].append((id_, entry.version, hash_))
    transfers = [
        forms.transfer_hash(record, [row[2] for row in sorted(rows)])
        for record, rows in zip(records.values(), mine.values(), strict=True)
    ]
    return Chained(
        batch=_batch(writes.before, transfers),
        transfers=transfers,
        alone=[
            None if rows else hash_ for rows, hash_ in zip(mine.values(), transfers, strict=True)
        ],
        entries=entries,
        accounts=heads,
    )


def _record_hash(transfer: Transfer, recorded_at: int) -> bytes:
    """`recorded_at`: in micros."""
    result, effective_at = transfer.result, recorded_at
    if transfer.effective_at is not transfer.recorded_at:
        effective_at = forms.micros_of(transfer.effective_at)
    return forms.record_hash_of(
        (transfer.seq, result.reason, result.amount, effective_at, recorded_at),
        (
            result.id,
            transfer.kind,
            transfer.fingerprint.hex(),
            transfer.hold_id,
            transfer.reverses,
            transfer.reference,
            transfer.actor,
            transfer.terms,
        ),
    )


def _beginnings(state: State, writes: Writes) -> tuple[dict[int, AccountKey], dict[int, bytes]]:
    """The names, and what their chains go on from, of all accounts that are written; by id."""
    keys: dict[int, AccountKey] = {}
    heads: dict[int, bytes] = {}
    for account in writes.changed:
        keys[account.id] = account.key
        heads[account.id] = state.hashes.get(account.id) or state.accounts[account.key].hash
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
