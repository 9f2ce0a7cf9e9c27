"""Rounds: what is a break and when, whatever the sources, the clock and this process do."""

from datetime import date

import pytest
from prometheus_client import REGISTRY

from services.reconciliation.domain.sighting import Source
from services.reconciliation.store.breaks import BreakState
from services.reconciliation.wire import text
from tests.reconciliation.scripted import Desk, MakeDesk, but


async def test_what_all_sources_have_is_no_break(desk: Desk) -> None:
    for number in range(20):
        desk.everywhere(f"e-{number + 1}")
        await desk.rounds_for(1)

    assert await desk.breaks(*BreakState) == []
    assert await desk.count_pending() == 0


async def test_a_fill_on_its_way_is_pending_and_no_break(desk: Desk) -> None:
    for source in Source:
        desk.sources[source].add("e-1")
        await desk.rounds_for(1)
        assert await desk.count_pending() == (0 if source is Source.LEDGER else 1)

    await desk.rounds_for(10)
    assert await desk.breaks(*BreakState) == []


async def test_what_all_sources_tell_alike_takes_one_row_and_a_short_lag_makes_no_suspect(
    desk: Desk,
) -> None:
    for source in Source:
        desk.sources[source].add("e-1")
        await desk.rounds_for(1)
        assert await desk.count_rows("suspect") == 0
        assert await desk.count_rows("sighting") == 0

    assert await desk.count_rows("agreed_execution") == 2
    assert await desk.count_pending() == 0
    assert await desk.breaks(*BreakState) == []


@pytest.mark.parametrize("late", list(Source))
async def test_what_agrees_after_all_takes_one_row_as_well(desk: Desk, late: Source) -> None:
    """However late it came, and whether it was a break meanwhile or not."""
    for source in Source:
        if source is not late:
            desk.sources[source].add("e-1")
    await desk.rounds_for(10)
    assert len(await desk.breaks()) == 1
    desk.sources[late].is_away = True
    for source in Source:
        desk.sources[source].add("e-2")
    await desk.rounds_for(10)
    assert await desk.count_rows("sighting") == 6

    desk.sources[late].is_away = False
    position = desk.sources[late].add("e-1")
    await desk.rounds_for(2)
    assert await desk.breaks() == []
    assert await desk.count_pending() == 0
    assert await desk.count_rows("sighting") == 0
    assert await desk.count_rows("agreed_execution") == 3

    del desk.sources[late].sightings[position]  # what all agreed on is watched all the same
    desk.everywhere("e-3")
    await desk.rounds_for(10)
    (found,) = await desk.breaks()
    assert found.execution_id == "e-1"
    assert await desk.count_rows("sighting") == 3


@pytest.mark.parametrize("source", list(Source))
async def test_what_was_agreed_and_is_told_once_more_is_a_duplicate_until_it_is_gone(
    desk: Desk, source: Source
) -> None:
    desk.everywhere("e-1")
    await desk.rounds_for(2)
    again = desk.sources[source].add("e-0")
    desk.everywhere("e-2")
    await desk.rounds_for(8)
    (found,) = await desk.breaks()
    assert (found.execution_id, found.break_class.name) == ("e-0", "DUPLICATE")
    told = sorted((each.source, each.position, each.customer_id) for each in found.told)
    first = [(each, 1, "" if each is Source.VENUE else "alice") for each in Source]
    assert told == sorted([*first, (source, again, first[source - 1][2])])

    del desk.sources[source].sightings[again]
    await desk.rounds_for(2)
    assert await desk.breaks() == []


async def test_a_difference_older_than_the_grace_is_a_break_until_it_is_gone(desk: Desk) -> None:
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1")
    await desk.rounds_for(5)
    assert await desk.open_classes() == []
    await desk.rounds_for(2)
    (found,) = await desk.breaks()
    assert found.break_class.name == "MISSING_AT_LEDGER"
    assert found.opened_at > found.noticed_at

    desk.sources[Source.LEDGER].add("e-1")
    await desk.rounds_for(1)
    assert await desk.breaks() == []
    (closed,) = await desk.breaks(BreakState.CLOSED)
    assert closed.closed_at is not None


def lag_of(source: Source) -> float | None:
    """As a monitor sees it."""
    return REGISTRY.get_sample_value("reconciliation_lag_seconds", {"source": source.name})


async def test_the_lag_grows_although_no_round_is_done(desk: Desk) -> None:
    await desk.rounds_for(1)
    assert [lag_of(source) for source in Source] == [0] * 4
    desk.clock.pass_seconds(600)
    assert [lag_of(source) for source in Source] == [600] * 4


