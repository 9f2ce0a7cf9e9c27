"""Rows of the books as the columns that the journal's statements take, and back."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from libs.months import Month
from services.ledger.domain.books import (
    NOWHERE,
    Account,
    AccountKey,
    AccountState,
    Hold,
    Kind,
    Transfer,
    Writes,
)
from services.ledger.domain.chain import Batch, Chained
from services.ledger.domain.memory import Known
from services.ledger.domain.operations import AdjustHold, Operation, Post, Restrain
from services.ledger.store.arrays import bigints, byteas, integers, texts, uuids

Columns = dict[str, Any]


def account_from(row: Sequence[Any]) -> Account:
    """From id, name, asset, has_floor, posted, held, cost_micros, version, hash."""
    id_, name, asset, *rest = row
    return Account(id_, AccountKey(name, asset), *rest)


def hold_from(row: Sequence[Any], accounts: Mapping[int, Account]) -> Hold:
    """From id, account_id, remaining, is_open; `accounts` by id.

    An account that is not among them is none that an operation of the batch names.
    """
    account = accounts.get(row[1])
    return Hold(
        id=row[0],
        account=NOWHERE if account is None else account.key,
        account_id=row[1] or 0,
        remaining=row[2],
        is_open=row[3],
    )


class Asked(NamedTuple):
    """What operations name and is not known: of accounts, holds and names each once."""

    accounts: Sequence[AccountKey]
    hold_ids: Sequence[str]
    lone_hold_ids: Sequence[str]  # of holds whose account is not named
    whole_names: Sequence[str]  # of all accounts that there are of them

    @property
    def names_accounts(self) -> bool:
        """Whether there are accounts to be read."""
        return bool(self.accounts or self.lone_hold_ids or self.whole_names)


def asked_by(operations: Sequence[Operation], known: Known) -> Asked:
    """What is to be read for them."""
    named = [o.hold_id for o in operations]
    return Asked(
        accounts=known.unknown,
        hold_ids=[id_ for id_ in named if id_ is not None and id_ not in known.holds],
        lone_hold_ids=[o.hold_id for o in operations if o.hold_id and _draws_on_nobody(o)],
        whole_names=sorted({o.name for o in operations if isinstance(o, Restrain)}),
    )


def asked_to(operations: Sequence[Operation], asked: Asked) -> Columns:
    return {
        "ids": uuids([o.id for o in operations]),
        "hold_ids": uuids(asked.hold_ids),
        "lone_hold_ids": uuids(asked.lone_hold_ids),
        "names": texts([key.name for key in asked.accounts]),
        "assets": texts([key.asset for key in asked.accounts]),
        "whole_names": texts(asked.whole_names),
        "reverses": uuids([o.reverses for o in operations if o.reverses is not None]),
    }


def _draws_on_nobody(operation: Operation) -> bool:
    """Whether it has a hold whose account it does not name."""
    if isinstance(operation, Post):
        return True not in [leg.from_hold for leg in operation.legs]
    return isinstance(operation, AdjustHold)


def moments_to(moments: Iterable[tuple[Account, int]]) -> Columns:
    """Accounts, each with the transfer after which it is wanted."""
    pairs = list(moments)
    return {
        "account_ids": integers([account.id for account, _ in pairs]),
        "versions": bigints([account.version for account, _ in pairs]),
        "seqs": bigints([seq for _, seq in pairs]),
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
    results = [t.result for t in transfers]
    return {
        "seqs": bigints([t.seq for t in transfers]),
        "ids": uuids([r.id for r in results]),
        "kinds": texts([t.kind for t in transfers]),
        "fingerprints": byteas([t.fingerprint for t in transfers]),
        "reasons": integers([r.reason for r in results]),
        "amounts": bigints([r.amount for r in results]),
        # A hold bears the id of the transfer that placed it; it is not stored twice.
        "hold_ids": uuids([None if t.kind is Kind.HOLD else t.hold_id for t in transfers]),
        "reverses": uuids([t.reverses for t in transfers]),
        "references": texts([t.reference for t in transfers]),
        "actors": texts([t.actor or None for t in transfers]),
        "terms": texts([t.terms for t in transfers]),
        "hashes": byteas(hashes),
        "effective_ats": texts(
            [
                None if t.effective_at == recorded_at else t.effective_at.isoformat()
                for t in transfers
            ]
        ),
    }


def entries_to(writes: Writes, hashes: Sequence[bytes]) -> Columns:
    """All entries of a batch are recorded in one month, for their transfers are at one time."""
    entries = writes.entries
    return {
        "month": Month.of(writes.transfers[0].recorded_at).number,
        "account_ids": integers([e.account_id for e in entries]),
        "versions": bigints([e.version for e in entries]),
        "transfer_seqs": bigints([e.transfer_seq for e in entries]),
        "amounts": bigints([e.amount for e in entries]),
        "balances": bigints([e.balance_after for e in entries]),
        "helds": bigints([e.held_after for e in entries]),
        "costs": bigints([e.cost_after for e in entries]),
        "hashes": byteas(hashes),
    }


def opened_to(accounts: Sequence[Account], chained: Chained) -> Columns:
    return accounts_to(accounts, chained) | {
        "names": texts([a.key.name for a in accounts]),
        "assets": texts([a.key.asset for a in accounts]),
        "has_floors": _truths(a.has_floor for a in accounts),
    }


def accounts_to(accounts: Sequence[Account], chained: Chained) -> Columns:
    return {
        "ids": integers([a.id for a in accounts]),
        "posteds": bigints([a.posted for a in accounts]),
        "helds": bigints([a.held for a in accounts]),
        "costs": bigints([a.cost_micros for a in accounts]),
        "versions": bigints([a.version for a in accounts]),
        "hashes": byteas([chained.accounts[a.id] for a in accounts]),
    }


def restraints_to(restraints: Mapping[str, AccountState]) -> Columns:
    return {
        "names": texts(list(restraints)),
        "states": texts(list(restraints.values())),
    }


def holds_to(holds: Sequence[Hold]) -> Columns:
    return {
        "ids": uuids([h.id for h in holds]),
        "account_ids": integers([h.account_id for h in holds]),
        "remainings": bigints([h.remaining for h in holds]),
        "are_open": _truths(h.is_open for h in holds),
    }


def _truths(values: Iterable[bool]) -> str:
    return f"{{{','.join('t' if value else 'f' for value in values)}}}"
