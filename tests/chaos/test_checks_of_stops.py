"""Each check of stops finds the breach it is there for, planted in a recorded history."""

from dataclasses import replace

import pytest

from services.chaos.domain.checks import check
from services.chaos.domain.history import Gateway, HeldStop, History, Terms
from services.chaos.domain.verdict import Claim
from tests.chaos.stories import ALICE, FIRST, GOOD, SECOND, STORY, asked_for

_STORY = [
    replace(one, order_type="STOP", stop_price_micros=59) if one.trade_id == FIRST else one
    for one in STORY
]
_TERMS = {FIRST: Terms(2), SECOND: Terms(2)}
_MET = HeldStop(FIRST, "BUY", 59, is_triggered=True, trigger_price_micros=60)
_BY_HOUSE = replace(
    GOOD,
    events={ALICE: _STORY},
    orders=asked_for(_STORY),
    venue=replace(GOOD.venue, terms=_TERMS),
    gateway=Gateway(_TERMS, (_MET,)),
)
_THERE = {FIRST: Terms(2, 0, 59), SECOND: Terms(2)}
_BY_EXCHANGE = replace(
    _BY_HOUSE,
    venue=replace(GOOD.venue, terms=_THERE, triggered=frozenset({FIRST})),
    gateway=Gateway(_THERE),
)


def _found(history: History) -> set[tuple[Claim, str]]:
    return {(one.claim, one.subject) for one in check(history)}


def _held(stop: HeldStop) -> History:
    return replace(_BY_HOUSE, gateway=Gateway(_TERMS, (stop,)))


@pytest.mark.parametrize("history", [_BY_HOUSE, _BY_EXCHANGE])
def test_a_stop_that_was_met_and_filled_is_clean(history: History) -> None:
    assert check(history) == []


def test_a_stop_that_was_held_to_its_end_is_not_at_the_exchange() -> None:
    waits = replace(_MET, trade_id="trade-3", is_triggered=False, trigger_price_micros=0)
    terms = _TERMS | {"trade-3": Terms(2, 0, 59)}
    assert check(replace(_BY_HOUSE, gateway=Gateway(terms, (_MET, waits)))) == []


def test_a_stop_that_was_sent_and_not_triggered_is_double() -> None:
    sent = _held(replace(_MET, is_triggered=False, trigger_price_micros=0))
    assert (Claim.DOUBLE, FIRST) in _found(sent)


def test_a_stop_that_was_sent_as_a_stop_is_double() -> None:
    sent = replace(_BY_HOUSE, venue=replace(_BY_HOUSE.venue, terms=_THERE))
    assert _found(sent) == {(Claim.DOUBLE, FIRST)}


def test_a_stop_that_was_triggered_and_never_sent_is_lost() -> None:
    unsent = replace(_MET, trade_id="trade-3")
    history = replace(_BY_HOUSE, gateway=Gateway(_TERMS, (_MET, unsent)))
    assert _found(history) == {(Claim.LOST, "trade-3")}


@pytest.mark.parametrize(("side", "price"), [("BUY", 58), ("BUY", 0), ("SELL", 60), ("SELL", 0)])
def test_a_stop_that_was_triggered_by_a_price_that_does_not_meet_it_is_found(
    side: str, price: int
) -> None:
    assert _found(_held(replace(_MET, side=side, trigger_price_micros=price))) == {
        (Claim.BOOKS, FIRST)
    }


def test_a_stop_that_was_met_and_not_triggered_is_found() -> None:
    assert (Claim.BOOKS, FIRST) in _found(_held(replace(_MET, is_triggered=False)))


def test_a_stop_that_filled_and_was_never_met_is_found() -> None:
    unmet = replace(_BY_EXCHANGE, venue=replace(_BY_EXCHANGE.venue, triggered=frozenset()))
    assert _found(unmet) == {(Claim.BOOKS, FIRST)}
