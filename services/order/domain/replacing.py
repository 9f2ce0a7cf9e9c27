"""What a request for other terms means for a trade, and what the answers to it mean."""

from collections.abc import Iterable
from datetime import date

import msgspec
from msgspec.structs import replace

from libs.reasons import Reason
from services.order import refusals
from services.order.domain.event import Cause, TradeEventKind
from services.order.domain.lifecycle import Event, Still, after, follow
from services.order.domain.news import Replaced, ReplaceRejected
from services.order.domain.placing import check_price, has_limit, has_stop
from services.order.domain.terms import Revision, Terms
from services.order.domain.trade import AsPlaced, Replace, Trade, TradeStatus
from services.order.domain.verdicts import REPEATED, Code, Step, Verdict, applied, impossible


class Replacement(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request, with the id its replace gets if it is new."""

    replace_id: str
    trade_id: str
    client_order_id: str
    customer_id: str
    asked: Revision

    @property
    def key(self) -> tuple[str, str]:
        """What makes a repeated call the same call."""
        return self.customer_id, self.client_order_id


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """A replace on record. `answer`: REPLACED or REPLACE_REJECTED; None until it is answered."""

    trade_id: str
    replace: Replace
    answer: TradeEventKind | None = None


def revise(trade: Trade, replacement: Replacement, day: date) -> Step:
    """What the request of that day does to the trade. Raises Invalid or Refused.

    A trade that waits has the new terms at once. One whose turn has come has them once the exchange
    says so.
    """
    new = _new_terms(trade, replacement.asked, day)
    wanted = Replace(
        replace_id=replacement.replace_id,
        client_order_id=replacement.client_order_id,
        orig_client_order_id=trade.client_order_id,
        asked=replacement.asked,
        old=trade.terms.revision,
        old_filled_quantity=trade.standing.traded_quantity,
        new=new,
    )
    event = Event.REPLACE_REQUESTED
    match follow(trade.standing, event):
        case Still.NOT_SENT:
            event = Event.REPLACED
            return Step(event, after(trade.standing, event), Cause.CUSTOMER, replace=wanted)
        case Still.REPEATED if trade.status is TradeStatus.PENDING_CANCEL:
            raise refusals.cancel_pending()
        case Still.REPEATED if not trade.status.is_terminal:
            raise refusals.replace_pending()
        case Still():
            raise refusals.too_late_to_replace()
    standing = after(trade.standing, event, replace=wanted)
    return Step(event, standing, Cause.CUSTOMER, replace=wanted)


def is_repeat(replacement: Replacement, known: Iterable[Known]) -> bool:
    """Whether the very same was asked for before."""
    return any(
        each.trade_id == replacement.trade_id
        and each.replace.client_order_id == replacement.client_order_id
        and each.replace.asked == replacement.asked
        for each in known
    )


def _new_terms(trade: Trade, asked: Revision, day: date) -> Revision:
    """What is kept filled in. Raises Invalid or Refused."""
    terms = trade.terms
    if not terms.may_rest:
        raise refusals.not_replaceable()
    for field, price, is_wanted in (
        ("limit_price_micros", asked.limit_price_micros, has_limit(terms.order_type)),
        ("stop_price_micros", asked.stop_price_micros, has_stop(terms.order_type)),
    ):
        if price:
            check_price(field, price, is_wanted, day)
    return revised(terms, asked).revision


def revised(terms: Terms, asked: Revision) -> Terms:
    """Terms with what is asked for, the rest kept."""
    return terms.revised(
        Revision(
            asked.quantity or terms.quantity,
            asked.limit_price_micros or terms.limit_price_micros,
            asked.stop_price_micros or terms.stop_price_micros,
        )
    )


def answer_of(known: Known, told: Replaced | ReplaceRejected) -> Verdict | None:
    """What an answer means to a replace that was answered before; None: it is the first answer."""
    if known.answer is None:
        return None
    is_done = isinstance(told, Replaced)
    if is_done is (known.answer is TradeEventKind.REPLACED):
        return REPEATED
    return impossible("the replace was answered before, otherwise")


def replaced(trade: Trade, wanted: Replace) -> Verdict:
    """The trade has the terms that were asked for, and no fewer shares than are filled."""
    traded = trade.standing.traded_quantity
    least = max(traded, trade.standing.filled_quantity)
    done = replace(wanted, new=replace(wanted.new, quantity=max(wanted.new.quantity, least)))
    is_filled = done.new.quantity == traded
    event = Event.REPLACED_TO_FILLED if is_filled else Event.REPLACED
    standing = after(trade.standing, event, replace=None, in_doubt=False, reason_text="")
    if is_filled:
        standing = replace(standing, reason=0)
    return applied(trade, Step(event, standing, Cause.EXCHANGE, replace=done))


def reject_replace(trade: Trade, wanted: Replace, outcome: ReplaceRejected) -> Verdict:
    """The trade stands as if nothing had been asked.

    There is no doubt any more when the exchange said so, or when the trade is on its book and
    nothing is asked of it: nobody would ask after that again.
    """
    event = Event.REPLACE_REJECTED
    standing = after(trade.standing, event, replace=None)
    if outcome.cause is Cause.EXCHANGE or (trade.rests and not standing.status.is_pending):
        standing = replace(standing, in_doubt=False, reason_text="")
    step = Step(event, standing, outcome.cause, refusal=outcome.reason, replace=wanted)
    return applied(trade, step)


def tell_too_late_to_replace(verdict: Verdict) -> Verdict:
    """An end leaves nothing to be replaced: it is also the answer to the replace."""
    if not verdict.steps:
        return verdict
    last = verdict.steps[-1].standing
    if last.replace is None or not last.status.is_terminal:
        return verdict
    event = Event.REPLACE_REJECTED
    answer = Step(
        event,
        after(last, event, replace=None),
        Cause.HOUSE,
        refusal=Reason.REASON_TOO_LATE_TO_REPLACE,
        replace=last.replace,
    )
    return Verdict(Code.APPLIED, (*verdict.steps, answer))


def with_terms(trade: Trade, step: Step) -> Trade:
    """The trade with what a replace has to do with it beside how it stands."""
    if step.replace is None:
        return trade
    as_placed = trade.as_placed or AsPlaced(trade.client_order_id, trade.terms.revision)
    trade = replace(trade, as_placed=as_placed)
    if step.kind is not TradeEventKind.REPLACED:
        return trade
    return replace(
        trade,
        terms=trade.terms.revised(step.replace.new),
        client_order_id=step.replace.client_order_id,
        orig_client_order_id=step.replace.orig_client_order_id,
    )
