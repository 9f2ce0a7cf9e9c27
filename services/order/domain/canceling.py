"""What a request to cancel means for a trade, and what the exchange's answer to it means."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from libs.reasons import Reason
from services.order import refusals
from services.order.domain.news import CancelRejected
from services.order.domain.trade import Cause, Standing, Trade, TradeEventKind, TradeStatus
from services.order.domain.verdicts import Code, Step, Verdict, applied

REASONS: Final[Mapping[Cause, int]] = {
    Cause.CUSTOMER: Reason.REASON_CANCELED_BY_CUSTOMER,
    Cause.OPERATOR: Reason.REASON_CANCELED_BY_OPERATOR,
}
_ASKERS = {reason: cause for cause, reason in REASONS.items()}


class Cancellation(msgspec.Struct, frozen=True):
    """Who asks for what to be canceled. `customer_id` empty: an operator, for any customer."""

    trade_id: str
    customer_id: str = ""

    @property
    def cause(self) -> Cause:
        """Who asks."""
        return Cause.CUSTOMER if self.customer_id else Cause.OPERATOR

    def may_name(self, trade: Trade) -> bool:
        """Customers name their own trades, operators all."""
        return not self.customer_id or trade.customer_id == self.customer_id


def cancel(trade: Trade, cause: Cause) -> Step | None:
    """What the request does to the trade; None: it was asked for before.

    A trade that waits ends at once. One whose turn has come is canceled by the exchange or not at
    all: whether it is there already only the exchange can say. Raises Refused when it has ended.
    """
    standing = trade.standing
    match trade.status:
        case TradeStatus.PLACED:
            ended = replace(standing, status=TradeStatus.CANCELED, reason=REASONS[cause])
            return Step(TradeEventKind.CANCELED, ended, cause)
        case TradeStatus.PENDING_CANCEL:
            return None
        case TradeStatus.CANCELED if is_asked(standing.reason):
            return None
        case status if status.is_terminal:
            raise refusals.too_late_to_cancel()
    pending = replace(standing, status=TradeStatus.PENDING_CANCEL, reason=REASONS[cause])
    return Step(TradeEventKind.CANCEL_REQUESTED, pending, cause)


def is_asked(reason: int) -> bool:
    """Whether a trade that ended for this reason ended because somebody asked for it."""
    return reason in _ASKERS


def asked_by(trade: Trade, reason: int) -> Cause | None:
    """Who asked for the end that came with this reason; None: nobody.

    The exchange knows that it was asked and not by whom; the trade knows, while it is asked for.
    """
    if not is_asked(reason):
        return None
    return _ASKERS.get(trade.standing.reason, _ASKERS[reason])


def reject_cancel(trade: Trade, outcome: CancelRejected) -> Verdict:
    """The trade stands as if nothing had been asked."""
    standing = replace(
        trade.standing, status=_before(trade.standing), reason=0, reason_text="", in_doubt=False
    )
    return applied(trade, _rejection(standing, outcome.reason))


def tell_too_late(before: Trade, verdict: Verdict) -> Verdict:
    """A fill that left nothing to be canceled is also the answer to the cancel."""
    last = verdict.steps[-1]
    is_late = last.standing.status is TradeStatus.FILLED
    if before.status is not TradeStatus.PENDING_CANCEL or not is_late:
        return verdict
    filled = replace(last.standing, reason=0)
    steps = (*verdict.steps[:-1], replace(last, standing=filled))
    return Verdict(Code.APPLIED, (*steps, _rejection(filled, Reason.REASON_TOO_LATE_TO_CANCEL)))


def _rejection(standing: Standing, reason: int) -> Step:
    return Step(TradeEventKind.CANCEL_REJECTED, standing, Cause.EXCHANGE, refusal=reason)


def _before(standing: Standing) -> TradeStatus:
    """Where a trade stood before its cancel was asked for."""
    return TradeStatus.PARTIALLY_FILLED if standing.filled_quantity else TradeStatus.IN_PROGRESS
