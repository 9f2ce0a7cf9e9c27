"""What is never answered is shown in doubt until an operator resolves it: else it is a breach."""

from dataclasses import replace

import pytest

from services.chaos.domain.checks import check
from services.chaos.domain.history import Journal, Venue
from services.chaos.domain.verdict import Claim
from tests.chaos.stories import (
    ALICE,
    ENTRIES,
    FIRST,
    GOOD,
    SECOND,
    STORY,
    TRANSFERS,
    event,
    transfer,
)

_SILENT = (
    *STORY[:7],
    event(8, "IN_DOUBT", SECOND, "IN_PROGRESS", in_doubt=True, in_doubt_since=1.0),
    event(9, "RESOLVED", SECOND, "IN_PROGRESS"),
    event(10, "REJECTED", SECOND, "REJECTED", reason="EXCHANGE_REJECTED"),
)
_RESOLVED = replace(
    GOOD,
    events={ALICE: _SILENT},
    venue=Venue(GOOD.venue.fills[:1], frozenset({FIRST})),
    journal=Journal(
        (*TRANSFERS[:5], transfer(6, "release", "r-1", hold_id=SECOND)),
        [*ENTRIES[:-4], replace(ENTRIES[-4], amount=0, balance_after=12)],
    ),
    resolved=frozenset({SECOND}),
)


def test_an_order_that_is_never_answered_and_was_resolved_in_doubt_is_clean() -> None:
    assert check(_RESOLVED) == []


@pytest.mark.parametrize("left_out", [7, 8])
def test_an_order_that_was_resolved_and_not_shown_in_doubt_is_stuck(left_out: int) -> None:
    story = [*_SILENT[:left_out], *_SILENT[left_out + 1 :]]
    story = [replace(one, seq=seq) for seq, one in enumerate(story, start=1)]
    (found,) = check(replace(_RESOLVED, events={ALICE: story}))
    assert (found.claim, found.subject) == (Claim.STUCK, SECOND)


def test_an_order_that_was_resolved_and_is_still_in_doubt_is_stuck() -> None:
    (found,) = check(replace(_RESOLVED, events={ALICE: _SILENT[:8]}))
    assert (found.claim, found.subject) == (Claim.STUCK, SECOND)


def test_an_order_in_doubt_that_does_not_say_since_when_is_stuck() -> None:
    ageless = replace(_SILENT[7], in_doubt_since=0.0)
    (found,) = check(replace(_RESOLVED, events={ALICE: [*_SILENT[:7], ageless, *_SILENT[8:]]}))
    assert (found.claim, found.subject) == (Claim.STUCK, SECOND)
