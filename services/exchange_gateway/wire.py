"""Contract and domain, one into the other. No rules."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import attrgetter

from libs.stamps import set_moment, set_nanos
from services.exchange_gateway.domain import (
    Delivery,
    Fill,
    Instrument,
    Kind,
    Order,
    Reason,
    Report,
    Submitted,
    Terms,
)
from services.exchange_gateway.domain.cancels import Cancel, CancelTaken, Target
from services.exchange_gateway.domain.replaces import Replace, ReplaceTaken, Revision
from services.exchange_gateway.store.session import Held
from stockbroker.common.v1 import terms_pb2
from stockbroker.common.v1.reason_pb2 import Reason as ReasonValue
from stockbroker.exchange_gateway.v1 import exchange_gateway_service_pb2 as pb
from stockbroker.execution.v1 import execution_service_pb2 as execution

_NO_REASON = ReasonValue.REASON_UNSPECIFIED  # an enum of a contract is slow to be looked up in
_ACCEPTED, _FILLED = Kind.ACCEPTED, Kind.FILLED
_SUBMITTED = attrgetter("trade_id", "state", "reason")
_ENDS = {
    Kind.REJECTED: execution.Report.Ended.KIND_REJECTED,
    Kind.CANCELED: execution.Report.Ended.KIND_CANCELED,
    Kind.EXPIRED: execution.Report.Ended.KIND_EXPIRED,
}


def order_from(order: pb.Order) -> Order:
    """An order as the house gives it."""
    terms = Terms(
        customer_id=order.customer_id,
        partition=order.partition,
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        limit_price_micros=order.limit_price_micros,
        stop_price_micros=order.stop_price_micros,
        time_in_force=order.time_in_force,
        max_notional_micros=order.max_notional_micros,
    )
    return Order(order.trade_id, order.epoch, terms, order.placed_on)


def submits_to(submits: Sequence[Submitted], *, is_brief: bool) -> pb.SubmitOrdersResponse:
    """What came of each order."""
    if is_brief and all(submitted.reason is None for submitted in submits):
        return pb.SubmitOrdersResponse(all_taken=True)
    response = pb.SubmitOrdersResponse()
    add = response.results.add
    for trade_id, state, reason in map(_SUBMITTED, submits):
        result = add(trade_id=trade_id, state=state)
        if reason is not None:
            result.reason = reason_to(reason)
    return response


def cancel_from(cancel: pb.Cancel) -> Cancel:
    """A cancel as the house gives it."""
    target = Target(cancel.customer_id, cancel.symbol, cancel.side, cancel.quantity)
    return Cancel(cancel.trade_id, cancel.partition, cancel.epoch, target)


def cancel_taken_to(taken: CancelTaken) -> pb.CancelResult:
    """What came of one cancel."""
    return pb.CancelResult(
        trade_id=taken.trade_id,
        reason=reason_to(taken.reason),
        state=pb.OrderState.ValueType(taken.state or 0),
        never_sent=taken.never_sent,
    )


def replace_from(replace: pb.Replace) -> Replace:
    """A replace as the house gives it."""
    revision = Revision(
        replace.quantity,
        replace.limit_price_micros,
        replace.stop_price_micros,
        replace.max_notional_micros,
    )
    return Replace(
        replace.replace_id,
        replace.trade_id,
        replace.customer_id,
        replace.partition,
        replace.epoch,
        replace.symbol,
        replace.side,
        revision,
    )


def replace_taken_to(taken: ReplaceTaken) -> pb.ReplaceResult:
    """What came of one replace."""
    return pb.ReplaceResult(
        replace_id=taken.replace_id,
        reason=reason_to(taken.reason),
        state=pb.OrderState.ValueType(taken.state or 0),
        never_sent=taken.never_sent,
    )


def reason_to(reason: Reason | None) -> ReasonValue.ValueType:
    """The house's stable reason."""
    return ReasonValue.Value(f"REASON_{reason}") if reason else _NO_REASON


def instrument_to(instrument: Instrument) -> pb.Instrument:
    """Something that can be traded."""
    return pb.Instrument(
        symbol=instrument.symbol, name=instrument.name, is_tradable=instrument.is_tradable
    )


