"""The table (state, event) -> state, pair by pair, on the rules that use it."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from libs.reasons import Reason
from libs.refusals import Refused
from services.order.domain import lifecycle
from services.order.domain.canceling import cancel
from services.order.domain.event import Amendment, Cause, Execution, TradeEvent, TradeEventKind
from services.order.domain.journal import Journal, Told
from services.order.domain.lifecycle import TABLE, Event, Next, State, Still, state_of
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
from services.order.domain.placing import Placement, place
from services.order.domain.replacing import Known, Replacement, revise
from services.order.domain.terms import OrderType, Revision, Side, Terms
from services.order.domain.trade import Replace, Standing, Trade, TradeStatus
from services.order.domain.verdicts import Code
from tests.order.gates import open_gate
from tests.order.test_rules_of_outcomes import TRADE_ID, a_trade

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
QUANTITY = 100
REPLACE_ID = "019aa000-0000-7000-8000-0000000000aa"
LIMITED = Terms(
    symbol="AAPL",
    side=Side.BUY,
    quantity=QUANTITY,
    order_type=OrderType.LIMIT,
    limit_price_micros=10_000,
)
A_REPLACEMENT = Replacement(
    replace_id=REPLACE_ID,
    trade_id=TRADE_ID,
    client_order_id="c-2",
    customer_id="alice",
    asked=Revision(120, 0, 0),
)
PAIRS = [(state, event) for state in State for event in Event]
MOVES = [(state, event) for state, event in PAIRS if isinstance(TABLE[state][event], State)]

# Reasons of trades that ended, told again as they were told first.
REASONS = {
    State.CANCELED: Reason.REASON_CANCELED_BY_CUSTOMER,
    State.REJECTED: Reason.REASON_EXCHANGE_REJECTED,
    State.EXPIRED: Reason.REASON_EXPIRED,
    State.PENDING_CANCEL: Reason.REASON_CANCELED_BY_CUSTOMER,
    State.PENDING_CANCEL_PARTIALLY_FILLED: Reason.REASON_CANCELED_BY_CUSTOMER,
    State.PENDING_CANCEL_AND_REPLACE: Reason.REASON_CANCELED_BY_CUSTOMER,
    State.PENDING_CANCEL_AND_REPLACE_PARTIALLY_FILLED: Reason.REASON_CANCELED_BY_CUSTOMER,
}
AMENDMENTS = {Event.EXECUTION_BUSTED, Event.EXECUTION_CORRECTED}
MAY_HAVE_FILLS = {State.CANCELED, State.EXPIRED}
REPLACING = {State.PENDING_REPLACE, State.PENDING_REPLACE_PARTIALLY_FILLED} | {
    state for state in State if state.is_over_replace
}


def trade_in(state: State, event: Event) -> Trade | None:
    """A trade of 100 shares in the state, such that the event says something of it."""
    if state.status is None:
        return None
    has_fills = state.is_filled_in_part or (event in AMENDMENTS and state in MAY_HAVE_FILLS)
    filled = QUANTITY if state is State.FILLED else 40 * has_fills
    was_accepted = state.status.is_terminal or event is Event.RESOLVED
    trade = a_trade(
        state.status,
        replace=a_replace(event) if state in REPLACING else None,
        filled_quantity=filled,
        filled_notional_micros=filled * 1_000,
        reason=REASONS.get(state, 0),
        exchange_order_id="X-1" if was_accepted else "",
        in_doubt=event is Event.RESOLVED and not state.status.is_terminal,
    )
    was_replaced = (state, event) == (State.FILLED, Event.CANCELED)
    if event is Event.IN_DOUBT:  # an order that rests is doubted no more
        return trade
    return replace(trade, terms=LIMITED, orig_client_order_id="c-0" if was_replaced else "")


def a_replace(event: Event) -> Replace:
    """Of 100 shares at a cent to 120, or to the 40 that are filled."""
    old = LIMITED.revision
    new = replace(old, quantity=40 if event is Event.REPLACED_TO_FILLED else 120)
    return Replace(
        replace_id=REPLACE_ID,
        client_order_id="c-2",
        orig_client_order_id="c-1",
        asked=new,
        old=old,
        old_filled_quantity=0,
        new=new,
    )


def told(event: Event, trade: Trade | None) -> Outcome:
    """The outcome that makes the event happen."""
    filled = trade.standing.filled_quantity if trade else 0
    reason = (trade.standing.reason if trade else 0) or Reason.REASON_EXCHANGE_REJECTED
    if trade and trade.orig_client_order_id:
        reason = Reason.REASON_CANCELED_BY_CUSTOMER
    house_alone = trade is not None and trade.status is TradeStatus.PLACED
    outcomes: dict[Event, Outcome] = {
        Event.ACCEPTED: Accepted("X-1"),
        Event.RESOLVED: Accepted("X-1"),
        Event.FILLED_IN_PART: a_fill(1),
        Event.FILLED_WHOLE: a_fill(max(1, QUANTITY - filled)),
        Event.REJECTED: Rejected(reason, "", Cause.HOUSE if house_alone else Cause.EXCHANGE),
        Event.CANCELED: Canceled(reason, "", expired=False),
        Event.EXPIRED: Canceled(reason, "", expired=True),
        Event.IN_DOUBT: InDoubt("no answer"),
        Event.CANCEL_REJECTED: CancelRejected(Reason.REASON_TOO_LATE_TO_CANCEL),
        Event.EXECUTION_BUSTED: an_amendment(0, 0),
        Event.EXECUTION_CORRECTED: an_amendment(1, 900),
        Event.REPLACED: Replaced(REPLACE_ID),
        Event.REPLACED_TO_FILLED: Replaced(REPLACE_ID),
        Event.REPLACE_REJECTED: ReplaceRejected(REPLACE_ID, 15, Cause.EXCHANGE),
    }
    return outcomes[event]


def a_fill(quantity: int) -> Executed:
    return Executed(
        Execution(
            execution_id="e-1",
            trade_id=TRADE_ID,
            quantity=quantity,
            price_micros=1_000,
            venue="XSIM",
            executed_at=AT,
        )
    )


def an_amendment(quantity: int, price_micros: int) -> Amended:
    """Of the fill `e-1`."""
    return Amended(
        Amendment(
            amendment_id="b-1",
            execution_id="e-1",
            venue="XSIM",
            quantity=quantity,
            price_micros=price_micros,
            old_quantity=0,
            old_price_micros=0,
            amended_at=AT,
            reason_text="",
        )
    )


def a_journal(trade: Trade | None, event: Event) -> Journal:
    """That knows the trade, its replace, and the fill that the event amends."""
    journal = Journal({TRADE_ID: trade} if trade else {}, {"alice": 2}, at=AT)
    if trade and (wanted := trade.standing.replace):
        journal.replaces[REPLACE_ID] = Known(trade_id=TRADE_ID, replace=wanted)
    if event in AMENDMENTS and trade and (filled := trade.standing.filled_quantity):
        execution = a_fill(filled).execution
        journal.executions[execution.key] = execution
    return journal


def bring_about(state: State, event: Event) -> tuple[Code, list[TradeEvent]]:
    """Bring an event about, with a trade in the state; the answer, and what is recorded."""
    trade = trade_in(state, event)
    journal = a_journal(trade, event)
    if event is Event.PLACED:
        journal.events.extend(placed(trade))
    elif event is Event.STARTED and trade:
        journal.start(TRADE_ID)
    elif event is Event.CANCEL_REQUESTED and trade:
        return asked_to_cancel(journal), journal.events
    elif trade and (event is Event.REPLACE_REQUESTED or trade.status is TradeStatus.PLACED):
        if event in (Event.REPLACE_REQUESTED, Event.REPLACED):
            return asked_to_replace(journal), journal.events
        return journal.apply(Told(TRADE_ID, told(event, trade))).code, journal.events
    elif event not in (Event.STARTED, Event.CANCEL_REQUESTED, Event.REPLACE_REQUESTED):
        return journal.apply(Told(TRADE_ID, told(event, trade))).code, journal.events
    return (Code.APPLIED if journal.events else code_of(TABLE[state][event])), journal.events


def placed(known: Trade | None) -> list[TradeEvent]:
    placement = Placement(
        trade_id=TRADE_ID, client_order_id="c-1", customer_id="alice", terms=a_trade().terms
    )
    recorded = {placement.key: known} if known else {}
    return place([placement], recorded, {"alice": 2}, open_gate(AT)).events


def asked_to_cancel(journal: Journal) -> Code:
    try:
        step = cancel(journal.trades[TRADE_ID], Cause.CUSTOMER)
    except Refused:
        return Code.IMPOSSIBLE
    if step is None:
        return Code.REPEATED
    journal.record(TRADE_ID, step)
    return Code.APPLIED


def asked_to_replace(journal: Journal) -> Code:
    try:
        step = revise(journal.trades[TRADE_ID], A_REPLACEMENT, AT.date())
    except Refused:
        return Code.IMPOSSIBLE
    journal.record(TRADE_ID, step)
    return Code.APPLIED


def code_of(then: Next) -> Code:
    """How the rules answer what leads there."""
    if isinstance(then, State):
        return Code.APPLIED
    return Code.IMPOSSIBLE if then.is_impossible else Code.REPEATED


def test_no_pair_is_missing() -> None:
    assert set(TABLE) == set(State)
    assert all(set(row) == set(Event) for row in TABLE.values())
    assert {state.status for state in State} == {None, *TradeStatus}
    assert {event.kind for event in Event} == set(TradeEventKind)


# Asked to cancel what waits, the house ends it at once: an event of another name.
AT_ONCE = (State.PLACED, Event.CANCEL_REQUESTED)
# So are terms that are asked for.
TERMS_AT_ONCE = (State.PLACED, Event.REPLACE_REQUESTED)
# The last fill was the answer: it is recorded with that fill, and never alone.
WITH_THE_FILL = (State.FILLED, Event.CANCEL_REJECTED)
# Where no replace is on its way such an answer is impossible; so it is that one leaves nothing
# of an order that is not filled at all.
ANSWERS = {Event.REPLACED, Event.REPLACED_TO_FILLED, Event.REPLACE_REJECTED}
NOTHING_ASKED = {
    (state, event) for state, event in PAIRS if event in ANSWERS and state not in REPLACING
} - {(State.PLACED, Event.REPLACED)}
NOTHING_FILLED = {
    (state, Event.REPLACED_TO_FILLED) for state in REPLACING if not state.is_filled_in_part
}


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda each: each.name)
def test_every_pair_leads_where_the_table_says(state: State, event: Event) -> None:
    then = TABLE[state][event]
    code, events = bring_about(state, event)
    if (state, event) == AT_ONCE:
        assert [each.kind for each in events] == [TradeEventKind.CANCELED]
    elif (state, event) == TERMS_AT_ONCE:
        assert [each.kind for each in events] == [TradeEventKind.REPLACED]
    elif (state, event) == WITH_THE_FILL:
        assert (code, events) == (Code.REPEATED, [])
    elif (state, event) in NOTHING_ASKED:
        assert (code, events) == (Code.IMPOSSIBLE, [])
    elif (state, event) in NOTHING_FILLED:
        assert then is Still.REPEATED, "no outcome says so"
    elif event is Event.REPLACE_REQUESTED and not isinstance(then, State):
        assert (code, events) == (Code.IMPOSSIBLE, [])  # refused: one is on its way, or it is over
    elif isinstance(then, State):
        assert (code, [each.kind for each in events][:1]) == (Code.APPLIED, [event.kind])
        assert state_of(events[0].trade.standing) is then
    else:
        assert (code, events) == (code_of(then), [])


@pytest.mark.parametrize(("state", "event"), MOVES, ids=lambda each: each.name)
def test_without_the_move_in_the_table_there_is_none(
    state: State, event: Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = {**TABLE[state], event: Still.OVER}
    monkeypatch.setattr(lifecycle, "TABLE", {**TABLE, state: row})
    try:
        _, events = bring_about(state, event)
    except ValueError:
        return
    assert event.kind not in [each.kind for each in events]


@pytest.mark.parametrize("state", [state for state in State if state.status])
def test_what_ended_stays_ended_and_what_is_open_can_end(state: State) -> None:
    goes_to = {then for then in TABLE[state].values() if isinstance(then, State)}
    if state.status and state.status.is_terminal:
        assert goes_to <= {state}
    else:
        assert {State.CANCELED, State.EXPIRED} <= goes_to


def test_every_state_can_be_reached() -> None:
    reached = {State.NOT_PLACED}
    for _ in State:
        moves = [then for state in reached for then in TABLE[state].values()]
        reached |= {then for then in moves if isinstance(then, State)}
    assert reached == set(State)


def test_a_cancel_that_came_too_late_is_answered_with_the_last_fill() -> None:
    _, events = bring_about(State.PENDING_CANCEL, Event.FILLED_WHOLE)
    assert [event.kind for event in events] == [
        TradeEventKind.EXECUTED,
        TradeEventKind.CANCEL_REJECTED,
    ]
    assert state_of(events[-1].trade.standing) is State.FILLED


@pytest.mark.parametrize("status", list(TradeStatus))
@pytest.mark.parametrize("filled", [0, 1])
def test_every_standing_is_in_one_state(status: TradeStatus, filled: int) -> None:
    state = state_of(Standing(status=status, filled_quantity=filled))
    at_the_exchange = {TradeStatus.IN_PROGRESS, TradeStatus.PARTIALLY_FILLED}
    assert state.status is status or {state.status, status} == at_the_exchange
