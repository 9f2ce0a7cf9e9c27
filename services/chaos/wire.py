"""The contracts' messages as a drill keeps them, and back."""

from collections.abc import Iterable

from services.chaos.domain.history import Amendment, Entry, Event, Fill, Order, Terms, Transfer
from services.chaos.domain.nemesis import Misbehaviour
from stockbroker.common.v1 import terms_pb2 as terms
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.exchange.v1 import exchange_control_service_pb2 as control_pb
from stockbroker.exchange.v1 import exchange_pb2
from stockbroker.exchange_gateway.v1 import operators_pb2 as operators_pb
from stockbroker.ledger.v1 import invariant_pb2, journal_pb2
from stockbroker.order.v1 import order_pb2
from stockbroker.order.v1.order_pb2 import TradeEventKind, TradeStatus
from stockbroker.order.v1.order_service_pb2 import PlaceTradeRequest, ReplaceTradeRequest
from stockbroker.reconciliation.v1 import reconciliation_service_pb2 as reconciliation_pb
from stockbroker.reconciliation.v1.break_pb2 import BreakClass

_EXECUTED = TradeEventKind.TRADE_EVENT_KIND_EXECUTED
_WORDS = "a drill"


def order_to(order: Order) -> PlaceTradeRequest:
    """An order."""
    return PlaceTradeRequest(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=terms.Side.Value(f"SIDE_{order.side}"),
        quantity=order.quantity,
        order_type=terms.OrderType.Value(f"ORDER_TYPE_{order.order_type}"),
        limit_price_micros=order.limit_price_micros,
        stop_price_micros=order.stop_price_micros,
        time_in_force=terms.TimeInForce.Value(f"TIME_IN_FORCE_{order.time_in_force}"),
    )


def replace_to(trade_id: str, client_order_id: str, asked: Terms) -> ReplaceTradeRequest:
    """Other terms for a trade."""
    return ReplaceTradeRequest(
        trade_id=trade_id,
        client_order_id=client_order_id,
        quantity=asked.quantity,
        limit_price_micros=asked.limit_price_micros,
        stop_price_micros=asked.stop_price_micros,
    )


def event_from(event: order_pb2.TradeEvent) -> Event:
    """One event."""
    trade = event.trade
    return Event(
        seq=event.seq,
        kind=TradeEventKind.Name(event.kind).removeprefix("TRADE_EVENT_KIND_"),
        trade_id=trade.trade_id,
        client_order_id=trade.client_order_id,
        side=terms.Side.Name(trade.side).removeprefix("SIDE_"),
        symbol=trade.symbol,
        quantity=trade.quantity,
        status=TradeStatus.Name(trade.status).removeprefix("TRADE_STATUS_"),
        reason=Reason.Name(trade.reason).removeprefix("REASON_") if trade.reason else "",
        in_doubt=trade.in_doubt,
        in_doubt_since=trade.in_doubt_since.ToNanoseconds() / 1e9,
        filled_quantity=trade.filled_quantity,
        fill=_fill_from(event.execution) if event.kind == _EXECUTED else None,
        amendment=_amendment_from(event.amendment) if event.HasField("amendment") else None,
        order_type=terms.OrderType.Name(trade.order_type).removeprefix("ORDER_TYPE_"),
        time_in_force=terms.TimeInForce.Name(trade.time_in_force).removeprefix("TIME_IN_FORCE_"),
        limit_price_micros=trade.limit_price_micros,
        stop_price_micros=trade.stop_price_micros,
        is_accepted=bool(trade.exchange_order_id),
        replace_id=event.replace.client_order_id,
        replace_terms=_terms_from(event.replace) if event.HasField("replace") else None,
    )


def _terms_from(told: order_pb2.Replace | exchange_pb2.ExecutionReport) -> Terms:
    return Terms(told.quantity, told.limit_price_micros, told.stop_price_micros)


def _fill_from(fill: order_pb2.Execution) -> Fill:
    return Fill(fill.execution_id, fill.trade_id, fill.quantity, fill.price_micros)


