"""What the exchange said: as the gateway tells it, as the ledger and the order service are told."""

from collections.abc import Iterable, Sequence

from libs.stamps import set_nanos
from services.execution.amend_wire import amended_from, amendment_to
from services.execution.domain.booking import APPLIED, Booking
from services.execution.domain.replacing import saved_by
from services.execution.domain.report import (
    Accepted,
    Amended,
    CancelRejected,
    Ended,
    EndKind,
    Fill,
    News,
    Replaced,
    ReplaceRejected,
    Report,
)
from services.execution.wire import SIDES
from stockbroker.common.v1 import terms_pb2 as terms_pb
from stockbroker.common.v1.reason_pb2 import Reason
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.ledger.v1 import ledger_service_pb2 as ledger_pb
from stockbroker.order.v1 import order_execution_service_pb2 as order_pb
from stockbroker.order.v1 import order_pb2 as trade_pb

_NANOS = 1_000_000_000
_END_KINDS: dict[int, EndKind] = {kind.value: kind for kind in EndKind}


def report_from(report: pb.Report) -> Report:
    """What the exchange said."""
    news: News | None = None
    match report.WhichOneof("report"):
        case "accepted":
            news = Accepted(report.accepted.exchange_order_id)
        case "filled":
            filled = report.filled
            executed_at = filled.executed_at
            news = Fill(
                filled.execution_id,
                filled.quantity,
                filled.price_micros,
                executed_at.seconds * _NANOS + executed_at.nanos,
                filled.is_last,
                filled.limit_price_micros,
            )
        case "ended" if report.ended.kind in _END_KINDS:
            ended = report.ended
            news = Ended(_END_KINDS[ended.kind], ended.reason, ended.reason_text)
        case "cancel_rejected":
            news = CancelRejected(report.cancel_rejected.reason)
        case "replaced":
            done = report.replaced
            news = Replaced(done.replace_id, done.quantity, done.filled_quantity)
        case "busted" | "corrected":
            news = amended_from(report)
        case "replace_rejected":
            refused = report.replace_rejected
            news = ReplaceRejected(refused.replace_id, refused.reason)
    return Report(
        report.report_seq,
        report.trade_id,
        report.customer_id,
        SIDES.get(report.side),
        report.symbol,
        report.venue,
        news,
    )


def applied_to(
    request: pb.ApplyReportsRequest, bookings: Sequence[Booking]
) -> pb.ApplyReportsResponse:
    """What was done with reports."""
    if request.is_brief and all(booking is APPLIED for booking in bookings):
        return pb.ApplyReportsResponse(all_applied=True)
    response = pb.ApplyReportsResponse()
    for report, booking in zip(request.reports, bookings, strict=True):
        response.results.add(
            report_seq=report.report_seq,
            code=pb.ReportResult.Code.ValueType(booking.code),
            detail=booking.detail,
        )
    return response


def postings_to(fills: Iterable[tuple[Report, Fill]]) -> ledger_pb.PostExecutionsRequest:
    """Fills for the ledger."""
    request = ledger_pb.PostExecutionsRequest(is_brief=True)
    add = request.executions.add
    for report, fill in fills:
        assert report.side is not None
        posting = add(
            execution_id=fill.execution_id,
            venue=report.venue,
            trade_id=report.trade_id,
            customer_id=report.customer_id,
            side=terms_pb.Side.ValueType(report.side),
            symbol=report.symbol,
            quantity=fill.quantity,
            price_micros=fill.price_micros,
            releases_rest=fill.is_last,
        )
        set_nanos(posting.executed_at, fill.executed_at_nanos)
        if fill.limit_price_micros:
            posting.released_micros = saved_by(
                side=report.side,
                limit_price_micros=fill.limit_price_micros,
                price_micros=fill.price_micros,
                quantity=fill.quantity,
            )
    return request


def outcomes_to(reports: Iterable[Report]) -> order_pb.ApplyOutcomesRequest:
    """What the exchange said, for the order service."""
    request = order_pb.ApplyOutcomesRequest()
    add = request.outcomes.add
    for report in reports:
        outcome, news = add(trade_id=report.trade_id), report.news
        if isinstance(news, Accepted):
            outcome.accepted.exchange_order_id = news.exchange_order_id
        elif isinstance(news, Fill):
            _fill(outcome.execution, report, news)
        elif isinstance(news, Amended):
            outcome.amended.CopyFrom(amendment_to(report, news))
        else:
            _tell(outcome, news)
    return request


def _tell(outcome: order_pb.Outcome, news: News | None) -> None:
    match news:
        case CancelRejected(reason):
            outcome.cancel_rejected.reason = Reason.ValueType(reason)
        case Replaced(replace_id):
            outcome.replaced.replace_id = replace_id
        case ReplaceRejected(replace_id, reason):
            outcome.replace_rejected.replace_id = replace_id
            outcome.replace_rejected.reason = Reason.ValueType(reason)
            outcome.replace_rejected.cause = "exchange"
        case Ended(EndKind.REJECTED, reason, reason_text):
            outcome.rejected.reason = Reason.ValueType(reason)
            outcome.rejected.reason_text = reason_text
            outcome.rejected.cause = "exchange"
        case Ended(kind, reason, reason_text):
            outcome.canceled.reason = Reason.ValueType(reason)
            outcome.canceled.reason_text = reason_text
            outcome.canceled.expired = kind is EndKind.EXPIRED


def _fill(execution: trade_pb.Execution, report: Report, fill: Fill) -> None:
    execution.execution_id = fill.execution_id
    execution.trade_id = report.trade_id
    execution.quantity = fill.quantity
    execution.price_micros = fill.price_micros
    execution.venue = report.venue
    set_nanos(execution.executed_at, fill.executed_at_nanos)
