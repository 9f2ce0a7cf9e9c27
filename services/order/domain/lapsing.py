"""A DAY trade that nobody took up on its day ends with it."""

from typing import Final

from libs.fills import day_of
from libs.reasons import Reason
from services.order.domain.event import Cause
from services.order.domain.lifecycle import Event, after
from services.order.domain.terms import TimeInForce
from services.order.domain.trade import Trade, TradeStatus
from services.order.domain.verdicts import Step

_WORDS: Final = "the day was over before it could be sent to the exchange"


def lapse(trade: Trade, today: int) -> Step | None:
    """The end of a trade that waits since an earlier day; None: it goes on.

    `today`: the UTC day, counted from 1970-01-01. What was taken up may be at the exchange.
    """
    is_of_the_day = trade.terms.time_in_force == TimeInForce.DAY
    if trade.status is not TradeStatus.PLACED or not is_of_the_day:
        return None
    if day_of(trade.created_at) >= today:
        return None
    reason = Reason.REASON_EXPIRED
    standing = after(trade.standing, Event.EXPIRED, reason=reason, reason_text=_WORDS)
    return Step(Event.EXPIRED, standing, Cause.HOUSE)
