"""The rules: whether sources agree on what became of a fill, and how they differ if not."""

from typing import Any

import pytest

from services.reconciliation.domain.agreement import agreed
from services.reconciliation.domain.sighting import Sighting, Source
from services.reconciliation.domain.verdict import judge
from tests.reconciliation.scripted import a_sighting
from tests.reconciliation.test_rules import classes, correction, everywhere

VENUE, GATEWAY, ORDER, LEDGER = Source
BUST = {"shares": 0, "cash_micros": 0}
CORRECTED = {"shares": 4, "cash_micros": -300_000_000}
MOVED = {0: (-10, 1_000_000_000), 4: (-6, 700_000_000)}  # by the ledger, for what is left


def amendment(source: Source, **terms: Any) -> Sighting:
    """What a source says that the fill is instead."""
    fields = {"amendment_id": "a-1", "is_fill": False, **terms}
    return a_sighting(source, "e-1", fields.pop("position", 9), **fields)


def booked(left: int, **terms: Any) -> Sighting:
    """What the ledger moved for an amendment that leaves so many shares."""
    moved = dict(zip(("shares", "cash_micros"), MOVED[left], strict=True))
    return amendment(LEDGER, **(moved | terms))


def amended(terms: dict[str, int], **changes: dict[str, Any]) -> list[Sighting]:
    """A fill and what became of it everywhere, but for what a source (by its name) tells."""
    told = [
        amendment(source, **(terms | changes.get(source.name.lower(), {})))
        for source in (VENUE, GATEWAY, ORDER)
    ]
    return [*everywhere(), *told, booked(terms["shares"], **changes.get("ledger", {}))]


def without(told: list[Sighting], *sources: Source) -> list[Sighting]:
    """The same without these sources' amendments."""
    return [each for each in told if each.is_fill or each.source not in sources]


@pytest.mark.parametrize("terms", [BUST, CORRECTED])
def test_an_amendment_that_all_have_is_no_break_and_nothing_was_compensated(
    terms: dict[str, int],
) -> None:
    verdict = judge(amended(terms))
    assert not verdict.classes
    assert not verdict.is_compensated
    assert agreed(amended(terms)) is None


@pytest.mark.parametrize("terms", [BUST, CORRECTED])
@pytest.mark.parametrize("source", [GATEWAY, ORDER, LEDGER])
def test_an_amendment_that_a_source_lacks_is_missing_there(
    source: Source, terms: dict[str, int]
) -> None:
    found = classes(without(amended(terms), source))
    assert found == [f"AMENDMENT_MISSING_AT_{source.name}"]


@pytest.mark.parametrize("terms", [BUST, CORRECTED])
@pytest.mark.parametrize("source", [GATEWAY, ORDER, LEDGER])
def test_an_amendment_without_the_venue_is_extra_where_it_is(
    source: Source, terms: dict[str, int]
) -> None:
    others = [each for each in Source if each is not source]
    assert classes(without(amended(terms), *others)) == [f"AMENDMENT_EXTRA_AT_{source.name}"]


@pytest.mark.parametrize("source", [GATEWAY, ORDER])
@pytest.mark.parametrize(
    "terms",
    [
        {"shares": 5},
        {"cash_micros": -300_000_001},
        {"symbol": "MSFT"},
        {"trade_id": "t-2"},
        {"customer_id": "mallory"},
    ],
)
def test_any_other_term_of_an_amendment_is_an_alteration(
    source: Source, terms: dict[str, Any]
) -> None:
    found = classes(amended(CORRECTED, **{source.name.lower(): terms}))
    assert found == [f"AMENDMENT_ALTERED_AT_{source.name}"]


@pytest.mark.parametrize("terms", [{"shares": -5}, {"cash_micros": 700_000_001}])
def test_an_amendment_booked_with_other_figures_is_an_alteration(terms: dict[str, Any]) -> None:
    assert classes(amended(CORRECTED, ledger=terms)) == ["AMENDMENT_ALTERED_AT_LEDGER"]


@pytest.mark.parametrize("source", [GATEWAY, ORDER, LEDGER])
def test_one_amendment_under_the_name_of_another_is_missing_and_extra(source: Source) -> None:
    other: dict[str, Any] = {"amendment_id": "a-7"}
    if source is LEDGER:
        other["shares"] = -5
    assert classes(amended(CORRECTED, **{source.name.lower(): other})) == [
        f"AMENDMENT_EXTRA_AT_{source.name}",
        f"AMENDMENT_MISSING_AT_{source.name}",
    ]


