"""The contract's messages from and to what the rules speak of."""

from datetime import datetime

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from libs.stamps import moment_of, set_moment
from services.order.domain.asking import NewTerms
from services.order.domain.journal import Told
from services.order.domain.news import (
    Accepted,
    Canceled,
    CancelRejected,
    Executed,
    InDoubt,
    Outcome,
    Rejected,
)
from services.order.domain.parking import Fault, Parked
from services.order.domain.trade import (
    Cause,
    Execution,
    Heartbeat,
    Trade,
    TradeEvent,
    average_price_micros,
)
from services.order.domain.turns import Applied, Claimed, Waiting
from services.order.store.executions import Page
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import recorded_execution_pb2 as recorded_pb

_MAX_REASON_TEXT = 1000


def new_terms_from(request: pb.ReplaceTradeRequest) -> NewTerms:
    """What is asked for, as it was sent."""
    return NewTerms(
        client_order_id=request.client_order_id,
        quantity=request.quantity,
        limit_price_micros=request.limit_price_micros,
        stop_price_micros=request.stop_price_micros,
    )


def trade_to(trade: Trade) -> order_pb2.Trade:
    """A trade as it stands."""
    terms, standing = trade.terms, trade.standing
    message = order_pb2.Trade(
        trade_id=trade.trade_id,
        client_order_id=trade.client_order_id,
        customer_id=trade.customer_id,
        symbol=terms.symbol,
        side=Side.ValueType(terms.side),
        quantity=terms.quantity,
        order_type=OrderType.ValueType(terms.order_type),
        limit_price_micros=terms.limit_price_micros,
        stop_price_micros=terms.stop_price_micros,
        time_in_force=TimeInForce.ValueType(terms.time_in_force),
        status=order_pb2.TradeStatus.ValueType(standing.status),
        reason=Reason.ValueType(standing.reason),
        reason_text=standing.reason_text,
        in_doubt=standing.in_doubt,
        filled_quantity=standing.filled_quantity,
        filled_notional_micros=standing.filled_notional_micros,
        average_price_micros=average_price_micros(
            standing.filled_quantity, standing.filled_notional_micros
        ),
        exchange_order_id=standing.exchange_order_id,
        seq=trade.seq,
    )
    set_moment(message.created_at, trade.created_at)
    set_moment(message.updated_at, trade.updated_at)
    if standing.executed_at is not None:
        set_moment(message.executed_at, standing.executed_at)
    if standing.in_doubt_since is not None:
        set_moment(message.in_doubt_since, standing.in_doubt_since)
    return message


def event_to(event: TradeEvent) -> order_pb2.TradeEvent:
    """An event with the trade as it stood after it."""
    message = order_pb2.TradeEvent(
        seq=event.seq,
        trade=trade_to(event.trade),
        kind=order_pb2.TradeEventKind.ValueType(event.kind),
        cause=event.cause,
        refusal=Reason.ValueType(event.refusal),
    )
    set_moment(message.occurred_at, event.occurred_at)
    if event.execution is not None:
        message.execution.CopyFrom(_execution_to(event.execution))
    return message


def _execution_to(execution: Execution) -> order_pb2.Execution:
    message = order_pb2.Execution(
        execution_id=execution.execution_id,
        trade_id=execution.trade_id,
        quantity=execution.quantity,
        price_micros=execution.price_micros,
        venue=execution.venue,
    )
    set_moment(message.executed_at, execution.executed_at)
    return message


def executions_to(page: Page) -> recorded_pb.ListExecutionsResponse:
    """Fills on record, and where to go on."""
    return recorded_pb.ListExecutionsResponse(
        executions=[
            recorded_pb.RecordedExecution(
                execution=_execution_to(each.execution),
                customer_id=each.customer_id,
                side=Side.ValueType(each.side),
                symbol=each.symbol,
                transaction_id=each.transaction_id,
            )
            for each in page.executions
        ],
        next=recorded_pb.ExecutionPlace(**msgspec.structs.asdict(page.next)),
        reaches_end=page.reaches_end,
    )