def _amendment_from(told: order_pb2.ExecutionAmendment) -> Amendment:
    return Amendment(told.amendment_id, told.execution_id, told.quantity, told.price_micros)


def amendment_of(body: bytes) -> Amendment:
    """What the exchange took back, by its report."""
    report = exchange_pb2.ExecutionReport.FromString(body)
    is_bust = report.exec_type == exchange_pb2.ExecutionReport.EXEC_TYPE_TRADE_CANCEL
    figures = (0, 0) if is_bust else (report.last_quantity, report.last_price_micros)
    return Amendment(report.exec_id, report.first_exec_id or report.exec_ref_id, *figures)


def revision_of(body: bytes) -> tuple[str, Terms]:
    """The order that the exchange gave other terms, and these, by its report."""
    report = exchange_pb2.ExecutionReport.FromString(body)
    return report.client_order_id, _terms_from(report)


def not_known_to(trade_id: str) -> operators_pb.ResolveOrderRequest:
    """Say that the exchange never had an order."""
    return operators_pb.ResolveOrderRequest(
        trade_id=trade_id,
        evidence=_WORDS,
        reason_text=_WORDS,
        despite_exchange="it is never answered",
        not_known=operators_pb.ResolveOrderRequest.NotKnown(),
    )


def correction_to(fill: Fill) -> control_pb.CorrectExecutionRequest:
    """Say that a fill was that."""
    return control_pb.CorrectExecutionRequest(
        exec_id=fill.execution_id,
        quantity=fill.quantity,
        price_micros=fill.price_micros,
        reason_text=_WORDS,
    )


def bust_to(fill: Fill) -> control_pb.BustExecutionRequest:
    """Say that a fill never was."""
    return control_pb.BustExecutionRequest(exec_id=fill.execution_id, reason_text=_WORDS)


def transfer_from(row: journal_pb2.JournalTransfer) -> Transfer:
    """A row of the journal."""
    return Transfer(
        seq=row.seq,
        transfer_id=row.transfer_id,
        kind=row.kind,
        is_done=not row.reason,
        hold_id=row.hold_id,
        reference=row.reference,
    )


def entry_from(row: journal_pb2.JournalEntry) -> Entry:
    """A row of the journal."""
    is_debit = row.direction == journal_pb2.DIRECTION_DEBIT
    return Entry(
        seq=row.seq,
        account=row.account,
        asset=row.asset,
        version=row.version,
        amount=-row.amount if is_debit else row.amount,
        balance_after=row.balance_after,
        held_after=row.held_after,
        has_floor=not row.may_go_below_zero,
    )


def broken_from(invariants: Iterable[invariant_pb2.Invariant]) -> list[str]:
    """Those that do not hold, in words that begin with their names."""
    return [
        f"{one.id} is broken ({one.rule}): {'; '.join(one.breaches)}"
        for one in invariants
        if not one.holds
    ]


def complaints_from(found: reconciliation_pb.GetReconciliationResponse) -> list[str]:
    """Breaks that are not over, and reports that cannot be true."""
    words = [
        f"reconciliation has {one.count} {BreakClass.Name(one.break_class)}"
        for one in found.open_breaks
        if one.count
    ]
    if found.parked_reports > 0:
        words.append(f"exchange_gateway has parked {found.parked_reports} reports")
    return words


def close_to() -> control_pb.SetPhaseRequest:
    """The close."""
    return control_pb.SetPhaseRequest(phase=control_pb.SetPhaseRequest.PHASE_CLOSED)


def faults_to(script: Misbehaviour) -> control_pb.SetFaultsRequest:
    """The exchange's script."""
    return control_pb.SetFaultsRequest(
        duplicate_report_permille=script.duplicate_permille,
        reorder_report_permille=script.reorder_permille,
        reject_order_permille=script.reject_permille,
        lose_acknowledge_permille=script.lose_acknowledge_permille,
        delay_report_ms=script.delay_ms,
    )
