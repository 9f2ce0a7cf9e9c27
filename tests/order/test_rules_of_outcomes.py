"""The table (status, outcome) -> what is recorded, row by row."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from libs.reasons import Reason
from libs.refusals import Refused
from services.order.domain.canceling import REASONS, cancel
from services.order.domain.event import Cause, Execution, TradeEventKind
from services.order.domain.journal import Journal, Told
from services.order.domain.news import (
    Accepted,
    Canceled,
    CancelRejected,
    Executed,
    InDoubt,
    Outcome,
    Rejected,
)
from services.order.domain.outcomes import judge, start
from services.order.domain.terms import OrderType, Side, Terms
from services.order.domain.trade import Standing, Trade, TradeStatus, average_price_micros
from services.order.domain.verdicts import Code

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
TRADE_ID = "019aa000-0000-7000-8000-000000000001"

S, K = TradeStatus, TradeEventKind
WORKING = [S.IN_PROGRESS, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE]
TERMINAL = [S.FILLED, S.CANCELED, S.REJECTED, S.EXPIRED]


def a_trade(status: TradeStatus = S.IN_PROGRESS, **standing: object) -> Trade:
    """100 AAPL; a partly filled one has 40, a filled one 100."""
    filled = {S.PARTIALLY_FILLED: 40, S.FILLED: 100}.get(status, 0)
    defaults: dict[str, object] = {
        "status": status,
        "filled_quantity": filled,
        "filled_notional_micros": filled * 1_000,
    }
    return Trade(
        trade_id=TRADE_ID,
        client_order_id="c-1",
        customer_id="alice",
        terms=Terms(symbol="AAPL", side=Side.BUY, quantity=100),
        placed_seq=1,
        created_at=AT,
        standing=Standing(**(defaults | standing)),  # type: ignore[arg-type]
        seq=2,
        updated_at=AT,
    )


def a_fill(quantity: int = 60, price_micros: int = 1_000, execution_id: str = "e-1") -> Executed:
    """A fill of that many shares."""
    return Executed(
        Execution(
            execution_id=execution_id,
            trade_id=TRADE_ID,
            quantity=quantity,
            price_micros=price_micros,
            venue="XSIM",
            executed_at=AT,
        )
    )


NO_FUNDS = Rejected(Reason.REASON_INSUFFICIENT_FUNDS, "no", Cause.HOUSE)
REFUSED = Rejected(Reason.REASON_EXCHANGE_REJECTED, "no", Cause.EXCHANGE)
CANCELED = Canceled(Reason.REASON_NO_LIQUIDITY, "dry", expired=False)
EXPIRED = Canceled(Reason.REASON_EXPIRED, "late", expired=True)
DOUBT = InDoubt("no answer")
TOO_LATE = CancelRejected(Reason.REASON_TOO_LATE_TO_CANCEL)
ASKED = Canceled(Reason.REASON_CANCELED_BY_CUSTOMER, "", expired=False)
EVERY_KIND: list[Outcome] = [
    Accepted("X-1"), a_fill(), NO_FUNDS, CANCELED, ASKED, EXPIRED, TOO_LATE, DOUBT,
]  # fmt: skip


@pytest.mark.parametrize("status", list(TradeStatus))
@pytest.mark.parametrize("outcome", EVERY_KIND)
def test_every_outcome_has_a_rule_in_every_status(status: TradeStatus, outcome: Outcome) -> None:
    verdict = judge(a_trade(status), outcome)

    assert (verdict.code is Code.APPLIED) == bool(verdict.steps)
    assert (verdict.code is Code.IMPOSSIBLE) == bool(verdict.detail)


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("outcome", EVERY_KIND)
def test_a_trade_never_leaves_a_terminal_status(status: TradeStatus, outcome: Outcome) -> None:
    assert judge(a_trade(status), outcome).code is not Code.APPLIED


@pytest.mark.parametrize("outcome", [Accepted("X-1"), a_fill(), REFUSED, TOO_LATE, DOUBT])
def test_nothing_comes_from_the_exchange_before_a_trade_was_sent(outcome: Outcome) -> None:
    assert judge(a_trade(S.PLACED), outcome).code is Code.IMPOSSIBLE


@pytest.mark.parametrize(
    ("outcome", "status", "cause"),
    [
        (NO_FUNDS, S.REJECTED, Cause.HOUSE),
        (CANCELED, S.CANCELED, Cause.HOUSE),
        (EXPIRED, S.EXPIRED, Cause.HOUSE),
    ],
)
def test_the_house_may_end_a_trade_that_waits(
    outcome: Outcome, status: TradeStatus, cause: Cause
) -> None:
    (step,) = judge(a_trade(S.PLACED), outcome).steps
    assert (step.standing.status, step.cause) == (status, cause)


@pytest.mark.parametrize("status", WORKING)
def test_a_fill_counts_wherever_an_order_can_be_at_the_exchange(status: TradeStatus) -> None:
    trade = a_trade(status, filled_quantity=40, filled_notional_micros=40_000)

    whole, *_ = judge(trade, a_fill(60, 2_000)).steps
    assert whole.kind is K.EXECUTED
    assert whole.standing.status is S.FILLED
    assert whole.standing.filled_quantity == 100
    assert whole.standing.filled_notional_micros == 160_000
    assert whole.standing.executed_at == AT

    (part,) = judge(trade, a_fill(59)).steps
    still = S.PARTIALLY_FILLED if status is S.IN_PROGRESS else status
    assert part.standing.status is still


@pytest.mark.parametrize("status", WORKING)
def test_more_shares_than_ordered_are_impossible(status: TradeStatus) -> None:
    trade = a_trade(status, filled_quantity=40)
    verdict = judge(trade, a_fill(61))
    assert verdict.code is Code.IMPOSSIBLE
    assert "101 shares of 100" in verdict.detail


def test_a_notional_beyond_64_bits_is_impossible() -> None:
    assert judge(a_trade(), a_fill(1, 2**63 - 1)).code is Code.APPLIED
    assert judge(a_trade(), a_fill(2, 2**62)).code is Code.IMPOSSIBLE


@pytest.mark.parametrize("status", WORKING)
def test_an_end_is_recorded_with_its_reason(status: TradeStatus) -> None:
    trade = a_trade(status, filled_quantity=0)
    for outcome, ended, kind, cause in (
        (NO_FUNDS, S.REJECTED, K.REJECTED, Cause.HOUSE),
        (REFUSED, S.REJECTED, K.REJECTED, Cause.EXCHANGE),
        (CANCELED, S.CANCELED, K.CANCELED, Cause.EXCHANGE),
        (EXPIRED, S.EXPIRED, K.EXPIRED, Cause.EXCHANGE),
        (replace(EXPIRED, cause=Cause.HOUSE), S.EXPIRED, K.EXPIRED, Cause.HOUSE),
        (Canceled(Reason.REASON_CANCELED_BY_CUSTOMER, "", False), S.CANCELED, K.CANCELED,
         Cause.CUSTOMER),
        (Canceled(Reason.REASON_CANCELED_BY_OPERATOR, "", False), S.CANCELED, K.CANCELED,
         Cause.OPERATOR),
    ):  # fmt: skip
        (step,) = judge(trade, outcome).steps
        assert (step.standing.status, step.kind, step.cause) == (ended, kind, cause)
        assert step.standing.reason == outcome.reason


def test_a_trade_with_fills_cannot_be_rejected_and_keeps_them_when_canceled() -> None:
    trade = a_trade(S.PARTIALLY_FILLED)
    assert judge(trade, REFUSED).code is Code.IMPOSSIBLE
    (step,) = judge(trade, CANCELED).steps
    assert step.standing.filled_quantity == 40


def test_the_same_end_told_again_is_repeated_and_another_one_impossible() -> None:
    rejected = a_trade(S.REJECTED, reason=NO_FUNDS.reason)
    assert judge(rejected, NO_FUNDS).code is Code.REPEATED
    assert judge(rejected, REFUSED).code is Code.IMPOSSIBLE
    canceled = a_trade(S.CANCELED, reason=CANCELED.reason)
    assert judge(canceled, CANCELED).code is Code.REPEATED
    assert judge(canceled, EXPIRED).code is Code.IMPOSSIBLE
    of_another_reason = replace(CANCELED, reason=Reason.REASON_EXCHANGE_REJECTED)
    assert judge(canceled, of_another_reason).code is Code.IMPOSSIBLE
    expired = a_trade(S.EXPIRED, reason=EXPIRED.reason)
    assert judge(expired, EXPIRED).code is Code.REPEATED
    assert judge(expired, CANCELED).code is Code.IMPOSSIBLE


@pytest.mark.parametrize("status", [*WORKING, *TERMINAL])
def test_an_acceptance_counts_once_and_never_under_two_ids(status: TradeStatus) -> None:
    trade = a_trade(status, exchange_order_id="X-1")
    assert judge(trade, Accepted("X-1")).code is Code.REPEATED
    assert judge(trade, Accepted("X-2")).code is Code.IMPOSSIBLE


@pytest.mark.parametrize("status", WORKING)
def test_a_stop_is_accepted_by_the_house_that_holds_it_and_later_by_the_exchange(
    status: TradeStatus,
) -> None:
    by_house = Accepted(f"HELD-{TRADE_ID}")
    (held,) = judge(a_trade(status), by_house).steps
    assert (held.standing.exchange_order_id, held.cause) == (f"HELD-{TRADE_ID}", Cause.HOUSE)
    trade = replace(a_trade(), standing=held.standing)
    assert judge(trade, by_house).code is Code.REPEATED
    (sent,) = judge(trade, Accepted("X-1")).steps
    assert (sent.standing.exchange_order_id, sent.cause) == ("X-1", Cause.EXCHANGE)
    trade = replace(a_trade(), standing=sent.standing)
    for again in (by_house, Accepted("X-1")):
        assert judge(trade, again).code is Code.REPEATED
    assert judge(trade, Accepted("X-2")).code is Code.IMPOSSIBLE
    assert judge(trade, Accepted("HELD-another")).code is Code.IMPOSSIBLE


@pytest.mark.parametrize("status", TERMINAL)
def test_that_the_house_held_it_is_nothing_new_of_what_is_over(status: TradeStatus) -> None:
    trade = a_trade(status, exchange_order_id="X-1")
    assert judge(trade, Accepted(f"HELD-{TRADE_ID}")).code is Code.REPEATED


@pytest.mark.parametrize("status", WORKING)
def test_an_acceptance_gives_the_exchange_order_id(status: TradeStatus) -> None:
    (step,) = judge(a_trade(status), Accepted("X-1")).steps
    assert (step.kind, step.standing.status) == (K.ACCEPTED, status)
    assert step.standing.exchange_order_id == "X-1"


@pytest.mark.parametrize("status", WORKING)
def test_doubt_is_shown_until_the_exchange_answers(status: TradeStatus) -> None:
    (step,) = judge(a_trade(status), DOUBT).steps
    assert (step.kind, step.standing.in_doubt) == (K.IN_DOUBT, True)
    doubtful = replace(a_trade(status), standing=step.standing)
    assert judge(doubtful, DOUBT).code is Code.REPEATED

    answers: list[Outcome] = [Accepted("X-1"), a_fill(1), CANCELED, EXPIRED]
    if not step.standing.filled_quantity:
        answers.append(REFUSED)
    for outcome in answers:
        resolved, told = judge(doubtful, outcome).steps
        assert resolved.kind is K.RESOLVED
        assert resolved.standing.status is status
        assert not resolved.standing.in_doubt
        assert not told.standing.in_doubt


def test_an_order_the_exchange_says_it_has_is_no_longer_in_doubt() -> None:
    trade = a_trade(in_doubt=True, exchange_order_id="X-1")
    (step,) = judge(trade, Accepted("X-1")).steps
    assert step.kind is K.RESOLVED


def resting(trade: Trade) -> Trade:
    """The same as an order that may rest at the exchange."""
    terms = replace(trade.terms, order_type=OrderType.LIMIT, limit_price_micros=1_000)
    return replace(trade, terms=terms)


@pytest.mark.parametrize("status", [S.IN_PROGRESS, S.PARTIALLY_FILLED])
def test_a_doubt_that_comes_after_the_order_rests_was_answered_by_that(status: TradeStatus) -> None:
    trade = resting(a_trade(status, exchange_order_id="X-1"))
    assert judge(trade, DOUBT).code is Code.REPEATED
    assert judge(resting(a_trade()), DOUBT).code is Code.APPLIED, "nobody knows whether it rests"


@pytest.mark.parametrize("status", [S.PENDING_CANCEL, S.PENDING_REPLACE])
def test_a_request_about_an_order_that_rests_may_be_in_doubt(status: TradeStatus) -> None:
    trade = resting(a_trade(status, exchange_order_id="X-1"))
    assert judge(trade, DOUBT).code is Code.APPLIED


@pytest.mark.parametrize("status", TERMINAL)
def test_a_doubt_after_the_end_was_answered_by_the_end(status: TradeStatus) -> None:
    assert judge(a_trade(status), DOUBT).code is Code.REPEATED


def test_only_a_trade_that_waits_gets_its_turn() -> None:
    step = start(a_trade(S.PLACED))
    assert step is not None
    assert (step.kind, step.standing.status) == (K.STARTED, S.IN_PROGRESS)
    for status in (*WORKING, *TERMINAL):
        assert start(a_trade(status)) is None


def journal(*trades: Trade) -> Journal:
    """With the customers' heads at 2."""
    heads = {trade.customer_id: 2 for trade in trades}
    return Journal({trade.trade_id: trade for trade in trades}, heads, at=AT)


