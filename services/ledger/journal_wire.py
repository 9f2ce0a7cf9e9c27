"""Rows of the journal, transfers between any accounts, and balances, as the contract has them."""

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs.proof.checkpoint import Checkpoint
from libs.proof.forms import micros_of
from libs.reasons import Reason
from libs.stamps import moment_of
from services.ledger.auditor import RULES, Look
from services.ledger.domain import transfers
from services.ledger.domain.books import Account, AccountState, Balance, Result
from services.ledger.domain.forms import Malformed
from services.ledger.domain.operations import Leg, Post
from services.ledger.store.portfolio import Moment
from services.ledger.store.stored import ReversalRequest, StoredBatch, StoredEntry, StoredTransfer
from stockbroker.ledger.v1 import (
    invariant_pb2,
    journal_pb2,
    ledger_service_pb2,
    portfolio_service_pb2,
    posting_pb2,
    statement_pb2,
)

# The requests that may ask for another time.
TimeTravel = (
    portfolio_service_pb2.GetPortfolioRequest
    | portfolio_service_pb2.ListEntriesRequest
    | posting_pb2.GetBalanceRequest
)


def transfer_from(asked: posting_pb2.PostedTransfer, *, actor: str) -> Post:
    at = time_from(asked.effective_at, field="effective_at")
    return transfers.transfer(
        transfers.AskedTransfer(
            id=asked.transfer_id,
            legs=[
                transfers.AskedLeg(
                    debit_account=leg.debit_account,
                    credit_account=leg.credit_account,
                    asset=leg.asset,
                    amount=leg.amount,
                    from_hold=leg.from_hold,
                    cost_micros=leg.cost_micros,
                )
                for leg in asked.legs
            ],
            without_floor=[terms.account for terms in asked.accounts if terms.may_go_below_zero],
            hold_id=asked.hold_id,
            releases_rest=asked.releases_rest,
            reference=asked.reference,
            actor=actor,
            effective_at=at if asked.HasField("effective_at") else None,
        )
    )


def time_from(at: Timestamp, *, field: str) -> datetime:
    """Raises Malformed."""
    try:
        return moment_of(at)
    except (ValueError, OverflowError):
        raise Malformed(Reason.REASON_INVALID_REQUEST, field, f"{field} is not a time") from None


def moment_from(request: TimeTravel) -> Moment:
    """Raises Malformed."""
    return Moment(
        as_of=time_from(request.as_of, field="as_of") if request.HasField("as_of") else None,
        known_at=(
            time_from(request.known_at, field="known_at") if request.HasField("known_at") else None
        ),
    )


def period_from(
    request: statement_pb2.GetStatementRequest,
) -> tuple[datetime | None, datetime | None]:
    """From and until. Raises Malformed."""
    start, end = getattr(request, "from"), request.until
    return (
        time_from(start, field="from") if request.HasField("from") else None,
        time_from(end, field="until") if request.HasField("until") else None,
    )


def copy_period(
    request: statement_pb2.GetStatementRequest, head: statement_pb2.StatementHead
) -> None:
    """Say in the head what was asked for."""
    if request.HasField("from"):
        getattr(head, "from").CopyFrom(getattr(request, "from"))
    if request.HasField("until"):
        head.until.CopyFrom(request.until)


def result_to(result: Result) -> posting_pb2.TransferResult:
    return posting_pb2.TransferResult(
        transfer_id=result.id,
        reason=result.reason,
        amount=result.amount,
        balances=map(balance_to, result.balances),
    )


def malformed_to(item_id: str, fault: Malformed) -> posting_pb2.TransferResult:
    return posting_pb2.TransferResult(
        transfer_id=item_id, reason=fault.reason, reason_text=fault.text
    )


def balance_to(balance: Balance) -> posting_pb2.AccountBalance:
    return posting_pb2.AccountBalance(
        account=balance.account.name,
        asset=balance.account.asset,
        version=balance.version,
        posted=balance.posted,
        held=balance.held,
    )


def account_to(account: Account, state: AccountState) -> posting_pb2.GetBalanceResponse:
    return posting_pb2.GetBalanceResponse(
        balance=posting_pb2.AccountBalance(
            account=account.key.name,
            asset=account.key.asset,
            version=account.version,
            posted=account.posted,
            held=account.held,
        ),
        available=account.available,
        may_go_below_zero=not account.has_floor,
        state=state.value,
    )


def leg_to(leg: Leg) -> posting_pb2.TransferLeg:
    return posting_pb2.TransferLeg(
        debit_account=leg.debited.name,
        credit_account=leg.credited.name,
        asset=leg.debited.asset,
        amount=leg.amount,
        cost_micros=leg.cost_micros,
    )


