"""Each check of replaces finds the breach it is there for, planted in a recorded history."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.chaos.domain.checks import check
from services.chaos.domain.checks_of_customers import check_prices
from services.chaos.domain.history import Event, Gateway, History, ReplaceAck, Terms
from services.chaos.domain.verdict import Claim
from tests.chaos.stories import ALICE, BOUGHT, FIRST, GOOD, SECOND, STORY, asked_for, event

_BEFORE, _AFTER = Terms(3, 70), Terms(2, 60)
_LIMIT: dict[str, Any] = {"order_type": "LIMIT", "time_in_force": "GTC"}
_REPLACE: dict[str, Any] = {"replace_id": "r-1", "replace_terms": _AFTER}


def _first(seq: int, kind: str, status: str, terms: Terms = _BEFORE, **more: object) -> Event:
    """An event of the first trade, a LIMIT that may rest."""
    told: dict[str, object] = {
        "quantity": terms.quantity,
        "limit_price_micros": terms.limit_price_micros,
        "client_order_id": "o-1" if terms == _BEFORE else "r-1",
        "is_accepted": seq > 3,
    }
    return event(seq, kind, FIRST, status, **_LIMIT | told | more)


_REVISED = (
    _first(1, "PLACED", "PLACED"),
    STORY[1],
    _first(3, "STARTED", "IN_PROGRESS"),
    _first(4, "ACCEPTED", "IN_PROGRESS"),
    replace(STORY[5], seq=5),
    _first(6, "REPLACE_REQUESTED", "PENDING_REPLACE", **_REPLACE),
    _first(7, "REPLACED", "IN_PROGRESS", _AFTER, **_REPLACE),
    replace(STORY[6], seq=8),
    _first(9, "EXECUTED", "FILLED", _AFTER, filled_quantity=2, fill=BOUGHT),
    replace(STORY[7], seq=10),
)
_TERMS = {FIRST: _AFTER, SECOND: Terms(2)}
_ACK = ReplaceAck(ALICE, "r-1", FIRST, Terms(2, 60))
_WELL = replace(
    GOOD,
    events={ALICE: _REVISED},
    orders=asked_for(_REVISED),
    venue=replace(GOOD.venue, terms=_TERMS),
    gateway=Gateway(_TERMS),
    replaces=(_ACK, _ACK),
)


def _found(history: History) -> set[tuple[Claim, str]]:
    return {(one.claim, one.subject) for one in check(history)}


def _told(story: Sequence[Event]) -> History:
    """With these events, numbered anew."""
    numbered = [replace(one, seq=seq) for seq, one in enumerate(story, start=1)]
    return replace(_WELL, events={ALICE: numbered})


def test_an_order_that_was_replaced_while_the_next_one_worked_is_clean() -> None:
    assert check(_WELL) == []


def test_a_trade_that_waits_has_other_terms_at_once() -> None:
    replaced = replace(_REVISED[6], status="PLACED", is_accepted=False)
    started = [replace(_REVISED[at], quantity=2, limit_price_micros=60) for at in (2, 3)]
    started = [replace(one, client_order_id="r-1") for one in started]
    story = [*_REVISED[:2], replaced, *started, _REVISED[4], *_REVISED[7:]]
    assert check(_told(story)) == []


def test_a_replace_that_was_refused_leaves_the_terms_as_they_were() -> None:
    kept = _first(7, "REPLACE_REJECTED", "IN_PROGRESS", **_REPLACE)
    filled: dict[str, Any] = {"filled_quantity": 2}
    part = _first(9, "EXECUTED", "PARTIALLY_FILLED", fill=BOUGHT, **filled)
    ended = _first(10, "CANCELED", "CANCELED", reason="CANCELED_BY_CUSTOMER", **filled)
    history = _told([*_REVISED[:6], kept, _REVISED[7], part, ended, _REVISED[9]])
    terms = {FIRST: _BEFORE, SECOND: Terms(2)}
    venue = replace(history.venue, terms=terms)
    assert check(replace(history, venue=venue, gateway=Gateway(terms))) == []


def test_an_answered_replace_that_is_nowhere_is_lost() -> None:
    spoiled = replace(_WELL, replaces=[_ACK, ReplaceAck(ALICE, "r-2", FIRST, Terms(4))])
    assert _found(spoiled) == {(Claim.LOST, FIRST)}


def test_a_replace_without_an_outcome_is_stuck() -> None:
    ended = _first(7, "EXECUTED", "FILLED", filled_quantity=2, fill=BOUGHT)
    story = [*_REVISED[:6], _REVISED[7], ended, _REVISED[9]]
    assert (Claim.STUCK, FIRST) in _found(_told(story))


def test_a_replace_with_two_outcomes_is_double() -> None:
    late = replace(_REVISED[8], kind="REPLACE_REJECTED", fill=None, **_REPLACE)
    assert (Claim.DOUBLE, FIRST) in _found(_told([*_REVISED, late]))


def test_a_replace_that_nobody_asked_for_is_double() -> None:
    assert (Claim.DOUBLE, FIRST) in _found(_told([*_REVISED[:5], *_REVISED[6:]]))


def test_a_replace_answered_for_two_trades_is_double() -> None:
    spoiled = replace(_WELL, replaces=[_ACK, replace(_ACK, trade_id=SECOND)])
    assert _found(spoiled) == {(Claim.DOUBLE, SECOND)}


def test_a_replace_that_is_asked_for_while_another_has_no_answer_is_out_of_order() -> None:
    again = replace(_REVISED[5], replace_id="r-0")
    assert (Claim.OUT_OF_ORDER, FIRST) in _found(_told([*_REVISED[:5], again, *_REVISED[5:]]))


@pytest.mark.parametrize("asked", [Terms(3, 60), Terms(2, 61), Terms(2, 0, 9)])
def test_a_replace_on_other_terms_than_were_asked_for_is_found(asked: Terms) -> None:
    assert _found(replace(_WELL, replaces=[replace(_ACK, asked=asked)])) == {(Claim.BOOKS, FIRST)}


def test_terms_that_change_without_a_replace_are_found() -> None:
    other = replace(_REVISED[3], limit_price_micros=51)
    assert _found(_told([*_REVISED[:3], other, *_REVISED[4:]])) == {(Claim.BOOKS, FIRST)}


def test_terms_that_do_not_change_with_a_replace_are_found() -> None:
    other = replace(_REVISED[6], limit_price_micros=50)
    assert _found(_told([*_REVISED[:6], other, *_REVISED[7:]])) == {(Claim.BOOKS, FIRST)}


@pytest.mark.parametrize("theirs", [_BEFORE, Terms(2, 50), Terms(2, 60, 70)])
def test_final_terms_that_are_others_elsewhere_are_found(theirs: Terms) -> None:
    terms = _TERMS | {FIRST: theirs}
    venue = replace(_WELL.venue, terms=terms)
    assert _found(replace(_WELL, venue=venue)) == {(Claim.BOOKS, FIRST)}
    assert _found(replace(_WELL, gateway=Gateway(terms))) == {(Claim.BOOKS, FIRST)}


def test_an_order_the_gateway_knows_nothing_of_is_double() -> None:
    venue = replace(_WELL.venue, terms=_TERMS | {"trade-3": Terms(1)})
    assert _found(replace(_WELL, venue=venue)) == {(Claim.DOUBLE, "trade-3")}


@pytest.mark.parametrize(("side", "limit"), [("BUY", 59), ("SELL", 61)])
def test_a_fill_at_a_worse_price_than_the_limit_is_found(side: str, limit: int) -> None:
    story = [replace(one, side=side, limit_price_micros=limit) for one in _REVISED]
    assert (Claim.BOOKS, FIRST) in {(one.claim, one.subject) for one in check_prices(story)}
    assert not list(check_prices(_REVISED))


def test_a_request_that_a_service_has_no_answer_to_is_stuck() -> None:
    spoiled = replace(_WELL, unanswered=[(FIRST, "order: a request is open")])
    assert _found(spoiled) == {(Claim.STUCK, FIRST)}


def test_a_trade_that_starts_before_an_order_that_may_rest_is_there_is_out_of_order() -> None:
    story = [*_REVISED[:3], _REVISED[4], _REVISED[3], *_REVISED[5:]]
    assert (Claim.OUT_OF_ORDER, SECOND) in _found(_told(story))