def watched_to(item: TradeEvent | Heartbeat) -> pb.WatchTradesResponse:
    """One message of a stream."""
    if isinstance(item, Heartbeat):
        heartbeat = pb.WatchTradesResponse.Heartbeat(head_seq=item.head_seq)
        return pb.WatchTradesResponse(heartbeat=heartbeat)
    return pb.WatchTradesResponse(event=event_to(item))


def claimed_to(claimed: Claimed, trade: Trade) -> execution_pb.ClaimedTrade:
    """A trade taken up."""
    return execution_pb.ClaimedTrade(
        trade=trade_to(trade),
        partition=claimed.partition,
        epoch=claimed.epoch,
        attempts=claimed.attempts,
    )


def claimed_cancel_to(claimed: Claimed, trade: Trade) -> execution_pb.ClaimedCancel:
    """A cancel taken up."""
    return execution_pb.ClaimedCancel(
        trade=trade_to(trade), partition=claimed.partition, epoch=claimed.epoch
    )


def waiting_to(waiting: Waiting) -> execution_pb.OpenCustomer:
    """A customer with an open trade."""
    return execution_pb.OpenCustomer(
        customer_id=waiting.customer_id,
        partition=waiting.partition,
        trade_id=waiting.trade_id,
        claimed_epoch=waiting.claimed_epoch,
    )


def fault_from(message: execution_pb.RecordFaultsRequest.Fault) -> Fault:
    """An attempt that failed."""
    return Fault(
        customer_id=message.customer_id,
        partition=message.grant.partition,
        epoch=message.grant.epoch,
        trade_id=message.trade_id,
        fault_text=message.fault_text,
    )


def parked_to(parked: Parked, trade: Trade) -> execution_pb.ParkedTrade:
    """A parked trade."""
    message = execution_pb.ParkedTrade(
        trade=trade_to(trade),
        faults=parked.faults,
        fault_text=parked.fault_text,
        is_condemned=parked.is_condemned,
    )
    set_moment(message.parked_at, parked.parked_at)
    return message


def told_from(message: execution_pb.Outcome) -> Told:
    """An outcome as it was told."""
    return Told(message.trade_id, _outcome_from(message))


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
            return Canceled(_reason(canceled.reason), _text(canceled.reason_text), canceled.expired)
        case "in_doubt":
            return InDoubt(_text(message.in_doubt.reason_text))
        case "cancel_rejected":
            return CancelRejected(_reason(message.cancel_rejected.reason))
    return None


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


def _rejected_from(message: execution_pb.Outcome.Rejected) -> Rejected | None:
    causes = {str(cause): cause for cause in (Cause.HOUSE, Cause.EXCHANGE, Cause.OPERATOR)}
    cause = causes.get(message.cause)
    if cause is None:
        return None
    return Rejected(_reason(message.reason), _text(message.reason_text), cause)


def _reason(number: int) -> int:
    """The reason's number; one this version does not know is none."""
    return number if number in Reason.values() else 0


def _text(text: str) -> str:
    """Words of others: any characters but NUL, which PostgreSQL cannot keep, and no book."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_MAX_REASON_TEXT]


def _time(stamp: Timestamp) -> datetime | None:
    """To the microsecond; None when it is out of range."""
    try:
        return moment_of(stamp)
    except (ValueError, OverflowError):
        return None


def result_to(trade_id: str, applied: Applied) -> execution_pb.OutcomeResult:
    """What was done about one outcome."""
    return execution_pb.OutcomeResult(
        trade_id=trade_id,
        code=execution_pb.OutcomeResult.Code.ValueType(applied.verdict.code),
        detail=applied.verdict.detail,
        status=order_pb2.TradeStatus.ValueType(applied.status or 0),
    )
