"""What becomes of a trade once its turn has come: one total table, (status, outcome) -> rule.

A venue's fill is a fact: it counts in every status in which an order can be at the venue, also
while a cancel is on its way. What cannot be true of the trade is IMPOSSIBLE and changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from services.order.domain.canceling import (
    REASONS,
    asked_by,
    is_asked,
    reject_cancel,
    tell_too_late,
)
from services.order.domain.news import (
    Accepted,
    Canceled,
    CancelRejected,
    Executed,
    InDoubt,
    Outcome,
    Rejected,
)
from services.order.domain.trade import Cause, Trade, TradeEventKind, TradeStatus
from services.order.domain.verdicts import (
    REPEATED,
    Code,
    Step,
    Verdict,
    applied,
    impossible,
    resolved,
)

_MAX_INT64 = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Row:
    """The rules of one status, one per kind of outcome."""

    accepted: Callable[[Trade, Accepted], Verdict]
    executed: Callable[[Trade, Executed], Verdict]
    rejected: Callable[[Trade, Rejected], Verdict]
    canceled: Callable[[Trade, Canceled], Verdict]
    cancel_rejected: Callable[[Trade, CancelRejected], Verdict]
    in_doubt: Callable[[Trade, InDoubt], Verdict]


def start(trade: Trade) -> Step | None:
    """The step of taking a trade up; None when it was taken up before."""
    if trade.status is not TradeStatus.PLACED:
        return None
    standing = replace(trade.standing, status=TradeStatus.IN_PROGRESS)
    return Step(TradeEventKind.STARTED, standing, Cause.HOUSE)


def judge(trade: Trade, outcome: Outcome) -> Verdict:
    """Look the rule up and apply it."""
    row = TABLE[trade.status]
    match outcome:
        case Accepted():
            return row.accepted(trade, outcome)
        case Executed():
            return row.executed(trade, outcome)
        case Rejected():
            return row.rejected(trade, outcome)
        case Canceled():
            return row.canceled(trade, outcome)
        case CancelRejected():
            return row.cancel_rejected(trade, outcome)
        case InDoubt():
            return row.in_doubt(trade, outcome)


def _accept(trade: Trade, outcome: Accepted) -> Verdict:
    known = trade.standing.exchange_order_id
    if known and known != outcome.exchange_order_id:
        return impossible(f"the exchange accepted it before as {known}")
    if known and not trade.standing.in_doubt:
        return REPEATED
    if known:
        return Verdict(Code.APPLIED, (resolved(trade, Cause.EXCHANGE),))
    standing = replace(
        trade.standing,
        exchange_order_id=outcome.exchange_order_id,
        in_doubt=False,
        reason_text="",
    )
    return applied(trade, Step(TradeEventKind.ACCEPTED, standing, Cause.EXCHANGE))


def _fill(trade: Trade, outcome: Executed) -> Verdict:
    execution, before = outcome.execution, trade.standing
    filled_quantity = before.filled_quantity + execution.quantity
    if filled_quantity > trade.terms.quantity:
        return impossible(f"{filled_quantity} shares of {trade.terms.quantity} would be filled")
    notional_micros = before.filled_notional_micros + execution.quantity * execution.price_micros
    if notional_micros > _MAX_INT64:
        return impossible("the notional would not fit 64 bits")
    standing = replace(
        before,
        status=_status_after_fill(trade, filled_quantity),
        filled_quantity=filled_quantity,
        filled_notional_micros=notional_micros,
        executed_at=execution.executed_at,
        in_doubt=False,
        reason_text="",
    )
    verdict = applied(trade, Step(TradeEventKind.EXECUTED, standing, Cause.EXCHANGE, execution))
    return tell_too_late(trade, verdict)


def _status_after_fill(trade: Trade, filled_quantity: int) -> TradeStatus:
    if filled_quantity == trade.terms.quantity:
        return TradeStatus.FILLED
    if trade.status is TradeStatus.IN_PROGRESS:
        return TradeStatus.PARTIALLY_FILLED
    return trade.status


def _reject(trade: Trade, outcome: Rejected) -> Verdict:
    if trade.standing.filled_quantity:
        return impossible("a trade with fills cannot be rejected any more")
    standing = replace(
        trade.standing,
        status=TradeStatus.REJECTED,
        reason=outcome.reason,
        reason_text=outcome.reason_text,
        in_doubt=False,
    )
    return applied(trade, Step(TradeEventKind.REJECTED, standing, outcome.cause))


def _reject_waiting(trade: Trade, outcome: Rejected) -> Verdict:
    if outcome.cause is Cause.EXCHANGE:
        return impossible("it was never sent to the exchange")
    return _reject(trade, outcome)


def _end(trade: Trade, outcome: Canceled) -> Verdict:
    return _end_by(Cause.EXCHANGE, trade, outcome)


def _end_waiting(trade: Trade, outcome: Canceled) -> Verdict:
    return _end_by(Cause.HOUSE, trade, outcome)


def _end_by(cause: Cause, trade: Trade, outcome: Canceled) -> Verdict:
    """`cause`: who ended it when nobody had asked for that."""
    status, kind = _ending(outcome)
    asker = asked_by(trade, outcome.reason)
    standing = replace(
        trade.standing,
        status=status,
        reason=outcome.reason if asker is None else REASONS[asker],
        reason_text=outcome.reason_text,
        in_doubt=False,
    )
    return applied(trade, Step(kind, standing, asker or cause))


def _ending(outcome: Canceled) -> tuple[TradeStatus, TradeEventKind]:
    if outcome.expired:
        return TradeStatus.EXPIRED, TradeEventKind.EXPIRED
    return TradeStatus.CANCELED, TradeEventKind.CANCELED


def _doubt(trade: Trade, outcome: InDoubt) -> Verdict:
    if trade.standing.in_doubt:
        return REPEATED
    standing = replace(trade.standing, in_doubt=True, reason_text=outcome.reason_text)
    return Verdict(Code.APPLIED, (Step(TradeEventKind.IN_DOUBT, standing, Cause.HOUSE),))


def _never(trade: Trade, _: Outcome) -> Verdict:
    return impossible(f"a trade that is {trade.status.name} was never sent to the exchange")


def _is_over(trade: Trade, _: Outcome) -> Verdict:
    return impossible(f"the trade has ended before: {trade.status.name}")


def _same_acceptance(trade: Trade, outcome: Accepted) -> Verdict:
    is_same = trade.standing.exchange_order_id == outcome.exchange_order_id
    return REPEATED if is_same else _is_over(trade, outcome)


def _same_rejection(trade: Trade, outcome: Rejected) -> Verdict:
    return REPEATED if trade.standing.reason == outcome.reason else _is_over(trade, outcome)


def _same_ending(trade: Trade, outcome: Canceled) -> Verdict:
    known, told = trade.standing.reason, outcome.reason
    is_same = known == told or (is_asked(known) and is_asked(told))
    if is_same and trade.status is _ending(outcome)[0]:
        return REPEATED
    return _is_over(trade, outcome)


def _nothing_asked(_: Trade, __: CancelRejected) -> Verdict:
    """The answer came before, or what ended the trade was the answer."""
    return REPEATED


def _doubt_answered(_: Trade, __: InDoubt) -> Verdict:
    """A doubt that comes after the end was answered by the end."""
    return REPEATED


_WAITING = Row(_never, _never, _reject_waiting, _end_waiting, _never, _never)
_WORKING = Row(_accept, _fill, _reject, _end, _nothing_asked, _doubt)
_CANCELING = Row(_accept, _fill, _reject, _end, reject_cancel, _doubt)
_FILLED = Row(_same_acceptance, _is_over, _is_over, _is_over, _nothing_asked, _doubt_answered)
_ENDED = Row(_same_acceptance, _is_over, _is_over, _same_ending, _nothing_asked, _doubt_answered)
_REJECTED = Row(
    _same_acceptance, _is_over, _same_rejection, _is_over, _nothing_asked, _doubt_answered
)

TABLE: Mapping[TradeStatus, Row] = {
    TradeStatus.PLACED: _WAITING,
    TradeStatus.IN_PROGRESS: _WORKING,
    TradeStatus.PARTIALLY_FILLED: _WORKING,
    TradeStatus.PENDING_CANCEL: _CANCELING,
    TradeStatus.PENDING_REPLACE: _WORKING,
    TradeStatus.FILLED: _FILLED,
    TradeStatus.CANCELED: _ENDED,
    TradeStatus.REJECTED: _REJECTED,
    TradeStatus.EXPIRED: _ENDED,
}