def order_status_to(
    trade_id: str,
    state: int,
    *,
    exchange_order_id: str = "",
    filled_quantity: int = 0,
    created_at: datetime | None = None,
) -> pb.OrderStatus:
    """What is known of one order."""
    status = pb.OrderStatus(
        trade_id=trade_id,
        state=pb.OrderState.ValueType(state),
        exchange_order_id=exchange_order_id,
        filled_quantity=filled_quantity,
    )
    if created_at is not None:
        set_moment(status.created_at, created_at)
    return status


def held_stop_to(held: Held) -> pb.HeldStop:
    """A stop that the house holds, or held."""
    message = pb.HeldStop(
        stop_price_micros=held.stop_price_micros, trigger_price_micros=held.trigger_price_micros
    )
    if held.triggered_at is not None:
        set_moment(message.triggered_at, held.triggered_at)
    return message


def reports_to(deliveries: Iterable[Delivery], venue: str) -> execution.ApplyReportsRequest:
    """Reports as execution books them; each is made in its place, a copy would cost as much."""
    request = execution.ApplyReportsRequest(is_brief=True)
    add = request.reports.add
    for delivery in deliveries:
        said = delivery.report
        report = add(
            report_seq=delivery.seq,
            trade_id=said.trade_id,
            customer_id=delivery.customer_id,
            side=terms_pb2.Side.ValueType(said.side),
            symbol=said.symbol,
            venue=venue,
        )
        kind = said.kind
        if kind is _ACCEPTED:
            report.accepted.exchange_order_id = said.exchange_order_id
        elif kind is _FILLED:
            _fill(report.filled, delivery)
        else:
            _tell(report, delivery)
        if delivery.retries:
            report.retries = delivery.retries
    return request


def _fill(filled: execution.Report.Filled, delivery: Delivery) -> None:
    said = delivery.report
    filled.execution_id = said.execution_id
    filled.quantity = said.quantity
    filled.price_micros = said.price_micros
    set_nanos(filled.executed_at, said.executed_at_nanos)
    filled.is_last = delivery.is_last
    if delivery.limit_price_micros:
        filled.limit_price_micros = delivery.limit_price_micros


def _tell(report: execution.Report, delivery: Delivery) -> None:
    """What is neither an acceptance nor a fill."""
    said = delivery.report
    if said.kind == Kind.CANCEL_REJECTED:
        report.cancel_rejected.reason = reason_to(said.reason)
    elif said.kind == Kind.REPLACED and said.revision is not None:
        report.replaced.CopyFrom(_replaced_to(delivery, said.revision))
    elif said.kind == Kind.REPLACE_REJECTED:
        report.replace_rejected.replace_id = delivery.replace_id
        report.replace_rejected.reason = reason_to(said.reason)
    elif said.kind == Kind.BUSTED and delivery.amended is not None:
        report.busted.CopyFrom(_busted_to(said, delivery.amended))
    elif said.kind == Kind.CORRECTED and delivery.amended is not None:
        report.corrected.CopyFrom(_corrected_to(said, delivery.amended))
    else:
        report.ended.kind = _ENDS[said.kind]
        report.ended.reason = reason_to(said.reason)
        report.ended.reason_text = said.reason_text


def _replaced_to(delivery: Delivery, told: Revision) -> execution.Report.Replaced:
    """Where more was filled than is wanted, what was filled is what the order has."""
    return execution.Report.Replaced(
        replace_id=delivery.replace_id,
        quantity=max(told.quantity, delivery.filled_quantity),
        limit_price_micros=told.limit_price_micros,
        stop_price_micros=told.stop_price_micros,
        filled_quantity=delivery.filled_quantity,
    )


def _busted_to(said: Report, was: Fill) -> execution.Report.Busted:
    busted = execution.Report.Busted(
        execution_id=was.first_id or said.amends,
        bust_id=said.execution_id,
        quantity=said.quantity,
        price_micros=said.price_micros,
        reason_text=said.reason_text,
        previous_amendment_id=said.amends if was.first_id else "",
    )
    set_nanos(busted.busted_at, said.executed_at_nanos)
    return busted


def _corrected_to(said: Report, was: Fill) -> execution.Report.Corrected:
    corrected = execution.Report.Corrected(
        execution_id=was.first_id or said.amends,
        correction_id=said.execution_id,
        quantity=said.quantity,
        price_micros=said.price_micros,
        old_quantity=was.quantity,
        old_price_micros=was.price_micros,
        reason_text=said.reason_text,
        previous_amendment_id=said.amends if was.first_id else "",
    )
    set_nanos(corrected.corrected_at, said.executed_at_nanos)
    return corrected
