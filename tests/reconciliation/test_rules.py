"""The rules: whether sources agree on an execution, and how they differ if not."""

from datetime import date, timedelta
from typing import Any

import pytest

from services.reconciliation.domain.agreement import agreed
from services.reconciliation.domain.progress import Progress, due_before
from services.reconciliation.domain.sighting import Sighting, Source
from services.reconciliation.domain.verdict import judge
from services.reconciliation.wire import from_columns, from_ledger
from stockbroker.common.v1.fill_columns_pb2 import FillColumns
from stockbroker.ledger.v1.booked_execution_pb2 import BookedExecution
from tests.reconciliation.scripted import GRACE, START, a_sighting

VENUE, GATEWAY, ORDER, LEDGER = Source


def everywhere(**changes: dict[str, Any]) -> list[Sighting]:
    """An honest fill, but for what a source (by its name) tells otherwise."""
    return [
        a_sighting(source, "e-1", 1, **changes.get(source.name.lower(), {})) for source in Source
    ]


def correction(position: int, **terms: Any) -> Sighting:
    """A reversal or a compensating transfer."""
    return a_sighting(LEDGER, "e-1", position, is_fill=False, **terms)


def classes(sightings: list[Sighting]) -> list[str]:
    """How they differ."""
    return sorted(each.name for each in judge(sightings).classes)


def test_the_same_everywhere_is_no_break() -> None:
    assert classes(everywhere()) == []
    assert not judge(everywhere()).is_compensated


@pytest.mark.parametrize("source", [GATEWAY, ORDER, LEDGER])
@pytest.mark.parametrize(
    "terms",
    [
        {"shares": 11},
        {"shares": -10, "cash_micros": 1_000_000_000},
        {"cash_micros": -999_999_999},
        {"symbol": "MSFT"},
        {"trade_id": "t-2"},
        {"customer_id": "mallory"},
    ],
)
def test_any_other_term_is_an_alteration(source: Source, terms: dict[str, Any]) -> None:
    found = classes(everywhere(**{source.name.lower(): terms}))
    assert found == [f"ALTERED_AT_{source.name}"]


def test_what_one_row_says_is_the_same_fill_told_once_by_all() -> None:
    whole = agreed(everywhere()[::-1])
    assert whole is not None
    assert (whole.trade_id, whole.customer_id, whole.shares) == ("t-1", "alice", 10)
    assert [whole.venue_position, whole.ledger_position] == [1, 1]


@pytest.mark.parametrize("source", [GATEWAY, ORDER, LEDGER])
@pytest.mark.parametrize(
    "terms",
    [
        {"shares": 11},
        {"cash_micros": 1},
        {"symbol": "MSFT"},
        {"trade_id": ""},
        {"customer_id": "mallory"},
        {"customer_id": ""},
        {"part": 1},
        {"is_fill": False},
        {"trade_date": date(2026, 11, 21)},
    ],
)
def test_what_differs_in_anything_is_kept_source_by_source(
    source: Source, terms: dict[str, Any]
) -> None:
    assert agreed(everywhere(**{source.name.lower(): terms})) is None


def test_fewer_or_more_than_four_are_kept_source_by_source() -> None:
    for missing in range(4):
        told = everywhere()
        del told[missing]
        assert agreed(told) is None
        assert agreed([*told, *told[:1]]) is None
    assert agreed([*everywhere(), a_sighting(LEDGER, "e-1", 2)]) is None


def test_a_house_that_agrees_on_other_terms_than_the_venue() -> None:
    assert classes(everywhere(venue={"shares": 11})) == ["ALTERED_AT_VENUE"]


def test_a_fill_undone_twice_of_which_the_venue_has_other_terms() -> None:
    """By an operator, and by a bust: nothing of the fill itself is left to agree upon."""
    undone = {"shares": -10, "cash_micros": 1_000_000_000}
    told = [*everywhere(venue={"shares": 11}), correction(2, **undone)]
    told.append(correction(3, amendment_id="b-1", **undone))
    assert classes(told) == ["ALTERED_AT_GATEWAY", "ALTERED_AT_LEDGER", "ALTERED_AT_ORDER"]


@pytest.mark.parametrize("source", [GATEWAY, ORDER, LEDGER])
def test_a_fill_that_a_source_lacks_is_missing_there(source: Source) -> None:
    told = [each for each in everywhere() if each.source is not source]
    assert classes(told) == [f"MISSING_AT_{source.name}"]


def test_a_fill_without_the_venue_is_one_break_however_many_have_it() -> None:
    assert classes(everywhere()[1:]) == ["UNKNOWN_TO_VENUE"]
    assert classes(everywhere()[3:]) == ["UNKNOWN_TO_VENUE"]


