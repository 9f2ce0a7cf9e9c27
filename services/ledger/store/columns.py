"""Rows of the books as the columns that the journal's statements take, and back."""

from collections.abc import Mapping, Sequence
from typing import Any

from services.ledger.domain.books import (
    NOWHERE,
    Account,
    AccountKey,
    AccountState,
    Balance,
    Entry,
    Hold,
    Kind,
    Transfer,
    Writes,
)

Columns = dict[str, Any]


def account_from(row: Sequence[Any]) -> Account:
    """From id, name, asset, has_floor, posted, held, cost_micros, version, state."""
    return Account(
        id=row[0],
        key=AccountKey(row[1], row[2]),
        has_floor=row[3],
        posted=row[4],
        held=row[5],
        cost_micros=row[6],
        version=row[7],
        state=AccountState(row[8]),
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


def head_to(writes: Writes) -> Columns:
    return {
        "transfer_seq": writes.after.transfer_seq,
        "account_id": writes.after.account_id,
        "recorded_at": writes.after.recorded_at,
        "transfer_seq_before": writes.before.transfer_seq,
        "account_id_before": writes.before.account_id,
    }


def transfers_to(transfers: Sequence[Transfer]) -> Columns:
    """All transfers of a batch are recorded at the same time."""
    return {
        "recorded_at": transfers[0].recorded_at,
        "seqs": [t.seq for t in transfers],
        "ids": [t.result.id for t in transfers],
        "kinds": [t.kind.value for t in transfers],
        "fingerprints": [t.fingerprint for t in transfers],
        "reasons": [t.result.reason for t in transfers],
        "amounts": [t.result.amount for t in transfers],
        "balances": [_versions(t.result.balances) for t in transfers],
        # A hold bears the id of the transfer that placed it; it is not stored twice.
        "hold_ids": [None if t.kind is Kind.HOLD else t.hold_id for t in transfers],
        "references": [t.reference for t in transfers],
        "actors": [t.actor or None for t in transfers],
        "terms": [t.terms for t in transfers],
        "effective_ats": [t.effective_at for t in transfers],
    }


def entries_to(entries: Sequence[Entry]) -> Columns:
    return {
        "account_ids": [e.account_id for e in entries],
        "versions": [e.version for e in entries],
        "transfer_seqs": [e.transfer_seq for e in entries],
        "amounts": [e.amount for e in entries],
        "balances": [e.balance_after for e in entries],
        "helds": [e.held_after for e in entries],
        "costs": [e.cost_after for e in entries],
    }


def accounts_to(accounts: Sequence[Account]) -> Columns:
    return {
        "ids": [a.id for a in accounts],
        "names": [a.key.name for a in accounts],
        "assets": [a.key.asset for a in accounts],
        "has_floors": [a.has_floor for a in accounts],
        "posteds": [a.posted for a in accounts],
        "helds": [a.held for a in accounts],
        "costs": [a.cost_micros for a in accounts],
        "versions": [a.version for a in accounts],
    }


def holds_to(holds: Sequence[Hold]) -> Columns:
    return {
        "ids": [h.id for h in holds],
        "account_ids": [h.account_id for h in holds],
        "remainings": [h.remaining for h in holds],
        "are_open": [h.is_open for h in holds],
    }


def _versions(balances: Sequence[Balance]) -> str:
    """An array literal of account id, version, account id, version, ..."""
    return "{" + ",".join(f"{b.account_id},{b.version}" for b in balances) + "}"
