"""The contract's messages from and to what the rules speak of."""

import msgspec

from libs.fills import Fill, columns_of, day_of, got
from libs.stamps import set_moment
from services.order.claiming import Claims
from services.order.domain.event import Amendment, Execution, Heartbeat, TradeEvent
from services.order.domain.parking import Fault, Parked
from services.order.domain.terms import OrderType, Revision
from services.order.domain.trade import Replace, Standing, Trade, average_price_micros
from services.order.domain.turns import Claimed, Requested, Waiting
from services.order.store.executions import Page, Recorded, RecordedAmendment
from stockbroker.common.v1 import terms_pb2
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.order.v1 import order_execution_service_pb2 as execution_pb
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1 import order_service_pb2 as pb
from stockbroker.order.v1 import recorded_execution_pb2 as recorded_pb

# Looked up once: each is asked for with every trade.
_side = terms_pb2.Side.ValueType
_order_type = terms_pb2.OrderType.ValueType
_time_in_force = terms_pb2.TimeInForce.ValueType
_status = order_pb2.TradeStatus.ValueType
_reason = Reason.ValueType


def revision_from(request: pb.ReplaceTradeRequest) -> Revision:
    """What is asked for, as it was sent."""
    return Revision(request.quantity, request.limit_price_micros, request.stop_price_micros)


def trade_to(trade: Trade) -> order_pb2.Trade:
    """A trade as it stands."""
    message = order_pb2.Trade()
    _tell_trade(message, trade)
    return message


def _tell_trade(message: order_pb2.Trade, trade: Trade) -> None:
    """Make `message`, which says nothing yet, say how a trade stands.

    A message within another is made in place: handed over, it would be copied.
    """
    terms, standing = trade.terms, trade.standing
    message.trade_id = trade.trade_id
    message.client_order_id = trade.client_order_id
    message.customer_id = trade.customer_id
    message.symbol = terms.symbol
    message.side = _side(terms.side)
    message.quantity = terms.quantity
    message.order_type = _order_type(terms.order_type)
    if terms.order_type is not OrderType.MARKET:  # which has no prices
        message.limit_price_micros = terms.limit_price_micros
        message.stop_price_micros = terms.stop_price_micros
    message.time_in_force = _time_in_force(terms.time_in_force)
    message.status = _status(standing.status)
    message.seq = trade.seq
    set_moment(message.created_at, trade.created_at)
    set_moment(message.updated_at, trade.updated_at)
    message.reason = _reason(standing.reason)
    message.reason_text = standing.reason_text
    message.in_doubt = standing.in_doubt
    message.orig_client_order_id = trade.orig_client_order_id
    if standing.exchange_order_id:
        message.exchange_order_id = standing.exchange_order_id
        message.held_by_house = trade.is_held_by_house
    _tell_more(message, standing)


def _tell_more(message: order_pb2.Trade, standing: Standing) -> None:
    """What most trades that are taken up have nothing of."""
    if standing.filled_quantity:
        message.filled_quantity = standing.filled_quantity
        message.filled_notional_micros = standing.filled_notional_micros
        message.average_price_micros = average_price_micros(
            standing.filled_quantity, standing.filled_notional_micros
        )
    if standing.replace is not None:
        message.pending_replace.CopyFrom(_replace_to(standing.replace))
    if standing.executed_at is not None:
        set_moment(message.executed_at, standing.executed_at)
    if standing.in_doubt_since is not None:
        set_moment(message.in_doubt_since, standing.in_doubt_since)


def event_to(event: TradeEvent) -> order_pb2.TradeEvent:
    """An event with the trade as it stood after it."""
    message = order_pb2.TradeEvent()
    _tell_event(message, event)
    return message


def _tell_event(message: order_pb2.TradeEvent, event: TradeEvent) -> None:
    message.seq = event.seq
    _tell_trade(message.trade, event.trade)
    message.kind = order_pb2.TradeEventKind.ValueType(event.kind)
    message.cause = event.cause
    message.refusal = _reason(event.refusal)
    set_moment(message.occurred_at, event.occurred_at)
    if event.replace is not None:
        message.replace.CopyFrom(_replace_to(event.replace))
    if event.execution is not None:
        _tell_execution(message.execution, event.execution)
    if event.amendment is not None:
        message.amendment.CopyFrom(_amendment_to(event.amendment))


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
        previous_amendment_id=amendment.previous_id,
    )
    set_moment(message.amended_at, amendment.amended_at)
    return message


def _replace_to(wanted: Replace) -> order_pb2.Replace:
    return order_pb2.Replace(
        replace_id=wanted.replace_id,
        client_order_id=wanted.client_order_id,
        orig_client_order_id=wanted.orig_client_order_id,
        quantity=wanted.new.quantity,
        limit_price_micros=wanted.new.limit_price_micros,
        stop_price_micros=wanted.new.stop_price_micros,
    )


