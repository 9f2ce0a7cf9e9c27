"""What the ledger booked and has archived is there, and counts for what the others tell of it."""

import pytest

from services.reconciliation.domain.agreement import agreed
from services.reconciliation.domain.sighting import Sighting, Source
from services.reconciliation.domain.verdict import judge
from tests.reconciliation.scripted import a_sighting, as_archived, but

BUST, LESS = {"shares": 0, "cash_micros": 0}, {"shares": 7, "cash_micros": -700_000_000}


def told(*, archived: bool = True) -> list[Sighting]:
    """An honest fill."""
    found = [a_sighting(source, "e-1", 1) for source in Source]
    return [*found[:3], as_archived(found[3])] if archived else found


def amended(terms: dict[str, int], *sources: Source) -> list[Sighting]:
    """A bust or a correction of it."""
    changes = {"is_fill": False, "amendment_id": "b-1", "part": 0}
    return [a_sighting(source, "e-1", 2, **(changes | terms)) for source in sources]


def booked(shares: int, cash_micros: int, *, amendment_id: str = "", position: int = 2) -> Sighting:
    """What the ledger moved besides."""
    changes = {"shares": shares, "cash_micros": cash_micros, "amendment_id": amendment_id}
    return a_sighting(Source.LEDGER, "e-1", position, is_fill=False, **changes)


def classes(found: list[Sighting]) -> list[str]:
    """How the sources differ."""
    return sorted(each.name for each in judge(found).classes)


RECORDS = (Source.VENUE, Source.GATEWAY, Source.ORDER)


def test_an_archived_fill_is_agreed_upon_like_any_other() -> None:
    assert classes(told()) == []
    assert agreed(told()) is not None
    assert agreed(told()) == agreed(told(archived=False))


@pytest.mark.parametrize("changes", [{"trade_id": "t-2"}, {"is_fill": False}])
def test_one_that_is_told_otherwise_is_not(changes: dict[str, object]) -> None:
    *others, ledger = told()
    assert agreed([*others, but(ledger, **changes)]) is None


@pytest.mark.parametrize("source", [Source.GATEWAY, Source.ORDER])
def test_what_others_lack_is_missing_there_all_the_same(source: Source) -> None:
    found = [each for each in told() if each.source is not source]
    assert classes(found) == [f"MISSING_AT_{source.name}"]
    assert agreed(found) is None


def test_what_the_ledger_has_not_booked_is_missing_however_old_it_is() -> None:
    assert classes(told()[:3]) == ["MISSING_AT_LEDGER"]


def test_what_the_ledger_alone_has_is_unknown_to_the_venue_unless_it_was_undone() -> None:
    ledger = told()[3]
    undone = as_archived(booked(-10, 1_000_000_000))
    assert classes([ledger]) == ["UNKNOWN_TO_VENUE"]
    assert classes([ledger, undone]) == []


@pytest.mark.parametrize("terms", [BUST, LESS])
def test_an_amendment_that_was_archived_too_is_there(terms: dict[str, int]) -> None:
    moved = booked(terms["shares"] - 10, terms["cash_micros"] + 1_000_000_000, amendment_id="b-1")
    found = [*told(), *amended(terms, *RECORDS)]
    assert classes([*found, as_archived(moved)]) == []
    asked_anew = but(as_archived(moved), amendment_id="b-1/1")
    assert classes([*found, asked_anew]) == []


@pytest.mark.parametrize("terms", [BUST, {"shares": 9, "cash_micros": -1}])
@pytest.mark.parametrize("archived", [1, 2])
def test_an_amendment_of_one_that_was_archived_too_is_there(
    terms: dict[str, int], archived: int
) -> None:
    second = {"amendment_id": "b-2", "position": 3}
    found = [*told(), *amended(LESS, *RECORDS)]
    found += [but(each, **second) for each in amended(terms, *RECORDS)]
    moved = [
        booked(-3, 300_000_000, amendment_id="b-1"),
        booked(
            terms["shares"] - 7,
            terms["cash_micros"] + 700_000_000,
            amendment_id="b-2",
            position=3,
        ),
    ]
    gone = [*map(as_archived, moved[:archived]), *moved[archived:]]
    assert classes([*found, *gone]) == []
    assert classes([*found, gone[0]]) == ["AMENDMENT_MISSING_AT_LEDGER"]


def test_an_archived_amendment_that_the_venue_never_told_is_extra() -> None:
    extra = as_archived(booked(-10, 1_000_000_000, amendment_id="b-1"))
    assert classes([*told(), extra]) == ["AMENDMENT_EXTRA_AT_LEDGER"]


@pytest.mark.parametrize("terms", [BUST, LESS])
def test_an_amendment_that_came_too_late_is_missing_until_an_entry_makes_it_right(
    terms: dict[str, int],
) -> None:
    found = [*told(), *amended(terms, Source.VENUE, Source.GATEWAY)]
    missing = ["AMENDMENT_MISSING_AT_LEDGER", "AMENDMENT_MISSING_AT_ORDER"]
    assert classes(found) == missing
    wrong = booked(-1, 100_000_000)
    assert "AMENDMENT_MISSING_AT_ORDER" in classes([*found, wrong])
    right = booked(terms["shares"] - 10, terms["cash_micros"] + 1_000_000_000)
    for entry in (right, as_archived(right)):
        verdict = judge([*found, entry])
        assert (verdict.classes, verdict.is_compensated) == (frozenset(), True)


def test_a_fill_booked_twice_is_a_duplicate_although_one_is_archived() -> None:
    assert classes([*told(), a_sighting(Source.LEDGER, "e-1", 5)]) == ["DUPLICATE"]
