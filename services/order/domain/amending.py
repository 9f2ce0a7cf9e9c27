"""Fills that the exchange takes back or corrects: the trade stays where it stands."""

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
    trade: Trade, told: Amended, was: Execution | None, before: Amendment | None
) -> Verdict | Amended:
    """What was told, with the fill it is about; or the answer where there is nothing to do.

    `before`: what amended the fill before.
    """
    if was is None or was.trade_id != trade.trade_id:
        return impossible("the trade has no such fill")
    if before is not None:
        if before.amendment_id == told.amendment.amendment_id:
            return REPEATED
        return impossible(f"the fill was amended before, by {before.amendment_id}")
    amendment = _with_old(told.amendment, was)
    return Amended(amendment, was)


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


def _with_old(told: Amendment, was: Execution) -> Amendment:
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
    )
