"""What goes over the session with the exchange in the box, and what is meant by it."""

import msgspec
from google.protobuf.message import DecodeError

from libs.stamps import nanos_of
from services.exchange_gateway.domain import Kind, Order, Reason, Report
from services.exchange_gateway.domain.comparison import Theirs
from services.exchange_gateway.domain.replaces import Replace, Revision
from services.exchange_gateway.venues import VenueUnheard
from services.exchange_gateway.venues.garbled import seq_of
from stockbroker.exchange.v1 import exchange_pb2 as market
from stockbroker.exchange.v1 import exchange_service_pb2 as pb

_KINDS = {
    market.ExecutionReport.EXEC_TYPE_NEW: Kind.ACCEPTED,
    market.ExecutionReport.EXEC_TYPE_TRADE: Kind.FILLED,
    market.ExecutionReport.EXEC_TYPE_REJECTED: Kind.REJECTED,
    market.ExecutionReport.EXEC_TYPE_CANCELED: Kind.CANCELED,
    market.ExecutionReport.EXEC_TYPE_EXPIRED: Kind.EXPIRED,
    market.ExecutionReport.EXEC_TYPE_CANCEL_REJECTED: Kind.CANCEL_REJECTED,
    market.ExecutionReport.EXEC_TYPE_REPLACED: Kind.REPLACED,
    market.ExecutionReport.EXEC_TYPE_REPLACE_REJECTED: Kind.REPLACE_REJECTED,
    market.ExecutionReport.EXEC_TYPE_TRADE_CANCEL: Kind.BUSTED,
    market.ExecutionReport.EXEC_TYPE_TRADE_CORRECT: Kind.CORRECTED,
    # Says once more that the exchange has the order.
    market.ExecutionReport.EXEC_TYPE_TRIGGERED: Kind.ACCEPTED,
}
_EXEC_TYPES = {kind: exec_type for exec_type, kind in reversed(_KINDS.items())}
_REASONS = {
    market.REJECT_REASON_UNSPECIFIED: None,
    market.REJECT_REASON_UNKNOWN_SYMBOL: Reason.UNKNOWN_SYMBOL,
    market.REJECT_REASON_MARKET_CLOSED: Reason.MARKET_CLOSED,
    market.REJECT_REASON_HALTED: Reason.SYMBOL_HALTED,
    market.REJECT_REASON_NO_LIQUIDITY: Reason.NO_LIQUIDITY,
    market.REJECT_REASON_MAX_NOTIONAL: Reason.INSUFFICIENT_FUNDS,
    market.REJECT_REASON_EXPIRED: Reason.EXPIRED,
    market.REJECT_REASON_TOO_LATE: Reason.TOO_LATE_TO_CANCEL,
    # By whose wish the member does not say, and the house knows.
    market.REJECT_REASON_CANCELED_BY_MEMBER: Reason.CANCELED_BY_CUSTOMER,
}
# An exchange may say no and not why.
_HAVE_REASONS = frozenset(
    (Kind.REJECTED, Kind.CANCELED, Kind.EXPIRED, Kind.CANCEL_REJECTED, Kind.REPLACE_REJECTED)
)
_WITHOUT_REASON = frozenset((Kind.ACCEPTED, Kind.FILLED))
_LONGEST_NAME, _LONGEST_WORDS = 128, 1_000


def order_to(order: Order, seq: int) -> bytes:
    """A Command with the order. Sides, types and times in force have the same numbers."""
    terms = order.terms
    command = pb.SessionRequest.Command(seq=seq)
    new_order = command.new_order
    new_order.client_order_id = order.trade_id
    new_order.symbol = terms.symbol
    new_order.side = market.Side.ValueType(terms.side)
    new_order.quantity = terms.quantity
    new_order.order_type = market.OrderType.ValueType(terms.order_type)
    new_order.limit_price_micros = terms.limit_price_micros
    new_order.stop_price_micros = terms.stop_price_micros
    new_order.time_in_force = market.TimeInForce.ValueType(terms.time_in_force)
    new_order.max_notional_micros = terms.max_notional_micros
    return command.SerializeToString()


def cancel_to(trade_id: str, seq: int) -> bytes:
    """A Command to cancel the order."""
    cancel = market.CancelOrder(client_order_id=trade_id)
    return pb.SessionRequest.Command(seq=seq, cancel_order=cancel).SerializeToString()


def replace_to(replace: Replace, seq: int) -> bytes:
    """A Command to give the order other terms."""
    terms = market.ReplaceOrder(
        client_order_id=replace.trade_id,
        quantity=replace.revision.quantity,
        limit_price_micros=replace.revision.limit_price_micros,
        stop_price_micros=replace.revision.stop_price_micros,
        max_notional_micros=replace.revision.max_notional_micros,
    )
    return pb.SessionRequest.Command(seq=seq, replace_order=terms).SerializeToString()


def nothing_to(seq: int) -> bytes:
    """A Command that holds nothing but its number."""
    return pb.SessionRequest.Command(seq=seq).SerializeToString()


