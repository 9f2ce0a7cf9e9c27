"""What becomes of a doubt when the house itself answers a replace."""

import pytest

from libs.reasons import Reason
from services.order.domain.event import Cause
from services.order.domain.news import Replaced, ReplaceRejected
from services.order.domain.outcomes import judge
from services.order.domain.terms import Revision
from services.order.domain.trade import Replace, Trade, TradeStatus
from tests.order.test_rules_of_outcomes import K, S, a_trade, resting

REPLACE_ID = "019aa000-0000-7000-8000-0000000000aa"
REFUSED = ReplaceRejected(REPLACE_ID, Reason.REASON_INSUFFICIENT_FUNDS, Cause.HOUSE)


def doubted(status: TradeStatus = S.PENDING_REPLACE, **standing: object) -> Trade:
    """A limit order in doubt, of which other terms are asked."""
    wanted = Replace(
        replace_id=REPLACE_ID,
        client_order_id="c-2",
        orig_client_order_id="c-1",
        asked=Revision(200, 0, 0),
        old=Revision(100, 1_000, 0),
        old_filled_quantity=0,
        new=Revision(200, 1_000, 0),
    )
    return resting(a_trade(status, replace=wanted, in_doubt=True, **standing))


def test_an_order_that_rests_and_of_which_nothing_is_asked_any_more_is_not_in_doubt() -> None:
    trade = doubted(exchange_order_id="X-1")
    resolved, answer = judge(trade, REFUSED).steps
    assert (resolved.kind, answer.kind) == (K.RESOLVED, K.REPLACE_REJECTED)
    assert (answer.standing.status, answer.standing.in_doubt) == (S.IN_PROGRESS, False)


def test_a_trade_has_as_many_shares_as_are_filled_also_after_one_was_corrected_to_more() -> None:
    less = Replace(
        replace_id=REPLACE_ID,
        client_order_id="c-2",
        orig_client_order_id="c-1",
        asked=Revision(50, 0, 0),
        old=Revision(100, 1_000, 0),
        old_filled_quantity=60,
        new=Revision(50, 1_000, 0),
    )
    filled = {"filled_quantity": 80, "taken_back": -20, "filled_notional_micros": 80}
    trade = resting(a_trade(S.PENDING_REPLACE, replace=less, exchange_order_id="X-1", **filled))
    (answer,) = judge(trade, Replaced(REPLACE_ID)).steps
    assert answer.replace is not None
    assert (answer.replace.new.quantity, answer.standing.status) == (80, S.PARTIALLY_FILLED)


@pytest.mark.parametrize(
    "trade",
    [doubted(), doubted(S.PENDING_CANCEL, exchange_order_id="X-1")],
    ids=["not known at the exchange", "being canceled"],
)
def test_what_the_exchange_still_owes_an_answer_about_stays_in_doubt(trade: Trade) -> None:
    (answer,) = judge(trade, REFUSED).steps
    assert (answer.kind, answer.standing.in_doubt) == (K.REPLACE_REJECTED, True)
