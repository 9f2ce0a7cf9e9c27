"""What a request to cancel means, and how it ends; pure."""

import pytest

from libs.reasons import Reason
from libs.refusals import Refused
from services.order.domain.canceling import Cancellation, cancel
from services.order.domain.event import Cause, TradeEventKind
from services.order.domain.news import Accepted, Canceled, CancelRejected, InDoubt
from services.order.domain.outcomes import judge
from services.order.domain.trade import Trade, TradeStatus
from services.order.domain.verdicts import Code
from tests.order.test_rules_of_outcomes import a_fill, a_trade

S, K = TradeStatus, TradeEventKind
BY_CUSTOMER, BY_OPERATOR = Reason.REASON_CANCELED_BY_CUSTOMER, Reason.REASON_CANCELED_BY_OPERATOR
TOO_LATE = Reason.REASON_TOO_LATE_TO_CANCEL
WORDS: dict[int, str] = {
    BY_CUSTOMER: "canceled as the customer asked",
    BY_OPERATOR: "canceled as an operator asked",
}


def pending(asked_for: int = BY_CUSTOMER, *, filled: int = 0, in_doubt: bool = False) -> Trade:
    """A trade whose cancel is on its way."""
    return a_trade(
        S.PENDING_CANCEL,
        reason=asked_for,
        filled_quantity=filled,
        filled_notional_micros=filled * 1_000,
        in_doubt=in_doubt,
    )


@pytest.mark.parametrize(
    ("cause", "reason"), [(Cause.CUSTOMER, BY_CUSTOMER), (Cause.OPERATOR, BY_OPERATOR)]
)
def test_a_trade_that_waits_ends_at_once(cause: Cause, reason: int) -> None:
    step = cancel(a_trade(S.PLACED), cause)
    assert step is not None
    assert (step.kind, step.standing.status, step.standing.reason, step.cause) == (
        K.CANCELED,
        S.CANCELED,
        reason,
        cause,
    )
    assert step.standing.reason_text == WORDS[reason]


@pytest.mark.parametrize("status", [S.IN_PROGRESS, S.PARTIALLY_FILLED])
@pytest.mark.parametrize("in_doubt", [False, True])
def test_a_trade_whose_turn_has_come_is_asked_for(status: TradeStatus, in_doubt: bool) -> None:
    text = "no answer" if in_doubt else ""
    step = cancel(a_trade(status, in_doubt=in_doubt, reason_text=text), Cause.CUSTOMER)
    assert step is not None
    assert (step.kind, step.standing.status, step.standing.reason) == (
        K.CANCEL_REQUESTED,
        S.PENDING_CANCEL,
        BY_CUSTOMER,
    )
    assert (step.standing.in_doubt, step.standing.reason_text) == (in_doubt, text)


@pytest.mark.parametrize("cause", [Cause.CUSTOMER, Cause.OPERATOR])
def test_a_cancel_of_a_cancel_is_the_same_cancel(cause: Cause) -> None:
    assert cancel(pending(BY_OPERATOR), cause) is None
    assert cancel(a_trade(S.CANCELED, reason=BY_CUSTOMER), cause) is None


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (S.FILLED, 0),
        (S.REJECTED, Reason.REASON_EXCHANGE_REJECTED),
        (S.EXPIRED, Reason.REASON_EXPIRED),
        (S.CANCELED, Reason.REASON_NO_LIQUIDITY),
    ],
)
def test_what_has_ended_otherwise_is_too_late(status: TradeStatus, reason: int) -> None:
    with pytest.raises(Refused) as refusal:
        cancel(a_trade(status, reason=reason), Cause.CUSTOMER)
    assert refusal.value.reason_name == "TOO_LATE_TO_CANCEL"