def _tell_execution(message: order_pb2.Execution, execution: Execution | Recorded) -> None:
    message.execution_id = execution.execution_id
    message.trade_id = execution.trade_id
    message.quantity = execution.quantity
    message.price_micros = execution.price_micros
    message.venue = execution.venue
    set_moment(message.executed_at, execution.executed_at)


def executions_to(page: Page, *, in_columns: bool) -> recorded_pb.ListExecutionsResponse:
    """Fills and amendments on record, and where to go on; fills in columns where they can be."""
    executions, columns = page.executions, None
    if in_columns:
        venue = executions[0].venue if executions else ""
        fills = [(_fill_to(each, venue), each) for each in executions]
        columns = columns_of(venue, [fill for fill, _ in fills if fill is not None])
        executions = [each for fill, each in fills if fill is None]
    response = recorded_pb.ListExecutionsResponse(
        columns=columns,
        amendments=map(_recorded_amendment_to, page.amendments),
        next=recorded_pb.ExecutionPlace(**msgspec.structs.asdict(page.next)),
        reaches_end=page.reaches_end,
    )
    for each in executions:
        message = response.executions.add()
        _tell_execution(message.execution, each)
        message.customer_id = each.customer_id
        message.side = _side(each.side)
        message.symbol = each.symbol
        message.transaction_id = each.transaction_id
    return response


def _fill_to(recorded: Recorded, venue: str) -> Fill | None:
    """A fill of that venue that can be told in columns; None: it cannot."""
    moved = got(recorded.side, recorded.quantity, recorded.price_micros)
    if moved is None or recorded.venue != venue:
        return None
    named = recorded.transaction_id, recorded.execution_id, recorded.trade_id
    return *named, recorded.customer_id, recorded.symbol, *moved, day_of(recorded.executed_at)


def _recorded_amendment_to(recorded: RecordedAmendment) -> recorded_pb.RecordedAmendment:
    message = recorded_pb.RecordedAmendment(
        venue=recorded.venue,
        execution_id=recorded.execution_id,
        amendment_id=recorded.amendment_id,
        trade_id=recorded.trade_id,
        quantity=recorded.quantity,
        price_micros=recorded.price_micros,
        customer_id=recorded.customer_id,
        side=_side(recorded.side),
        symbol=recorded.symbol,
        transaction_id=recorded.transaction_id,
        number=recorded.number,
    )
    set_moment(message.amended_at, recorded.amended_at)
    return message


def watched_to(item: TradeEvent | Heartbeat) -> pb.WatchTradesResponse:
    """One message of a stream."""
    if isinstance(item, Heartbeat):
        heartbeat = pb.WatchTradesResponse.Heartbeat(head_seq=item.head_seq)
        return pb.WatchTradesResponse(heartbeat=heartbeat)
    message = pb.WatchTradesResponse()
    _tell_event(message.event, item)
    return message


def claims_to(claims: Claims) -> execution_pb.ClaimTradesResponse:
    """What was taken up, and what the caller leads no more."""
    response = execution_pb.ClaimTradesResponse(
        cancels=[_claimed_cancel_to(asked, trade) for asked, trade in claims.cancels],
        replaces=[_claimed_replace_to(claimed, trade) for claimed, trade in claims.replaces],
        lost_partitions=claims.lost_partitions,
    )
    for claimed, trade in claims.trades:
        message = response.trades.add()
        _tell_trade(message.trade, trade)
        message.partition = claimed.partition
        message.epoch = claimed.epoch
        message.attempts = claimed.attempts
    return response


def _claimed_cancel_to(asked: Requested, trade: Trade) -> execution_pb.ClaimedCancel:
    """A cancel taken up."""
    claimed = asked.claimed
    message = execution_pb.ClaimedCancel(
        trade=trade_to(trade), partition=claimed.partition, epoch=claimed.epoch
    )
    set_moment(message.asked_at, asked.asked_at)
    return message


def _claimed_replace_to(claimed: Claimed, trade: Trade) -> execution_pb.ClaimedReplace:
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
        side=_side(trade.terms.side),
        symbol=trade.terms.symbol,
        order_type=_order_type(trade.terms.order_type),
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
        attempt=message.attempt,
    )


def parked_to(parked: Parked, trade: Trade) -> execution_pb.ParkedTrade:
    """A parked trade."""
    message = execution_pb.ParkedTrade(
        trade=trade_to(trade),
        faults=parked.faults,
        fault_text=parked.fault_text,
        is_condemned=parked.is_condemned,
        partition=parked.partition,
        epoch=parked.epoch,
    )
    set_moment(message.parked_at, parked.parked_at)
    return message
