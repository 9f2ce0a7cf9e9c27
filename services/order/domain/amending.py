"""Fills that the exchange takes back or corrects: the trade stays where it stands."""

from collections.abc import Sequence

from services.order.domain.event import Amendment, Cause, Execution
from services.order.domain.lifecycle import Event, after
from services.order.domain.news import Amended
from services.order.domain.trade import Trade
from services.order.domain.verdicts import REPEATED, Step, Verdict, applied, impossible

_MAX_INT64 = 2**63 - 1


def event_of(amendment: Amendment) -> Event:
    """What happened to the trade."""
    return Event.EXECUTION_BUSTED if amendment.is_bust else Event.EXECUTION_CORRECTED


def looked_up(
    trade: Trade, told: Amended, was: Execution | None, before: Sequence[Amendment]
) -> Verdict | Amended:
    """What was told, with the fill it is about; or the answer where there is nothing to do.

    `before`: what amended the fill before, in order. Each amends what the one before it left.
    """
    amendment = told.amendment
    if was is None or was.trade_id != trade.trade_id:
        return impossible("the trade has no such fill")
    if any(each.amendment_id == amendment.amendment_id for each in before):
        return REPEATED
    latest = before[-1] if before else None
    if amendment.previous_id != (latest.amendment_id if latest is not None else ""):
        known = f"by {latest.amendment_id}" if latest is not None else "by nothing"
        words = f"after {amendment.previous_id}" if amendment.previous_id else "first"
        return impossible(f"the fill was amended last {known}, and this one comes {words}")
    if latest is not None and latest.is_bust:
        return impossible(f"the fill never was, by {latest.amendment_id}")
    return Amended(_with_old(amendment, latest or was), was)


def amend(trade: Trade, told: Amended) -> Verdict:
    """Less or more is filled, at another notional; no share gets back to work."""
    amendment, before = told.amendment, trade.standing
    change = amendment.quantity - amendment.old_quantity
    filled = before.filled_quantity + change
    notional = (
        before.filled_notional_micros
        - amendment.old_quantity * amendment.old_price_micros
        + amendment.quantity * amendment.price_micros
    )
    if not 0 <= filled <= trade.terms.quantity:
        return impossible(f"{filled} shares of {trade.terms.quantity} would be filled")
    if not 0 <= notional <= _MAX_INT64:
        return impossible("the notional would not fit 64 bits")
    event = event_of(amendment)
    standing = after(
        before,
        event,
        filled_quantity=filled,
        filled_notional_micros=notional,
        taken_back=before.taken_back - change,
    )
    return applied(trade, Step(event, standing, Cause.EXCHANGE, amendment=amendment))


def _with_old(told: Amendment, was: Execution | Amendment) -> Amendment:
    return Amendment(
        amendment_id=told.amendment_id,
        execution_id=told.execution_id,
        venue=told.venue,
        quantity=told.quantity,
        price_micros=told.price_micros,
        old_quantity=was.quantity,
        old_price_micros=was.price_micros,
        amended_at=told.amended_at,
        reason_text=told.reason_text,
        previous_id=told.previous_id,
    )
