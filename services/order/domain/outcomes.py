"""What becomes of a trade once its turn has come: the table says what can be, the rules how.

A venue's fill is a fact: it counts in every status in which an order can be at the venue, also
while a cancel is on its way. What cannot be true of the trade is IMPOSSIBLE and changes nothing.
"""

from collections.abc import Mapping

from libs.held import held_id
from services.order.domain.amending import amend, event_of
from services.order.domain.canceling import (
    REASONS,
    asked_by,
    is_asked,
    reject_cancel,
    tell_too_late,
    words_of,
)
from services.order.domain.event import Cause
from services.order.domain.lifecycle import Event, State, Still, after, follow
from services.order.domain.news import (
    Accepted,
    Amended,
    Canceled,
    CancelRejected,
    Executed,
    InDoubt,
    Outcome,
    Rejected,
    Replaced,
    ReplaceRejected,
)
from services.order.domain.replacing import reject_replace, replaced, tell_too_late_to_replace
from services.order.domain.trade import Trade, TradeStatus
from services.order.domain.verdicts import (
    REPEATED,
    Code,
    Step,
    Verdict,
    applied,
    impossible,
    resolved,
)

_MAX_INT64 = 2**63 - 1


def start(trade: Trade) -> Step | None:
    """The step of taking a trade up; None when it was taken up before."""
    if isinstance(follow(trade.standing, Event.STARTED), Still):
        return None
    return Step(Event.STARTED, after(trade.standing, Event.STARTED), Cause.HOUSE)


def judge(trade: Trade, outcome: Outcome) -> Verdict:
    """Look up where the outcome leads, and go there."""
    event = _event(trade, outcome)
    then = follow(trade.standing, event)
    if isinstance(then, State):
        return tell_too_late_to_replace(_apply(trade, outcome, event))
    if then is Still.REPEATED:
        return REPEATED if _is_same(trade, outcome) else _cannot_be(trade, Still.OVER)
    return _cannot_be(trade, then)


_EVENTS: Mapping[type[Outcome], Event] = {
    Accepted: Event.ACCEPTED,
    Rejected: Event.REJECTED,
    CancelRejected: Event.CANCEL_REJECTED,
    Replaced: Event.REPLACED,
    ReplaceRejected: Event.REPLACE_REJECTED,
    InDoubt: Event.IN_DOUBT,
}


def _event(trade: Trade, outcome: Outcome) -> Event:
    event = _EVENTS.get(type(outcome))
    if event is not None:
        return event
    match outcome:
        case Executed(execution):
            left = trade.terms.quantity - trade.standing.traded_quantity - execution.quantity
            return Event.FILLED_IN_PART if left > 0 else Event.FILLED_WHOLE
        case Canceled():
            return Event.EXPIRED if outcome.expired else Event.CANCELED
        case Amended(amendment):
            return event_of(amendment)
    raise TypeError(f"no event of {outcome}")


def _apply(trade: Trade, outcome: Outcome, event: Event) -> Verdict:
    match outcome:
        case Accepted():
            return _accept(trade, outcome)
        case Executed():
            return _fill(trade, outcome, event)
        case Rejected():
            return _reject(trade, outcome)
        case Canceled():
            return _end(trade, outcome, event)
        case CancelRejected() | Replaced() | ReplaceRejected():
            return _answer_request(trade, outcome)
        case InDoubt():
            return _doubt(trade, outcome)
        case Amended():
            return amend(trade, outcome)


def _is_same(trade: Trade, outcome: Outcome) -> bool:
    """Whether what is told of a trade that is over was told of it before."""
    standing = trade.standing
    match outcome:
        case Accepted(exchange_order_id):
            return exchange_order_id in (standing.exchange_order_id, held_id(trade.trade_id))
        case Rejected(reason):
            return standing.reason == reason
        case Canceled(reason):
            was_asked = is_asked(standing.reason) or bool(trade.orig_client_order_id)
            is_asked_for = was_asked and is_asked(reason)
            return standing.reason == reason or is_asked_for
    return True


