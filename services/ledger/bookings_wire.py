"""Bookings of fills, as the contract has them."""

from libs.reasons import Reason
from libs.stamps import set_moment
from services.ledger.domain.books import Kind
from services.ledger.domain.forms import Malformed
from services.ledger.store.bookings import Booking
from stockbroker.ledger.v1 import booked_execution_pb2 as pb
from stockbroker.ledger.v1.correction_pb2 import CorrectionKind

_MOST = 5_000
_UNSAID = 1_000
_KINDS = {
    Kind.BUST: CorrectionKind.CORRECTION_KIND_BUST,
    Kind.CORRECTION: CorrectionKind.CORRECTION_KIND_CORRECT,
}


def window_from(request: pb.ListBookedExecutionsRequest) -> tuple[int, int]:
    """After which transfer, and how many to look through. Raises Malformed."""
    if request.after_seq < 0:
        raise Malformed(Reason.REASON_INVALID_SEQUENCE, "after_seq", "after_seq is negative")
    if not 0 <= request.limit <= _MOST:
        raise Malformed(Reason.REASON_INVALID_REQUEST, "limit", f"limit must be 0 to {_MOST}")
    return request.after_seq, request.limit or _UNSAID


def booked_to(booking: Booking) -> pb.BookedExecution:
    message = pb.BookedExecution(
        seq=booking.seq,
        transfer_id=booking.transfer_id,
        is_fill=booking.is_fill,
        venue=booking.venue,
        execution_id=booking.execution_id,
        trade_id=booking.trade_id,
        correction_kind=_KINDS.get(booking.kind, CorrectionKind.CORRECTION_KIND_UNSPECIFIED),
        correction_id=booking.correction_id,
        is_archived=booking.is_archived,
        movements=[
            pb.BookedExecution.Movement(
                customer_id=each.customer_id, asset=each.asset, amount=each.amount
            )
            for each in booking.movements
        ],
    )
    set_moment(message.effective_at, booking.effective_at)
    set_moment(message.recorded_at, booking.recorded_at)
    return message
