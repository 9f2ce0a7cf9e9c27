"""The hashes of what a batch writes: a chain per account, a hash per transfer, a chain of batches.

`libs.proof.forms` has the spelling. The entries of a transfer count in the order of account id and
version, which is the order that they are read in.
"""

from collections.abc import Sequence

import msgspec

from libs.proof import forms
from services.ledger.domain.books import Account, Head, State, Transfer, Writes


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
    first = writes.transfers[0]
    recorded_at = forms.micros_of(first.recorded_at)  # that of all of them
    records = [_record_hash(t, recorded_at) for t in writes.transfers]  # their numbers have no gap
    names, heads = _beginnings(state, writes)
    entries: list[bytes] = []
    mine: list[list[tuple[int, int, bytes]]] = [[] for _ in records]
    for entry in writes.entries:
        id_, version, place = entry.account_id, entry.version, entry.transfer_seq - first.seq
        hash_ = forms.entry_hash_of(
            (version, entry.amount, entry.balance_after, entry.held_after, entry.cost_after),
            names[id_],
            records[place] + heads[id_],
        )
        heads[id_] = hash_
        entries.append(hash_)
        mine[place].append((id_, version, hash_))
    transfers = [
        forms.transfer_hash(record, [row[2] for row in sorted(rows)])
        for record, rows in zip(records, mine, strict=True)
    ]
    return Chained(
        batch=_batch(writes.before, transfers),
        transfers=transfers,
        alone=[None if rows else hash_ for rows, hash_ in zip(mine, transfers, strict=True)],
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


def _beginnings(state: State, writes: Writes) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """The names, and what their chains go on from, of all accounts that are written; by id."""
    names: dict[int, bytes] = {}
    heads: dict[int, bytes] = {}
    for account in writes.changed:
        names[account.id] = forms.spelled_names(*account.key)
        heads[account.id] = state.hashes.get(account.id) or state.accounts[account.key].hash
    for account in writes.opened:
        names[account.id] = forms.spelled_names(*account.key)
        heads[account.id] = origin_of(account)
    return names, heads


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
