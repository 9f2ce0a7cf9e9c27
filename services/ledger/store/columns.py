"""Rows of the books as the columns that the journal's statements take, and back.

A column is sent as the literal of an array, `{1,2,3}`: a batch has thousands of values, and this is
several times cheaper than to adapt each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from services.ledger.domain.books import (
    NOWHERE,
    Account,
    AccountKey,
    AccountState,
    Entry,
    Hold,
    Kind,
    Transfer,
    Writes,
)
from services.ledger.domain.chain import Batch, Chained
from services.ledger.domain.operations import Operation, Restrain

Columns = dict[str, Any]


def account_from(row: Sequence[Any]) -> Account:
    """From id, name, asset, has_floor, posted, held, cost_micros, version, hash."""
    return Account(
        id=row[0],
        key=AccountKey(row[1], row[2]),
        has_floor=row[3],
        posted=row[4],
        held=row[5],
        cost_micros=row[6],
        version=row[7],
        hash=row[8],
    )


def hold_from(row: Sequence[Any], accounts: Mapping[int, Account]) -> Hold:
    """From id, account_id, remaining, is_open; `accounts` by id."""
    account = None if row[1] is None else accounts[row[1]]
    return Hold(
        id=row[0],
        account=NOWHERE if account is None else account.key,
        account_id=0 if account is None else account.id,
        remaining=row[2],
        is_open=row[3],
    )


def asked_to(operations: Sequence[Operation]) -> Columns:
    """What the operations name: each account once."""
    keys = dict.fromkeys(key for operation in operations for key in operation.accounts())
    restrained = {o.name for o in operations if isinstance(o, Restrain)}
    return {
        "ids": _words(o.id for o in operations),
        "hold_ids": _words(o.hold_id for o in operations if o.hold_id is not None),
        "names": _texts(key.name for key in keys),
        "assets": _texts(key.asset for key in keys),
        "all_names": _texts({key.name for key in keys} | restrained),
        "whole_names": _texts(restrained),
        "reverses": _words(o.reverses for o in operations if o.reverses is not None),
    }


def moments_to(moments: Iterable[tuple[Account, int]]) -> Columns:
    """Accounts, each with the transfer after which it is wanted."""
    pairs = list(moments)
    return {
        "account_ids": _numbers(account.id for account, _ in pairs),
        "versions": _numbers(account.version for account, _ in pairs),
        "seqs": _numbers(seq for _, seq in pairs),
    }


def head_to(writes: Writes, batch: Batch, epoch: int) -> Columns:
    return {
        "transfer_seq": writes.after.transfer_seq,
        "account_id": writes.after.account_id,
        "recorded_at": writes.after.recorded_at,
        "transfer_seq_before": writes.before.transfer_seq,
        "account_id_before": writes.before.account_id,
        "batch_seq": batch.seq,
        "first_seq": batch.first_seq,
        "last_seq": batch.last_seq,
        "batch_hash": batch.hash,
        "epoch": epoch,
    }


def transfers_to(transfers: Sequence[Transfer], hashes: Sequence[bytes | None]) -> Columns:
    """All transfers of a batch are recorded at the same time."""
    recorded_at = transfers[0].recorded_at
    return {
        "recorded_at": recorded_at,
        "seqs": _numbers(t.seq for t in transfers),
        "ids": _words(t.result.id for t in transfers),
        "kinds": _words(t.kind.value for t in transfers),
        "fingerprints": _bytes(t.fingerprint for t in transfers),
        "reasons": _numbers(t.result.reason for t in transfers),
        "amounts": _numbers(t.result.amount for t in transfers),
        # A hold bears the id of the transfer that placed it; it is not stored twice.
        "hold_ids": _words(None if t.kind is Kind.HOLD else t.hold_id for t in transfers),
        "reverses": _words(t.reverses for t in transfers),
        "references": _texts(t.reference for t in transfers),
        "actors": _texts(t.actor or None for t in transfers),
        "terms": _texts(t.terms for t in transfers),
        "hashes": _bytes(hashes),
        "effective_ats": _texts(
            None if t.effective_at == recorded_at else t.effective_at.isoformat() for t in transfers
        ),
    }


def entries_to(entries: Sequence[Entry], hashes: Sequence[bytes]) -> Columns:
    return {
        "account_ids": _numbers(e.account_id for e in entries),
        "versions": _numbers(e.version for e in entries),
        "transfer_seqs": _numbers(e.transfer_seq for e in entries),
        "amounts": _numbers(e.amount for e in entries),
        "balances": _numbers(e.balance_after for e in entries),
        "helds": _numbers(e.held_after for e in entries),
        "costs": _numbers(e.cost_after for e in entries),
        "hashes": _bytes(hashes),
    }


def accounts_to(accounts: Sequence[Account], chained: Chained) -> Columns:
    return {
        "ids": _numbers(a.id for a in accounts),
        "names": _texts(a.key.name for a in accounts),
        "assets": _texts(a.key.asset for a in accounts),
        "has_floors": _truths(a.has_floor for a in accounts),
        "posteds": _numbers(a.posted for a in accounts),
        "helds": _numbers(a.held for a in accounts),
        "costs": _numbers(a.cost_micros for a in accounts),
        "versions": _numbers(a.version for a in accounts),
        "hashes": _bytes(chained.accounts[a.id] for a in accounts),
    }


def restraints_to(restraints: Mapping[str, AccountState]) -> Columns:
    return {
        "names": _texts(restraints),
        "states": _words(state.value for state in restraints.values()),
    }


def holds_to(holds: Sequence[Hold]) -> Columns:
    return {
        "ids": _words(h.id for h in holds),
        "account_ids": _numbers(h.account_id for h in holds),
        "remainings": _numbers(h.remaining for h in holds),
        "are_open": _truths(h.is_open for h in holds),
    }


def _numbers(values: Iterable[int]) -> str:
    return f"{{{','.join(map(str, values))}}}"


def _truths(values: Iterable[bool]) -> str:
    return f"{{{','.join('t' if value else 'f' for value in values)}}}"


def _bytes(values: Iterable[bytes | None]) -> str:
    return _texts(None if value is None else rf"\x{value.hex()}" for value in values)


def _words(values: Iterable[str | None]) -> str:
    """Of letters, digits, hyphens and underscores alone, and never the word NULL."""
    return f"{{{','.join(value or 'NULL' for value in values)}}}"


def _texts(values: Iterable[str | None]) -> str:
    """Of any characters but NUL, which no text of PostgreSQL may hold."""
    return f"{{{','.join(map(_quoted, values))}}}"


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", r"\\").replace('"', r"\"") + '"'