@pytest.mark.parametrize("asked_for", [BY_CUSTOMER, BY_OPERATOR])
@pytest.mark.parametrize("told", [BY_CUSTOMER, BY_OPERATOR])
def test_the_end_that_was_asked_for_names_who_asked(asked_for: int, told: int) -> None:
    trade = pending(asked_for, filled=40)
    (step,) = judge(trade, Canceled(told, "canceled by the member", expired=False)).steps
    assert (step.standing.status, step.standing.reason) == (S.CANCELED, asked_for)
    assert step.standing.reason_text == WORDS[asked_for]
    assert step.cause is (Cause.CUSTOMER if asked_for == BY_CUSTOMER else Cause.OPERATOR)
    assert step.standing.filled_quantity == 40
    ended = a_trade(S.CANCELED, reason=asked_for)
    assert judge(ended, Canceled(told, "", expired=False)).code is Code.REPEATED


def test_an_end_that_nobody_here_asked_for_is_simply_canceled() -> None:
    told = Canceled(BY_CUSTOMER, "canceled by the member", expired=False)
    (step,) = judge(a_trade(S.IN_PROGRESS), told).steps
    assert (step.standing.status, step.standing.reason_text) == (S.CANCELED, "canceled")


def test_an_end_for_another_reason_names_that_reason() -> None:
    (step,) = judge(pending(), Canceled(Reason.REASON_EXPIRED, "late", expired=True)).steps
    assert (step.standing.status, step.standing.reason) == (S.EXPIRED, Reason.REASON_EXPIRED)
    assert step.standing.reason_text == "late"


@pytest.mark.parametrize(("filled", "before"), [(0, S.IN_PROGRESS), (40, S.PARTIALLY_FILLED)])
def test_a_refused_cancel_leaves_the_trade_as_it_was(filled: int, before: TradeStatus) -> None:
    (step,) = judge(pending(filled=filled), CancelRejected(TOO_LATE)).steps
    assert (step.kind, step.refusal) == (K.CANCEL_REJECTED, TOO_LATE)
    assert (step.standing.status, step.standing.reason) == (before, 0)


def test_a_fill_before_the_cancel_leaves_it_pending() -> None:
    (step,) = judge(pending(), a_fill(40)).steps
    assert (step.standing.status, step.standing.reason) == (S.PENDING_CANCEL, BY_CUSTOMER)


@pytest.mark.parametrize("in_doubt", [False, True])
def test_the_last_fill_also_answers_the_cancel(in_doubt: bool) -> None:
    *_, fill, answer = judge(pending(filled=40, in_doubt=in_doubt), a_fill(60)).steps
    assert (fill.kind, fill.standing.status, fill.standing.reason) == (K.EXECUTED, S.FILLED, 0)
    assert (answer.kind, answer.refusal) == (K.CANCEL_REJECTED, TOO_LATE)
    assert answer.standing == fill.standing


@pytest.mark.parametrize(
    "status", [S.IN_PROGRESS, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED]
)
def test_an_answer_nobody_waits_for_says_nothing_new(status: TradeStatus) -> None:
    assert judge(a_trade(status), CancelRejected(TOO_LATE)).code is Code.REPEATED


def test_the_exchange_may_take_an_order_that_is_being_canceled_and_leave_it_in_doubt() -> None:
    (accepted,) = judge(pending(), Accepted("X-1")).steps
    assert accepted.standing.status is S.PENDING_CANCEL
    (doubt,) = judge(pending(), InDoubt("no answer")).steps
    assert (doubt.standing.status, doubt.standing.in_doubt) == (S.PENDING_CANCEL, True)


def test_customers_name_their_own_trades_and_operators_all() -> None:
    trade = a_trade()
    assert Cancellation(trade.trade_id, "alice").may_name(trade)
    assert not Cancellation(trade.trade_id, "bob").may_name(trade)
    assert Cancellation(trade.trade_id).may_name(trade)


def test_a_refused_cancel_ends_the_doubt() -> None:
    resolved, answer = judge(pending(in_doubt=True), CancelRejected(TOO_LATE)).steps
    assert resolved.kind is K.RESOLVED
    assert (answer.kind, answer.standing.in_doubt) == (K.CANCEL_REJECTED, False)
