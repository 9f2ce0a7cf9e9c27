"""Busts and corrections of fills: contract <-> domain."""

from google.protobuf.timestamp_pb2 import Timestamp

from services.execution.domain.report import Amended, Report
from stockbroker.execution.v1 import execution_service_pb2 as pb
from stockbroker.ledger.v1 import correction_pb2 as ledger_pb
from stockbroker.order.v1 import order_pb2 as trade_pb


def amended_from(report: pb.Report) -> Amended:
    """A fill that never was, or was another."""
    if report.WhichOneof("report") == "busted":
        busted = report.busted
        ids, terms = (busted.execution_id, busted.bust_id), (0, 0)
        at, words = busted.busted_at, busted.reason_text
        previous_id = busted.previous_amendment_id
    else:
        corrected = report.corrected
        ids = corrected.execution_id, corrected.correction_id
        terms = corrected.quantity, corrected.price_micros
        at, words = corrected.corrected_at, corrected.reason_text
        previous_id = corrected.previous_amendment_id
    return Amended(*ids, *terms, at.ToNanoseconds(), words, report.retries, previous_id)


def correction_to(report: Report, amended: Amended) -> ledger_pb.ExecutionCorrection:
    """What became of a fill, for the ledger."""
    is_bust = not amended.quantity
    return ledger_pb.ExecutionCorrection(
        correction_id=amended.amendment_id,
        execution_id=amended.execution_id,
        venue=report.venue,
        kind=ledger_pb.CORRECTION_KIND_BUST if is_bust else ledger_pb.CORRECTION_KIND_CORRECT,
        quantity=amended.quantity,
        price_micros=amended.price_micros,
        effective_at=_timestamp(amended.at_nanos),
        previous_correction_id=amended.previous_id,
        retries=amended.retries,
    )


def amendment_to(report: Report, amended: Amended) -> trade_pb.ExecutionAmendment:
    """The same, for the order service."""
    return trade_pb.ExecutionAmendment(
        amendment_id=amended.amendment_id,
        execution_id=amended.execution_id,
        venue=report.venue,
        quantity=amended.quantity,
        price_micros=amended.price_micros,
        amended_at=_timestamp(amended.at_nanos),
        reason_text=amended.reason_text,
        previous_amendment_id=amended.previous_id,
    )


def _timestamp(nanos: int) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromNanoseconds(nanos)
    return timestamp