def stored(raw: bytes) -> Report:
    """A report from its stored bytes."""
    try:
        return report_from(market.ExecutionReport.FromString(raw), raw)
    except DecodeError:
        return _unreadable(raw)


def report_to(report: Report) -> bytes:
    """An ExecutionReport without a number of the session."""
    said = market.ExecutionReport(
        client_order_id=report.trade_id,
        exchange_order_id=report.exchange_order_id,
        exec_type=_EXEC_TYPES[report.kind],
        exec_id=report.execution_id,
        symbol=report.symbol,
        side=market.Side.ValueType(report.side),
        last_quantity=report.quantity,
        last_price_micros=report.price_micros,
        leaves_quantity=report.leaves_quantity,
        reject_reason=_reject_reason(report.reason),
        reason_text=report.reason_text,
        command_seq=report.command_seq,
    )
    if report.revision is not None:
        said.quantity = report.revision.quantity
        said.limit_price_micros = report.revision.limit_price_micros
        said.stop_price_micros = report.revision.stop_price_micros
        said.max_notional_micros = report.revision.max_notional_micros
    said.transact_time.FromNanoseconds(report.executed_at_nanos)
    return said.SerializeToString()


def sequenced(raw: bytes) -> Report:
    """A report of a garbled message. Raises VenueUnheard when it has no number."""
    try:
        return report_from(market.ExecutionReport.FromString(raw))
    except DecodeError:
        pass
    try:
        return msgspec.structs.replace(_unreadable(raw), venue_seq=seq_of(raw))
    except DecodeError as error:
        raise VenueUnheard("a report of the exchange cannot be put in sequence") from error


def _unreadable(raw: bytes) -> Report:
    return msgspec.structs.replace(report_from(market.ExecutionReport()), raw=raw)


def report_from(said: market.ExecutionReport, raw: bytes | None = None) -> Report:
    """A report; `raw`: its bytes, where they are at hand. One of no time makes no sense.

    Nor does one with a name that no book could hold, by which it could not be told from others.
    """
    kind = _KINDS.get(said.exec_type, Kind.UNREADABLE)
    raw = said.SerializeToString() if raw is None else raw
    trade_id, symbol, execution_id = said.client_order_id, said.symbol, said.exec_id
    exchange_order_id, amends = said.exchange_order_id, said.exec_ref_id
    names = (trade_id, symbol, execution_id, exchange_order_id, amends)
    if max(map(len, names)) > _LONGEST_NAME or not "".join(names).isprintable():
        known_id = trade_id[:_LONGEST_NAME]
        return msgspec.structs.replace(_unreadable(raw), venue_seq=said.seq, trade_id=known_id)
    try:
        executed_at_nanos = nanos_of(said.transact_time)
    except ValueError:
        kind, executed_at_nanos = Kind.UNREADABLE, 0
    if kind in _WITHOUT_REASON:
        return Report(
            said.seq,
            trade_id,
            kind,
            symbol,
            said.side,
            exchange_order_id,
            execution_id,
            said.last_quantity,
            said.last_price_micros,
            said.leaves_quantity,
            executed_at_nanos,
            None,
            said.reason_text[:_LONGEST_WORDS],
            raw,
        )
    return Report(
        said.seq,
        trade_id,
        kind,
        symbol,
        said.side,
        exchange_order_id,
        execution_id,
        said.last_quantity,
        said.last_price_micros,
        said.leaves_quantity,
        executed_at_nanos,
        _reason(said.reject_reason, kind),
        said.reason_text[:_LONGEST_WORDS],
        raw,
        said.command_seq,
        _revision(said) if kind == Kind.REPLACED else None,
        amends,
    )


def _revision(said: market.ExecutionReport) -> Revision:
    return Revision(
        said.quantity,
        said.limit_price_micros,
        said.stop_price_micros,
        said.max_notional_micros,
    )


def _reason(said: market.RejectReason.ValueType, kind: Kind) -> Reason | None:
    """The house's word for the exchange's reason; None: there is none."""
    reason = _REASONS.get(said, Reason.EXCHANGE_REJECTED)
    if reason is None and kind in _HAVE_REASONS:
        return Reason.EXPIRED if kind == Kind.EXPIRED else Reason.EXCHANGE_REJECTED
    if kind == Kind.REPLACE_REJECTED and reason is Reason.TOO_LATE_TO_CANCEL:
        return Reason.TOO_LATE_TO_REPLACE
    return reason


def theirs_from(order: pb.OrderStanding) -> Theirs:
    """How an order stands there."""
    return Theirs(
        order.client_order_id,
        order.symbol,
        order.side,
        order.quantity,
        order.cumulative_quantity,
        order.is_open,
        order.last_report_seq,
        order.limit_price_micros,
        order.stop_price_micros,
    )


def _reject_reason(reason: Reason | None) -> market.RejectReason.ValueType:
    """The exchange's word for a reason; OTHER where it has none."""
    said = (theirs for theirs, ours in _REASONS.items() if ours == reason)
    return market.RejectReason.ValueType(next(said, market.REJECT_REASON_OTHER))