def test_a_booking_that_is_reversed_is_none() -> None:
    reversal = correction(2, shares=-10, cash_micros=1_000_000_000)
    booked = everywhere()[3:]
    verdict = judge([*booked, reversal])
    assert verdict.is_compensated
    assert not verdict.classes
    # The venue has it after all: now it is the reversal that is wrong.
    assert classes([*everywhere(), reversal]) == ["MISSING_AT_LEDGER"]


def test_a_correction_that_corrects_too_little_leaves_the_break() -> None:
    altered = everywhere(ledger={"cash_micros": -1_000_000_005})
    assert classes([*altered, correction(2, shares=0, cash_micros=4, symbol="")]) == [
        "ALTERED_AT_LEDGER"
    ]
    assert judge([*altered, correction(2, shares=0, cash_micros=5, symbol="")]).is_compensated


def test_a_fill_of_another_customer_is_moved_to_whose_it_is() -> None:
    wrong = everywhere(ledger={"customer_id": "mallory"})
    moved = [
        correction(2, part=0, shares=-10, cash_micros=1_000_000_000, customer_id="mallory"),
        correction(2, part=1, shares=10, cash_micros=-1_000_000_000, customer_id="alice"),
    ]
    assert classes(wrong) == ["ALTERED_AT_LEDGER"]
    assert judge([*wrong, *moved]).is_compensated


def test_a_fill_booked_twice_is_a_duplicate_until_one_is_reversed() -> None:
    again = a_sighting(LEDGER, "e-1", 2)
    assert classes([*everywhere(), again]) == ["DUPLICATE"]
    reversal = correction(3, shares=-10, cash_micros=1_000_000_000)
    assert judge([*everywhere(), again, reversal]).is_compensated


def test_a_report_told_again_and_laid_aside_is_no_duplicate() -> None:
    told = everywhere()
    assert classes([*told, a_sighting(GATEWAY, "e-1", 2)]) == ["DUPLICATE"]
    assert classes([*told, a_sighting(GATEWAY, "e-1", 2, is_fill=False)]) == []
    # Laid aside alone it went no further: that is to be seen.
    alone = [told[0], a_sighting(GATEWAY, "e-1", 1, is_fill=False)]
    assert classes(alone) == ["MISSING_AT_LEDGER", "MISSING_AT_ORDER"]


def test_nothing_left_anywhere_is_no_break() -> None:
    assert classes([]) == []


def test_a_transfer_of_cash_and_shares_is_one_sighting_per_customer_and_symbol() -> None:
    moved = [("alice", "AAPL", 10), ("alice", "USD", -70), ("bob", "USD", 5)]
    booked = BookedExecution(
        seq=7,
        movements=[
            BookedExecution.Movement(customer_id=customer, asset=asset, amount=amount)
            for customer, asset, amount in moved
        ],
    )
    told = [(s.customer_id, s.symbol, s.shares, s.cash_micros) for s in from_ledger(booked)]
    assert told == [("alice", "AAPL", 10, -70), ("bob", "", 0, 5)]


def test_nothing_is_due_before_every_source_was_read_since_the_grace() -> None:
    read = Progress(read_at=START + 3 * GRACE, answers_since=START)
    late = Progress(read_at=START + 2 * GRACE, answers_since=START)
    sources = dict.fromkeys(Source, read)
    assert due_before(sources, GRACE) == START + 2 * GRACE
    assert due_before(sources | {ORDER: late}, GRACE) == START + GRACE
    just_back = Progress(
        read_at=START + 3 * GRACE, answers_since=START + 2 * GRACE + timedelta(seconds=1)
    )
    assert due_before(sources | {ORDER: just_back}, GRACE) is None
    assert due_before(sources | {ORDER: Progress(read_at=START)}, GRACE) is None


def test_fills_told_in_columns_are_read_like_messages_and_no_value_is_dropped_unseen() -> None:
    told = FillColumns(
        venue="XSIM",
        positions=[7, 9],
        execution_ids=["E-7", "E-\0"],
        trade_ids=["t-7", "t-9"],
        customer_ids=["alice", "bob"],
        symbols=["AAPL", "KO"],
        shares=[10, -3],
        cash_micros=[-1_000, 600],
        days=[20_000, 20_001],
    )

    first, second = from_columns(Source.GATEWAY, told)

    assert (first.source, first.position, first.key) == (Source.GATEWAY, 7, ("XSIM", "E-7"))
    assert (first.trade_id, first.customer_id, first.symbol) == ("t-7", "alice", "AAPL")
    assert (first.shares, first.cash_micros, first.trade_date) == (10, -1_000, date(2024, 10, 4))
    assert first.is_fill
    assert second.execution_id == "E-\N{REPLACEMENT CHARACTER}"  # PostgreSQL keeps no NUL
    del told.symbols[1:]
    with pytest.raises(ValueError, match="shorter"):
        from_columns(Source.GATEWAY, told)