def reversal_request_to(asked: ReversalRequest) -> ledger_service_pb2.ReversalRequest:
    return ledger_service_pb2.ReversalRequest(
        request_id=asked.request_id,
        transfer_id=asked.transfer_id,
        operator=asked.operator,
        reference=asked.reference,
        requested_at=stamp(asked.requested_at),
    )


def recorded_to(stored: StoredTransfer) -> posting_pb2.RecordedTransfer:
    """With the balances that its entries left."""
    latest = {stored_entry.account_id: stored_entry.entry for stored_entry in stored.entries}
    return posting_pb2.RecordedTransfer(
        transfer=transfer_to(stored),
        is_archived=stored.is_archived,
        balances=[
            posting_pb2.AccountBalance(
                account=entry.account,
                asset=entry.asset,
                version=entry.version,
                posted=entry.balance_after,
                held=entry.held_after,
            )
            for entry in latest.values()
        ],
    )


def records_of(stored: StoredTransfer) -> list[journal_pb2.JournalRecord]:
    """The transfer, then its entries."""
    record = stored.record
    return [
        journal_pb2.JournalRecord(transfer=transfer_to(stored)),
        *(
            journal_pb2.JournalRecord(entry=entry_to(entry, record.id, record.seq))
            for entry in stored.entries
        ),
    ]


def transfer_to(stored: StoredTransfer) -> journal_pb2.JournalTransfer:
    record = stored.record
    return journal_pb2.JournalTransfer(
        seq=record.seq,
        transfer_id=record.id,
        kind=record.kind,
        reason=Reason.ValueType(record.reason),
        amount=record.amount,
        fingerprint=bytes.fromhex(record.fingerprint),
        hold_id=record.hold_id or "",
        reverses=record.reverses or "",
        reference=record.reference,
        actor=record.actor,
        terms=record.terms,
        effective_at=stamp(record.effective_at),
        recorded_at=stamp(record.recorded_at),
        entry_count=len(stored.entries),
        hash=stored.hash,
    )


def entry_to(stored: StoredEntry, record_id: str, seq: int) -> journal_pb2.JournalEntry:
    entry = stored.entry
    direction = journal_pb2.DIRECTION_UNSPECIFIED
    if entry.amount:
        is_debit = entry.amount < 0
        direction = journal_pb2.DIRECTION_DEBIT if is_debit else journal_pb2.DIRECTION_CREDIT
    return journal_pb2.JournalEntry(
        entry_id=f"{stored.account_id}.{entry.version}",
        transfer_id=record_id,
        account=entry.account,
        asset=entry.asset,
        direction=direction,
        amount=abs(entry.amount),
        seq=seq,
        version=entry.version,
        balance_after=entry.balance_after,
        held_after=entry.held_after,
        cost_after=entry.cost_after,
        previous_hash=stored.previous_hash,
        hash=stored.hash,
        may_go_below_zero=not stored.has_floor,
    )


def batch_to(batch: StoredBatch) -> journal_pb2.JournalBatch:
    return journal_pb2.JournalBatch(
        seq=batch.seq, first_seq=batch.first_seq, last_seq=batch.last_seq, hash=batch.hash
    )


def checkpoint_to(checkpoint: Checkpoint) -> journal_pb2.JournalCheckpoint:
    return journal_pb2.JournalCheckpoint(
        seq=checkpoint.seq,
        last_transfer_seq=checkpoint.last_transfer_seq,
        last_batch_seq=checkpoint.last_batch_seq,
        last_batch_hash=bytes.fromhex(checkpoint.last_batch_hash),
        merkle_root=bytes.fromhex(checkpoint.merkle_root),
        previous_hash=bytes.fromhex(checkpoint.previous_hash),
        sealed_at=stamp(checkpoint.sealed_at),
        key_id=checkpoint.key_id,
        signature=bytes.fromhex(checkpoint.signature),
    )


def look_to(look: Look) -> invariant_pb2.GetInvariantsResponse:
    return invariant_pb2.GetInvariantsResponse(
        invariants=[
            invariant_pb2.Invariant(
                id=id_,
                rule=RULES[id_],
                holds=not finding.breaches,
                breaches=finding.breaches,
                broken_since=_stamp_of(finding.broken_since),
            )
            for id_, finding in look.findings.items()
        ],
        transfer_seq=look.transfer_seq,
        full_transfer_seq=look.full_transfer_seq,
        checked_at=_stamp_of(look.checked_at),
    )


def stamp(micros: int) -> Timestamp:
    """Of microseconds since 1970."""
    at = Timestamp()
    at.FromMicroseconds(micros)
    return at


def _stamp_of(at: datetime | None) -> Timestamp | None:
    return None if at is None else stamp(micros_of(at))
