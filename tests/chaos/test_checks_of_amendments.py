"""Each check of what the exchange takes back finds the breach, planted in a recorded history."""

from dataclasses import replace

from services.chaos.domain.checks import check
from services.chaos.domain.history import Amendment, Entry, History, Journal
from services.chaos.domain.verdict import Claim
from tests.chaos.stories import (
    ALICE,
    CUSTOMER,
    ENTRIES,
    GOOD,
    SECOND,
    STORY,
    TRANSFERS,
    event,
    transfer,
)


def _claims(history: History) -> set[Claim]:
    return {violation.claim for violation in check(history)}


BUST = Amendment("B1", "E2", 0, 0)
_BUSTED_STORY = (
    *STORY,
    event(9, "EXECUTION_BUSTED", SECOND, "FILLED", filled_quantity=0, amendment=BUST),
)
_BUSTED = replace(
    GOOD,
    events={ALICE: _BUSTED_STORY},
    venue=replace(GOOD.venue, amendments=(BUST,)),
    journal=Journal(
        (*TRANSFERS, transfer(7, "bust", "b-1", reference="XSIM/B1")),
        [
            *ENTRIES,
            Entry(
                seq=7,
                account=CUSTOMER,
                asset="KO",
                version=5,
                amount=2,
                balance_after=12,
                held_after=0,
            ),
            Entry(
                seq=7,
                account="house/clearing",
                asset="KO",
                version=3,
                amount=-2,
                balance_after=-2,
                held_after=0,
                has_floor=False,
            ),
            Entry(
                seq=7,
                account=CUSTOMER,
                asset="USD",
                version=5,
                amount=-100,
                balance_after=880,
                held_after=0,
            ),
            Entry(
                seq=7,
                account="house/clearing",
                asset="USD",
                version=3,
                amount=100,
                balance_after=120,
                held_after=0,
                has_floor=False,
            ),
        ],
    ),
)


def test_a_fill_that_was_taken_back_to_the_micro_is_clean() -> None:
    assert check(_BUSTED) == []


def test_a_fill_that_was_taken_back_at_a_later_try_is_clean() -> None:
    retried = (*TRANSFERS, transfer(7, "bust", "b-1", reference="XSIM/B1 2"))
    assert check(replace(_BUSTED, journal=replace(_BUSTED.journal, transfers=retried))) == []


def test_a_fill_that_was_taken_back_and_never_told_is_lost() -> None:
    assert Claim.LOST in _claims(replace(_BUSTED, events={ALICE: STORY}))


def test_a_fill_that_was_taken_back_and_is_not_posted_is_lost() -> None:
    found = _claims(replace(_BUSTED, journal=GOOD.journal))
    assert found == {Claim.LOST, Claim.BOOKS}


def test_a_fill_that_nobody_took_back_may_not_be_told_so() -> None:
    assert Claim.DOUBLE in _claims(replace(_BUSTED, venue=GOOD.venue))


def test_a_fill_that_is_taken_back_twice_is_doubled() -> None:
    for amendment in (BUST, Amendment("B2", "E2", 0, 0)):
        again = replace(_BUSTED_STORY[-1], seq=10, amendment=amendment)
        assert Claim.DOUBLE in _claims(replace(_BUSTED, events={ALICE: [*_BUSTED_STORY, again]}))