def _cannot_be(trade: Trade, why: Still) -> Verdict:
    return impossible(f"{why.value} ({trade.status.name})")


def _accept(trade: Trade, outcome: Accepted) -> Verdict:
    """The exchange takes an order once; before that the house may have taken a stop to hold it."""
    known, by_house = trade.standing.exchange_order_id, held_id(trade.trade_id)
    is_new = not known or (known == by_house != outcome.exchange_order_id)
    if not is_new and outcome.exchange_order_id not in (known, by_house):
        return impossible(f"the exchange accepted it before as {known}")
    cause = Cause.HOUSE if outcome.exchange_order_id == by_house else Cause.EXCHANGE
    if not is_new and not trade.standing.in_doubt:
        return REPEATED
    if not is_new:
        return Verdict(Code.APPLIED, (resolved(trade, cause),))
    standing = after(
        trade.standing,
        Event.ACCEPTED,
        exchange_order_id=outcome.exchange_order_id,
        in_doubt=False,
        reason_text="",
    )
    return applied(trade, Step(Event.ACCEPTED, standing, cause))


def _fill(trade: Trade, outcome: Executed, event: Event) -> Verdict:
    execution, before = outcome.execution, trade.standing
    filled_quantity = before.filled_quantity + execution.quantity
    # A correction may have made more of a fill than is used up at the exchange.
    most = max(filled_quantity, before.traded_quantity + execution.quantity)
    if most > trade.terms.quantity:
        return impossible(f"{most} shares of {trade.terms.quantity} would be filled")
    notional_micros = before.filled_notional_micros + execution.quantity * execution.price_micros
    if notional_micros > _MAX_INT64:
        return impossible("the notional would not fit 64 bits")
    standing = after(
        before,
        event,
        filled_quantity=filled_quantity,
        filled_notional_micros=notional_micros,
        executed_at=execution.executed_at,
        in_doubt=False,
        reason_text="",
    )
    verdict = applied(trade, Step(event, standing, Cause.EXCHANGE, execution))
    return tell_too_late(trade, verdict)


def _reject(trade: Trade, outcome: Rejected) -> Verdict:
    if trade.status is TradeStatus.PLACED and outcome.cause is Cause.EXCHANGE:
        return _cannot_be(trade, Still.NOT_SENT)
    standing = after(
        trade.standing,
        Event.REJECTED,
        reason=outcome.reason,
        reason_text=outcome.reason_text,
        in_doubt=False,
    )
    return applied(trade, Step(Event.REJECTED, standing, outcome.cause))


def _end(trade: Trade, outcome: Canceled, event: Event) -> Verdict:
    asker = asked_by(trade, outcome.reason)
    standing = after(
        trade.standing,
        event,
        reason=outcome.reason if asker is None else REASONS[asker],
        reason_text=outcome.reason_text if asker is None else words_of(trade.standing.reason),
        in_doubt=False,
    )
    unasked = Cause.HOUSE if trade.status is TradeStatus.PLACED else outcome.cause
    return applied(trade, Step(event, standing, asker or unasked))


def _answer_request(trade: Trade, outcome: CancelRejected | Replaced | ReplaceRejected) -> Verdict:
    if isinstance(outcome, CancelRejected):
        return reject_cancel(trade, outcome)
    wanted = trade.standing.replace
    if wanted is None:
        return REPEATED
    if isinstance(outcome, Replaced):
        return tell_too_late(trade, replaced(trade, wanted))
    return reject_replace(trade, wanted, outcome)


def _doubt(trade: Trade, outcome: InDoubt) -> Verdict:
    """Whoever doubted an order that rests had not heard yet that it does."""
    is_awaited = trade.needs_turn or trade.status.is_pending
    if trade.standing.in_doubt or not is_awaited:
        return REPEATED
    standing = after(trade.standing, Event.IN_DOUBT, in_doubt=True, reason_text=outcome.reason_text)
    return Verdict(Code.APPLIED, (Step(Event.IN_DOUBT, standing, Cause.HOUSE),))
