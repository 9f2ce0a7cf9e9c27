"""What a request to cancel means for a trade, and what the exchange's answer to it means."""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from libs.reasons import Reason
from services.order import refusals
from services.order.domain.event import Cause
from services.order.domain.lifecycle import Event, Still, after, follow
from services.order.domain.news import CancelRejected
from services.order.domain.trade import Standing, Trade, TradeStatus
from services.order.domain.verdicts import REPEATED, Code, Step, Verdict, applied

REASONS: Final[Mapping[Cause, int]] = {
    Cause.CUSTOMER: Reason.REASON_CANCELED_BY_CUSTOMER,
    Cause.OPERATOR: Reason.REASON_CANCELED_BY_OPERATOR,
}
_ENDING = (Event.FILLED_WHOLE, Event.REPLACED_TO_FILLED)
_ASKERS = {reason: cause for cause, reason in REASONS.items()}
_WORDS = {
    Cause.CUSTOMER: "canceled as the customer asked",
    Cause.OPERATOR: "canceled as an operator asked",
}


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
    event, text = Event.CANCEL_REQUESTED, trade.standing.reason_text
    match follow(trade.standing, event):
        case Still.REPEATED if is_asked(trade.standing.reason):
            return None
        case Still.NOT_SENT:
            event, text = Event.CANCELED, _WORDS[cause]
        case Still():
            raise refusals.too_late_to_cancel()
    standing = after(trade.standing, event, reason=REASONS[cause], reason_text=text)
    return Step(event, standing, cause)


def is_asked(reason: int) -> bool:
    """Whether a trade that ended for this reason ended because somebody asked for it."""
    return reason in _ASKERS


def words_of(asked_for: int) -> str:
    """What a customer reads of the end that somebody asked for, by the reason it was asked for.

    The exchange's own words say that a member asked, which is the house.
    """
    asker = _ASKERS.get(asked_for)
    return _WORDS[asker] if asker else "canceled"


def asked_by(trade: Trade, reason: int) -> Cause | None:
    """Who asked for the end that came with this reason; None: nobody.

    The exchange knows that it was asked and not by whom; the trade knows, while it is asked for.
    """
    if not is_asked(reason):
        return None
    return _ASKERS.get(trade.standing.reason, _ASKERS[reason])


def reject_cancel(trade: Trade, outcome: CancelRejected) -> Verdict:
    """The trade stands as if nothing had been asked. The last fill was the answer before."""
    if trade.status.is_terminal:
        return REPEATED
    return applied(trade, _rejection(trade.standing, outcome.reason))


def tell_too_late(before: Trade, verdict: Verdict) -> Verdict:
    """What leaves nothing to be canceled is also the answer to the cancel."""
    last = verdict.steps[-1]
    if before.status is not TradeStatus.PENDING_CANCEL or last.event not in _ENDING:
        return verdict
    fill = replace(last, standing=replace(last.standing, reason=0))
    answer = _rejection(fill.standing, Reason.REASON_TOO_LATE_TO_CANCEL)
    return Verdict(Code.APPLIED, (*verdict.steps[:-1], fill, answer))


def _rejection(standing: Standing, reason: int) -> Step:
    event = Event.CANCEL_REJECTED
    kept = after(standing, event, reason=0, reason_text="", in_doubt=False)
    return Step(event, kept, Cause.EXCHANGE, refusal=reason)
