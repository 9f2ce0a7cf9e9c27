"""What execution tells of trades and is answered: the contract's messages from and to the rules."""

from collections.abc import Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from libs.stamps import moment_of
from services.order.domain.event import Amendment, Cause, Execution
from services.order.domain.journal import Told
from services.order.domain.news import (
    Accepted,
    Amended,
    Canceled,
    CancelRejected,
    Executed,
    InDoubt,
    Outcome,
    Rejected,
    Replaced,
    ReplaceRejected,
)
from services.order.domain.turns import Applied, Waiting
from services.order.wire import waiting_to
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2

_MAX_REASON_TEXT = 1000
_REASONS = frozenset(Reason.values())
# The numbers from 1 to this say why a trade was not filled, in every version.
_LAST_OF_TRADES = 99
# Looked up once: each is asked for with every outcome.
_code = execution_pb.OutcomeResult.Code.ValueType
_status = order_pb2.TradeStatus.ValueType


def told_from(message: execution_pb.Outcome) -> Told:
    """An outcome as it was told."""
    return Told(message.trade_id, _outcome_from(message))


def applied_to(
    told: Sequence[Told], applied: Sequence[Applied], waiting: Sequence[Waiting]
) -> execution_pb.ApplyOutcomesResponse:
    """What was done about each outcome, in order, and the customers whose next trade waits."""
    response = execution_pb.ApplyOutcomesResponse(open_customers=map(waiting_to, waiting))
    for each, done in zip(told, applied, strict=True):
        result = response.results.add()
        result.trade_id = each.trade_id
        result.code = _code(done.verdict.code)
        result.detail = done.verdict.detail
        result.status = _status(done.status or 0)
    return response


def _outcome_from(message: execution_pb.Outcome) -> Outcome | None:
    """None when it says nothing, or cannot be read."""
    match message.WhichOneof("outcome"):
        case "accepted":
            return Accepted(message.accepted.exchange_order_id)
        case "execution":
            return _executed_from(message.execution)
        case "rejected":
            return _rejected_from(message.rejected)
        case "canceled":
            canceled = message.canceled
            reason = _exchange_reason(canceled.reason)
            cause = Cause.HOUSE if canceled.cause == Cause.HOUSE else Cause.EXCHANGE
            return Canceled(reason, _text(canceled.reason_text), canceled.expired, cause)
        case "in_doubt":
            return InDoubt(_text(message.in_doubt.reason_text))
    return _answer_from(message)


def _answer_from(message: execution_pb.Outcome) -> Outcome | None:
    """The answer to a cancel or to a replace, or what became of a fill."""
    match message.WhichOneof("outcome"):
        case "cancel_rejected":
            return CancelRejected(_exchange_reason(message.cancel_rejected.reason))
        case "replaced":
            return Replaced(message.replaced.replace_id)
        case "replace_rejected":
            return _replace_rejected_from(message.replace_rejected)
        case "amended":
            return _amended_from(message.amended)
    return None


def _replace_rejected_from(message: execution_pb.Outcome.ReplaceRejected) -> Outcome | None:
    causes = {str(cause): cause for cause in (Cause.HOUSE, Cause.EXCHANGE)}
    cause = causes.get(message.cause)
    if cause is None:
        return None
    return ReplaceRejected(message.replace_id, _reason_by(cause, message.reason), cause)


def _executed_from(message: order_pb2.Execution) -> Executed | None:
    executed_at = _time(message.executed_at) if message.HasField("executed_at") else None
    if executed_at is None:
        return None
    return Executed(
        Execution(
            execution_id=message.execution_id,
            trade_id=message.trade_id,
            quantity=message.quantity,
            price_micros=message.price_micros,
            venue=message.venue,
            executed_at=executed_at,
        )
    )


def _amended_from(message: order_pb2.ExecutionAmendment) -> Amended | None:
    amended_at = _time(message.amended_at) if message.HasField("amended_at") else None
    if amended_at is None:
        return None
    return Amended(
        Amendment(
            amendment_id=message.amendment_id,
            execution_id=message.execution_id,
            venue=message.venue,
            quantity=message.quantity,
            price_micros=message.price_micros,
            old_quantity=message.old_quantity,
            old_price_micros=message.old_price_micros,
            amended_at=amended_at,
            reason_text=_text(message.reason_text),
            previous_id=message.previous_amendment_id,
        )
    )


def _rejected_from(message: execution_pb.Outcome.Rejected) -> Rejected | None:
    causes = {str(cause): cause for cause in (Cause.HOUSE, Cause.EXCHANGE, Cause.OPERATOR)}
    cause = causes.get(message.cause)
    if cause is None:
        return None
    return Rejected(_reason_by(cause, message.reason), _text(message.reason_text), cause)


def _reason_by(cause: Cause, number: int) -> int:
    """The reason's number. A trade may end for one of the house's that only a newer part knows."""
    if cause is Cause.EXCHANGE:
        return _exchange_reason(number)
    return number if number in _REASONS or 1 <= number <= _LAST_OF_TRADES else 0


def _exchange_reason(number: int) -> int:
    """The reason's number; one that this version does not know is that the exchange said no.

    What the exchange has ended is over, whatever newer word a gateway has for it.
    """
    return number if number in _REASONS else Reason.REASON_EXCHANGE_REJECTED


def _text(text: str) -> str:
    """Words of others: any characters but NUL, which PostgreSQL cannot keep, and no book."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_MAX_REASON_TEXT]


def _time(stamp: Timestamp) -> datetime | None:
    """To the microsecond; None when it is out of range."""
    try:
        return moment_of(stamp)
    except (ValueError, OverflowError):
        return None