async def test_a_source_that_is_away_makes_no_breaks_and_its_lag_is_told(desk: Desk) -> None:
    desk.sources[Source.LEDGER].is_away = True
    for number in range(5):
        for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
            desk.sources[source].add(f"e-{number + 1}")
    await desk.rounds_for(60)

    assert await desk.breaks(*BreakState) == []
    assert await desk.count_pending() == 5
    ledger = desk.rounds.sources[Source.LEDGER]
    assert ledger.read_at is not None
    assert (desk.clock.now() - ledger.read_at).total_seconds() == 60
    assert "UNAVAILABLE" in ledger.detail

    assert lag_of(Source.LEDGER) == 60

    # Back, it has the grace to catch up.
    desk.sources[Source.LEDGER].is_away = False
    await desk.rounds_for(4)
    for number in range(4):
        desk.sources[Source.LEDGER].add(f"e-{number + 1}")
    await desk.rounds_for(4)
    assert [each.execution_id for each in await desk.breaks(*BreakState)] == ["e-5"]


@pytest.mark.parametrize("source", [s for s in Source if s is not Source.VENUE])
async def test_old_history_altered_in_place_is_found_by_reading_on_and_on(
    make_desk: MakeDesk, source: Source
) -> None:
    desk = make_desk(page_rows=40, reread_rows=10)
    for number in range(95):
        desk.everywhere(f"e-{number:03}")
    await desk.rounds_for(10)
    records = desk.sources[source].sightings
    records[7] = but(records[7], shares=11)
    gone = records.pop(50)
    records[71] = but(records[71], execution_id="ghost")

    await desk.rounds_for(11 + 6)

    name = source.name
    assert await desk.open_classes() == [
        ("e-006", f"ALTERED_AT_{name}"),
        ("e-049", f"MISSING_AT_{name}"),
        ("e-070", f"MISSING_AT_{name}"),
        ("ghost", "UNKNOWN_TO_VENUE"),
    ]
    records[50] = gone
    await desk.rounds_for(11)
    assert ("e-049", f"MISSING_AT_{name}") not in await desk.open_classes()


async def test_what_a_source_has_archived_is_not_missing_there(make_desk: MakeDesk) -> None:
    """And what it has not archived still is, when it is gone."""
    desk = make_desk(reread_rows=2)
    for number in range(3):
        desk.everywhere(f"a-{number}")
        for source in Source:  # this one is kept sighting by sighting, for one dates it otherwise
            day = date(2026, 11, 19 if source is Source.GATEWAY else 20)
            desk.sources[source].add(f"b-{number}", trade_date=day)
    await desk.rounds_for(20)
    assert await desk.breaks() == []
    ledger = desk.sources[Source.LEDGER]
    ledger.archived = 4
    kept = await desk.count_rows("sighting"), await desk.count_rows("agreed_execution")

    await desk.rounds_for(20)
    assert await desk.breaks() == []
    assert (await desk.count_rows("sighting"), await desk.count_rows("agreed_execution")) == kept
    del ledger.sightings[5]
    await desk.rounds_for(20)
    assert await desk.open_classes() == [("a-2", "MISSING_AT_LEDGER")]
    assert desk.rounds.whole_since() is not None


async def test_history_is_read_once_and_then_in_small_pages(make_desk: MakeDesk) -> None:
    desk = make_desk(page_rows=40, reread_rows=10)
    for number in range(95):
        desk.everywhere(f"e-{number:03}")
    await desk.rounds_for(1)
    venue = desk.sources[Source.VENUE]
    venue.pages.clear()

    await desk.rounds_for(10)

    assert [after.position for after, limit in venue.pages if limit == 40] == [95] * 10
    reread = [after.position for after, limit in venue.pages if limit == 10]
    assert reread == [10, 20, 30, 40, 50, 60, 70, 80, 90, 0]


@pytest.mark.parametrize("source", [s for s in Source if s is not Source.VENUE])
async def test_a_source_that_forgot_everything_is_missing_everything(
    desk: Desk, source: Source
) -> None:
    desk.everywhere("e-1")
    await desk.rounds_for(2)
    desk.sources[source].sightings.clear()
    await desk.rounds_for(8)

    missing = f"MISSING_AT_{source.name}"
    assert await desk.open_classes() == [("e-0", missing), ("e-1", missing)]


async def test_a_name_longer_than_any_stops_no_round(desk: Desk) -> None:
    """Nobody should have told it, and nobody else tells it."""
    endless = "".join(chr(0x4E00 + n * 7919 % 20_000) for n in range(5_000))
    for end in "xy":
        name = text(endless + end)
        desk.sources[Source.VENUE].add(name, venue=name, trade_id=name, symbol=name)
    desk.everywhere("e-1")
    await desk.rounds_for(8)
    assert len({found.execution_id for found in await desk.breaks()}) == 2
    assert await desk.count_rows("agreed_execution") == 2