def test_a_fill_told_again_is_repeated_and_with_other_terms_impossible() -> None:
    books = journal(a_trade())
    assert books.apply(Told(TRADE_ID, a_fill(60))).code is Code.APPLIED
    assert books.apply(Told(TRADE_ID, a_fill(60))).code is Code.REPEATED
    assert books.apply(Told(TRADE_ID, a_fill(40))).code is Code.IMPOSSIBLE
    assert books.trades[TRADE_ID].standing.filled_quantity == 60


@pytest.mark.parametrize(
    "told",
    [
        Told("", Accepted("X-1")),
        Told("not a uuid", Accepted("X-1")),
        Told(TRADE_ID.upper(), Accepted("X-1")),
        Told("019aa000-0000-7000-8000-00000000ffff", Accepted("X-1")),
        Told(TRADE_ID, None),
        Told(TRADE_ID, Accepted("")),
        Told(TRADE_ID, Accepted("X\0")),
        Told(TRADE_ID, Accepted("X" * 129)),
        Told(TRADE_ID, a_fill(0)),
        Told(TRADE_ID, a_fill(-1)),
        Told(TRADE_ID, a_fill(1, 0)),
        Told(TRADE_ID, a_fill(1, 1, "")),
        Told(TRADE_ID, a_fill(1, 1, "e\0")),
        Told(TRADE_ID, Rejected(0, "no", Cause.HOUSE)),
        Told(TRADE_ID, Canceled(0, "no", expired=False)),
    ],
)
def test_what_is_no_outcome_of_the_trade_is_impossible(told: Told) -> None:
    books = journal(a_trade())
    assert books.apply(told).code is Code.IMPOSSIBLE
    assert not books.events


