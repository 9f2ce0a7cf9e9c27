"""Each check finds the breach it is there for, planted in a recorded history."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from services.chaos.domain.checks import check
from services.chaos.domain.checks_of_customers import check_scripts, check_told_once
from services.chaos.domain.history import (
    Ack,
    Event,
    Fill,
    History,
    Journal,
    Venue,
)
from services.chaos.domain.verdict import Claim, count
from tests.chaos.stories import (
    ALICE,
    CUSTOMER,
    ENTRIES,
    FIRST,
    GOOD,
    SECOND,
    SOLD,
    STORY,
    TRANSFERS,
    asked_for,
    event,
    transfer,
)


def _claims(history: History) -> set[Claim]:
    return {violation.claim for violation in check(history)}


def _with_story(story: Sequence[Event]) -> History:
    return replace(GOOD, events={ALICE: story})


def _with_journal(journal: Journal) -> History:
    return replace(GOOD, journal=journal)


def test_a_history_in_which_every_promise_is_kept_is_clean() -> None:
    assert check(GOOD) == []
    assert set(count(check(GOOD)).values()) == {0}


def test_an_answered_order_that_is_nowhere_is_lost() -> None:
    spoiled = replace(GOOD, acks=[*GOOD.acks, Ack(ALICE, "o-3", "trade-3")])
    (found,) = check(spoiled)
    assert (found.claim, found.subject) == (Claim.LOST, "trade-3")


def test_a_trade_that_is_not_what_was_asked_for_is_found() -> None:
    asked = GOOD.orders[ALICE, "o-1"]
    spoiled = replace(GOOD, orders={**GOOD.orders, (ALICE, "o-1"): replace(asked, quantity=1)})
    (found,) = check(spoiled)
    assert (found.claim, found.subject) == (Claim.BOOKS, FIRST)


def test_a_trade_that_nobody_asked_for_is_found() -> None:
    (found,) = check(replace(GOOD, orders={(ALICE, "o-1"): GOOD.orders[ALICE, "o-1"]}))
    assert (found.claim, found.subject) == (Claim.DOUBLE, SECOND)


def test_a_drill_in_which_nothing_was_filled_proves_nothing() -> None:
    nothing = History(endowments={}, acks=(), events={ALICE: ()})
    assert _claims(nothing) == {Claim.STUCK}


def test_a_customer_without_any_event_has_lost_their_trades() -> None:
    assert Claim.LOST in _claims(replace(GOOD, events={}))


def test_a_fill_of_the_exchange_that_was_never_told_is_lost() -> None:
    story = [*STORY[:-1], replace(STORY[-1], fill=None, filled_quantity=0, status="IN_PROGRESS")]
    assert Claim.LOST in _claims(_with_story(story))


def test_a_fill_of_the_exchange_that_is_not_posted_is_lost() -> None:
    assert Claim.LOST in _claims(_with_journal(Journal(TRANSFERS[:-1], ENTRIES)))
    refused = [*TRANSFERS[:-1], replace(TRANSFERS[-1], is_done=False)]
    assert Claim.LOST in _claims(_with_journal(Journal(refused, ENTRIES)))


def test_one_order_that_was_answered_with_two_trades_is_double() -> None:
    spoiled = replace(GOOD, acks=[*GOOD.acks, Ack(ALICE, "o-1", SECOND)])
    assert Claim.DOUBLE in _claims(spoiled)


def test_one_order_that_was_placed_as_two_trades_is_double() -> None:
    again = replace(event(9, "PLACED", "trade-3", "PLACED"), client_order_id="o-1")
    assert Claim.DOUBLE in _claims(_with_story([*STORY, again]))


def test_a_fill_that_was_told_twice_is_double() -> None:
    again = replace(STORY[-1], seq=9, filled_quantity=4)
    assert Claim.DOUBLE in _claims(_with_story([*STORY, again]))


def test_a_fill_that_was_posted_twice_is_double() -> None:
    again = transfer(7, "execution", "p-3", hold_id=SECOND, reference="XSIM/E2")
    assert Claim.DOUBLE in _claims(_with_journal(Journal([*TRANSFERS, again], ENTRIES)))


def test_a_fill_the_exchange_knows_nothing_of_is_double() -> None:
    assert Claim.DOUBLE in _claims(replace(GOOD, venue=Venue(GOOD.venue.fills[:1])))


def test_a_trade_filled_beyond_its_quantity_is_double() -> None:
    more = Fill("E3", SECOND, 1, 50)
    again = replace(STORY[-1], seq=9, filled_quantity=3, fill=more)
    assert Claim.DOUBLE in _claims(_with_story([*STORY, again]))


def test_what_comes_after_the_end_of_a_trade_is_double() -> None:
    late = event(9, "CANCELED", FIRST, "CANCELED", filled_quantity=2, reason="NO_LIQUIDITY")
    assert Claim.DOUBLE in _claims(_with_story([*STORY, late]))


@pytest.mark.parametrize(("balance", "held"), [(-1, 0), (5, 6)])
def test_a_version_below_zero_or_below_what_is_held_is_negative(balance: int, held: int) -> None:
    below = replace(ENTRIES[-1], balance_after=balance, held_after=held)
    found = check(_with_journal(Journal(TRANSFERS, [*ENTRIES[:-1], below])))
    negative = [violation for violation in found if violation.claim is Claim.NEGATIVE]
    assert [violation.subject for violation in negative] == [f"{CUSTOMER} USD"]


def test_a_gap_and_a_repeat_in_the_events_are_out_of_order() -> None:
    assert Claim.OUT_OF_ORDER in _claims(_with_story([*STORY[:3], *STORY[4:]]))
    assert Claim.OUT_OF_ORDER in _claims(_with_story([*STORY[:4], *STORY[3:]]))


def _renumbered(story: Sequence[Event]) -> list[Event]:
    return [replace(one, seq=seq) for seq, one in enumerate(story, start=1)]


def test_a_trade_that_starts_before_one_placed_earlier_is_out_of_order() -> None:
    story = _renumbered([*STORY[:2], *STORY[5:], *STORY[2:5]])
    assert _claims(_with_story(story)) == {Claim.OUT_OF_ORDER}


def test_orders_that_stand_in_another_order_than_they_were_asked_are_out_of_order() -> None:
    asked = [Ack(ALICE, "o-2", SECOND), Ack(ALICE, "o-1", FIRST)]
    (found,) = check(replace(GOOD, acks=asked))
    assert (found.claim, found.subject) == (Claim.OUT_OF_ORDER, FIRST)


def test_a_trade_that_starts_while_another_is_in_progress_is_out_of_order() -> None:
    story = _renumbered([*STORY[:4], STORY[5], STORY[4], *STORY[6:]])
    assert _claims(_with_story(story)) == {Claim.OUT_OF_ORDER}


def test_a_trade_that_is_canceled_while_it_waits_lets_the_next_one_start() -> None:
    waits = replace(event(3, "PLACED", "trade-3", "PLACED"), client_order_id="o-3")
    canceled = replace(waits, kind="CANCELED", status="CANCELED", reason="CANCELED_BY_CUSTOMER")
    story = _renumbered([*STORY[:2], waits, *STORY[2:4], canceled, *STORY[4:]])
    assert check(replace(_with_story(story), orders=asked_for(story))) == []


def test_a_cancel_that_came_too_late_changes_nothing() -> None:
    late = replace(STORY[-1], seq=9, kind="CANCEL_REJECTED", fill=None)
    assert check(_with_story([*STORY, late])) == []
    changed = replace(late, status="CANCELED", reason="CANCELED_BY_CUSTOMER")
    assert Claim.DOUBLE in _claims(_with_story([*STORY, changed]))


def test_a_story_told_otherwise_than_while_it_happened_is_a_breach() -> None:
    other = [*STORY[:-1], replace(STORY[-1], fill=Fill("E9", SECOND, 2, 50))]
    assert list(check_told_once(ALICE, STORY, STORY)) == []
    assert list(check_told_once(ALICE, STORY[:3], STORY)) == []
    (changed,) = check_told_once(ALICE, STORY, other)
    assert changed.claim is Claim.OUT_OF_ORDER
    (gone,) = check_told_once(ALICE, STORY, STORY[:-1])
    assert (gone.claim, gone.subject) == (Claim.LOST, SECOND)


def _with_second_open(*, in_doubt: bool, has_ended: bool) -> History:
    """The second trade has not come to its end."""
    story = [*STORY[:-1], event(8, "IN_DOUBT", SECOND, "IN_PROGRESS", in_doubt=in_doubt)]
    story[-1] = replace(story[-1], in_doubt_since=1.0 if in_doubt else 0.0)
    ended = {FIRST, SECOND} if has_ended else {FIRST}
    return replace(
        GOOD,
        events={ALICE: story},
        venue=Venue(GOOD.venue.fills[:1], frozenset(ended)),
        journal=Journal(TRANSFERS[:-1], ENTRIES[:-4]),
    )


def test_a_trade_that_is_neither_over_nor_in_doubt_is_stuck() -> None:
    (found,) = check(_with_second_open(in_doubt=False, has_ended=False))
    assert (found.claim, found.subject) == (Claim.STUCK, SECOND)


def test_a_trade_in_doubt_that_the_exchange_has_ended_is_stuck() -> None:
    (found,) = check(_with_second_open(in_doubt=True, has_ended=True))
    assert (found.claim, found.subject) == (Claim.STUCK, SECOND)


def test_a_trade_in_doubt_that_the_exchange_has_not_ended_is_honest() -> None:
    assert check(_with_second_open(in_doubt=True, has_ended=False)) == []


def test_an_end_without_a_fill_needs_a_reason() -> None:
    story = [*STORY[:7], event(8, "REJECTED", SECOND, "REJECTED")]
    assert Claim.STUCK in _claims(_with_story(story))


def test_money_that_comes_of_nothing_is_found() -> None:
    more = replace(ENTRIES[-1], amount=101, balance_after=ENTRIES[-1].balance_after + 1)
    found = check(_with_journal(Journal(TRANSFERS, [*ENTRIES[:-1], more])))
    assert {violation.claim for violation in found} == {Claim.BOOKS}
    assert {violation.subject for violation in found} == {"transfer 6", f"{ALICE} USD"}


def test_a_missing_version_is_found() -> None:
    found = check(_with_journal(Journal(TRANSFERS, [*ENTRIES[:4], *ENTRIES[5:]])))
    assert (Claim.BOOKS, f"{CUSTOMER} USD") in {(one.claim, one.subject) for one in found}


def test_what_is_still_held_for_a_trade_that_is_over_is_found() -> None:
    kept = [replace(ENTRIES[-4], held_after=1), *ENTRIES[-3:]]
    (found,) = check(_with_journal(Journal(TRANSFERS, [*ENTRIES[:-4], *kept])))
    assert (found.claim, found.subject) == (Claim.BOOKS, SECOND)


def test_a_fill_told_at_another_price_than_it_was_executed_is_found() -> None:
    dearer = replace(SOLD, price_micros=49)
    found = check(replace(GOOD, venue=Venue((GOOD.venue.fills[0], dearer), GOOD.venue.ended)))
    assert {(one.claim, one.subject) for one in found} == {
        (Claim.BOOKS, SECOND),
        (Claim.BOOKS, f"{ALICE} USD"),
    }


def test_an_invariant_the_ledger_finds_broken_is_found() -> None:
    (found,) = check(_with_journal(Journal(TRANSFERS, ENTRIES, ["I4 is broken"])))
    assert (found.claim, found.subject) == (Claim.BOOKS, "I4")


@pytest.mark.parametrize(
    ("symbol", "is_clean"),
    [("KO", True), ("TEST.FILL", True), ("TEST.HALF", False), ("TEST.SILENT", False)],
)
def test_an_order_with_a_script_ends_as_that_says(symbol: str, *, is_clean: bool) -> None:
    story = [replace(one, symbol=symbol) for one in STORY]
    assert (list(check_scripts(story)) == []) is is_clean