def test_what_the_ledger_was_asked_anew_is_the_same_amendment() -> None:
    anew = {"amendment_id": "a-1/2"}
    assert classes(amended(BUST, ledger=anew)) == []
    wrong = {**anew, "cash_micros": 1}
    assert classes(amended(BUST, ledger=wrong)) == ["AMENDMENT_ALTERED_AT_LEDGER"]


def test_an_amendment_that_the_gateway_has_twice_is_a_duplicate() -> None:
    again = amendment(GATEWAY, **BUST, position=10)
    assert classes([*amended(BUST), again]) == ["DUPLICATE"]
    told_twice = amendment(VENUE, **BUST, position=10)
    assert classes([*amended(BUST), again, told_twice]) == []


@pytest.mark.parametrize("later", [BUST, {"shares": 7, "cash_micros": -9}])
def test_an_amendment_of_an_amendment_counts_with_all_before_it(later: dict[str, int]) -> None:
    second = {"amendment_id": "a-2", "position": 10, **later}
    told = [amendment(source, **second) for source in (VENUE, GATEWAY, ORDER)]
    change = {name: later[name] - CORRECTED[name] for name in later}
    at_ledger = amendment(LEDGER, **(second | change))
    assert classes([*amended(CORRECTED), *told, at_ledger]) == []
    assert classes([*amended(CORRECTED), *told]) == ["AMENDMENT_MISSING_AT_LEDGER"]
    wrong = amendment(LEDGER, **(second | change | {"cash_micros": 1}))
    assert classes([*amended(CORRECTED), *told, wrong]) == ["AMENDMENT_ALTERED_AT_LEDGER"]
    without_first = [each for each in told if each.source is not ORDER]
    assert classes([*amended(CORRECTED), *without_first, at_ledger]) == [
        "AMENDMENT_MISSING_AT_ORDER"
    ]


@pytest.mark.parametrize("terms", [BUST, CORRECTED])
def test_a_second_amendment_that_the_gateway_keeps_parked_got_no_further(
    terms: dict[str, int],
) -> None:
    second = {"amendment_id": "a-2", "shares": 3, "cash_micros": -1, "position": 10}
    told = [amendment(source, **second) for source in (VENUE, GATEWAY)]
    assert classes([*amended(terms), *told]) == [
        "AMENDMENT_MISSING_AT_LEDGER",
        "AMENDMENT_MISSING_AT_ORDER",
    ]
    left = terms["shares"]
    by_hand = correction(11, shares=3 - left, cash_micros=-1 - terms["cash_micros"])
    assert judge([*amended(terms), *told, by_hand]).is_compensated


def test_an_amendment_that_is_missing_everywhere_is_compensated_by_an_entry() -> None:
    told = without(amended(BUST), GATEWAY, ORDER, LEDGER)
    assert len(classes(told)) == 3
    reversal = correction(10, shares=-10, cash_micros=1_000_000_000)
    assert judge([*told, reversal]).is_compensated
    too_little = correction(10, shares=-10, cash_micros=999_999_999)
    assert "AMENDMENT_MISSING_AT_LEDGER" in classes([*told, too_little])


def test_a_bust_of_a_fill_that_was_never_booked_leaves_nothing_to_do_at_the_ledger() -> None:
    told = [each for each in amended(BUST) if each.source is not LEDGER]
    assert classes(told) == []


def test_a_fill_altered_and_busted_is_told_as_both() -> None:
    fill = a_sighting(ORDER, "e-1", 1, shares=11)
    told = [fill if each.source is ORDER and each.is_fill else each for each in amended(BUST)]
    assert classes(told) == ["ALTERED_AT_ORDER"]
    assert classes(without(told, GATEWAY)) == ["ALTERED_AT_ORDER", "AMENDMENT_MISSING_AT_GATEWAY"]


def test_amendments_of_a_fill_that_nobody_has_are_told_of() -> None:
    told = [amendment(source, **BUST) for source in (VENUE, GATEWAY)]
    assert classes(told) == ["AMENDMENT_MISSING_AT_ORDER"]
