"""The contract's messages from and to what the rules speak of."""

import msgspec

from libs.fills import Fill, columns_of, day_of, got
from libs.stamps import set_moment
from services.order.domain.parking import Fault, Parked
from services.order.domain.trade import (
    Amendment,
    Execution,
    Heartbeat,
    Replace,
    Revision,
    Trade,
    TradeEvent,
    average_price_micros,
)
from services.order.domain.turns import Applied, Claimed, Waiting
from services.order.store.executions import Page, Recorded, RecordedAmendment
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.common.v1.terms_pb2 import OrderType, Side, TimeInForce
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import recorded_execution_pb2 as recorded_pb


def revision_from(request: pb.ReplaceTradeRequest) -> Revision:
    """What is asked for, as it was sent."""
    return Revision(request.quantity, request.limit_price_micros, request.stop_price_micros)


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
        held_by_house=trade.is_held_by_house,
        seq=trade.seq,
        orig_client_order_id=trade.orig_client_order_id,
        pending_replace=_replace_to(standing.replace),
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
        replace=_replace_to(event.replace),
    )
    set_moment(message.occurred_at, event.occurred_at)
    if event.execution is not None:
        message.execution.CopyFrom(_execution_to(event.execution))
    if event.amendment is not None:
        message.amendment.CopyFrom(_amendment_to(event.amendment))
    return message


def _amendment_to(amendment: Amendment) -> order_pb2.ExecutionAmendment:
    message = order_pb2.ExecutionAmendment(
        amendment_id=amendment.amendment_id,
        execution_id=amendment.execution_id,
        venue=amendment.venue,
        quantity=amendment.quantity,
        price_micros=amendment.price_micros,
        old_quantity=amendment.old_quantity,
        old_price_micros=amendment.old_price_micros,
        reason_text=amendment.reason_text,
    )
    set_moment(message.amended_at, amendment.amended_at)
    return message


def _replace_to(wanted: Replace | None) -> order_pb2.Replace | None:
    if wanted is None:
        return None
    return order_pb2.Replace(
        replace_id=wanted.replace_id,
        client_order_id=wanted.client_order_id,
        orig_client_order_id=wanted.orig_client_order_id,
        quantity=wanted.new.quantity,
        limit_price_micros=wanted.new.limit_price_micros,
        stop_price_micros=wanted.new.stop_price_micros,
    )


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


def executions_to(page: Page, *, in_columns: bool) -> recorded_pb.ListExecutionsResponse:
    """Fills and amendments on record, and where to go on; fills in columns where they can be."""
    executions, columns = page.executions, None
    if in_columns:
        venue = executions[0].execution.venue if executions else ""
        fills = [(_fill_to(each, venue), each) for each in executions]
        columns = columns_of(venue, [fill for fill, _ in fills if fill is not None])
        executions = [each for fill, each in fills if fill is None]
    return recorded_pb.ListExecutionsResponse(
        columns=columns,
        executions=[
            recorded_pb.RecordedExecution(
                execution=_execution_to(each.execution),
                customer_id=each.customer_id,
                side=Side.ValueType(each.side),
                symbol=each.symbol,
                transaction_id=each.transaction_id,
            )
            for each in executions
        ],
        amendments=map(_recorded_amendment_to, page.amendments),
        next=recorded_pb.ExecutionPlace(**msgspec.structs.asdict(page.next)),
        reaches_end=page.reaches_end,
    )


def _fill_to(recorded: Recorded, venue: str) -> Fill | None:
    """A fill of that venue that can be told in columns; None: it cannot."""
    execution = recorded.execution
    moved = got(recorded.side, execution.quantity, execution.price_micros)
    if moved is None or execution.venue != venue:
        return None
    named = recorded.transaction_id, execution.execution_id, execution.trade_id
    day = day_of(execution.executed_at)
    return *named, recorded.customer_id, recorded.symbol, *moved, day


def _recorded_amendment_to(recorded: RecordedAmendment) -> recorded_pb.RecordedAmendment:
    message = recorded_pb.RecordedAmendment(
        venue=recorded.venue,
        execution_id=recorded.execution_id,
        amendment_id=recorded.amendment_id,
        trade_id=recorded.trade_id,
        quantity=recorded.quantity,
        price_micros=recorded.price_micros,
        customer_id=recorded.customer_id,
        side=Side.ValueType(recorded.side),
        symbol=recorded.symbol,
        transaction_id=recorded.transaction_id,
    )
    set_moment(message.amended_at, recorded.amended_at)
    return message


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


def claimed_replace_to(claimed: Claimed, trade: Trade) -> execution_pb.ClaimedReplace:
    """A replace taken up, of a trade that has one."""
    message = execution_pb.ClaimedReplace(
        trade=trade_to(trade), partition=claimed.partition, epoch=claimed.epoch
    )
    if trade.standing.replace is not None:
        message.terms.CopyFrom(replace_terms_to(trade, trade.standing.replace))
    return message


def replace_terms_to(trade: Trade, wanted: Replace) -> execution_pb.ReplaceTerms:
    """What a replace asks for, and what it replaces."""
    old, new = wanted.old, wanted.new
    return execution_pb.ReplaceTerms(
        replace_id=wanted.replace_id,
        trade_id=trade.trade_id,
        side=Side.ValueType(trade.terms.side),
        symbol=trade.terms.symbol,
        order_type=OrderType.ValueType(trade.terms.order_type),
        old_quantity=old.quantity,
        old_limit_price_micros=old.limit_price_micros,
        old_stop_price_micros=old.stop_price_micros,
        old_filled_quantity=wanted.old_filled_quantity,
        quantity=wanted.asked.quantity or old.quantity,
        limit_price_micros=new.limit_price_micros,
        stop_price_micros=new.stop_price_micros,
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


def result_to(trade_id: str, applied: Applied) -> execution_pb.OutcomeResult:
    """What was done about one outcome."""
    return execution_pb.OutcomeResult(
        trade_id=trade_id,
        code=execution_pb.OutcomeResult.Code.ValueType(applied.verdict.code),
        detail=applied.verdict.detail,
        status=order_pb2.TradeStatus.ValueType(applied.status or 0),
    )