def test_a_fill_of_another_trade_is_impossible() -> None:
    other = replace(a_trade(), trade_id="019aa000-0000-7000-8000-000000000002")
    books = journal(a_trade(), other)
    assert books.apply(Told(other.trade_id, a_fill())).code is Code.IMPOSSIBLE


OUTCOMES = st.one_of(
    st.builds(Accepted, st.sampled_from(["X-1", "X-2"])),
    st.builds(
        a_fill, st.integers(1, 70), st.integers(1, 2_000), st.sampled_from(["a", "b", "c", "d"])
    ),
    st.sampled_from([NO_FUNDS, REFUSED, CANCELED, ASKED, EXPIRED, TOO_LATE, DOUBT]),
    st.sampled_from(list(REASONS)),
)


def ask(books: Journal, cause: Cause) -> None:
    """Ask for the trade to be canceled; too late is no matter."""
    with suppress(Refused):
        step = cancel(books.trades[TRADE_ID], cause)
        if step is not None:
            books.record(TRADE_ID, step)


@given(st.lists(OUTCOMES, max_size=12))
def test_whatever_is_told_and_asked_the_sums_are_exact_and_the_sequence_has_no_gap(
    outcomes: list[Outcome | Cause],
) -> None:
    books = journal(a_trade(S.PLACED))
    books.start(TRADE_ID)
    for outcome in outcomes:
        if isinstance(outcome, Cause):
            ask(books, outcome)
        else:
            books.apply(Told(TRADE_ID, outcome))

    trade, fills = books.trades[TRADE_ID], books.executions.values()
    assert trade.standing.filled_quantity == sum(fill.quantity for fill in fills) <= 100
    assert trade.standing.filled_notional_micros == sum(
        fill.quantity * fill.price_micros for fill in fills
    )
    assert (trade.status is S.FILLED) == (trade.standing.filled_quantity == 100)
    assert [event.seq for event in books.events] == list(range(3, 3 + len(books.events)))
    assert [event.previous_seq for event in books.events] == list(range(2, 2 + len(books.events)))
    ended = [event for event in books.events if event.trade.status.is_terminal]
    assert books.events[len(books.events) - len(ended) :] == ended, "nothing follows the end"
    assert [event.kind for event in ended[1:]] in ([], [K.CANCEL_REJECTED])
    answered = [event for event in books.events if event.kind is K.CANCEL_REJECTED]
    asked = [event for event in books.events if event.kind is K.CANCEL_REQUESTED]
    assert len(answered) <= len(asked)
    assert all(event.refusal for event in answered)
    assert books.changed() == [trade]


@given(st.integers(1, 10**7), st.integers(0, 10**18))
def test_the_average_is_the_nearest_micro(quantity: int, notional: int) -> None:
    average = average_price_micros(quantity, notional)
    assert abs(2 * (average * quantity - notional)) <= quantity
