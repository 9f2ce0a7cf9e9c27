"""Rounds: what is a break and when, whatever the sources, the clock and this process do."""

import shutil
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

import services.reconciliation
from libs.postgres import migrate
from services.reconciliation.domain.day import FIRST_SEAL, seal, write
from services.reconciliation.domain.sighting import ORIGIN, Source
from services.reconciliation.store.breaks import BreakState
from tests.reconciliation.scripted import Desk

MakeDesk = Callable[..., Desk]
MIGRATIONS = Path(services.reconciliation.__file__).parent / "migrations"


@pytest.fixture
async def make_desk(postgres_url: str) -> AsyncIterator[MakeDesk]:
    """Desks on this test's database."""
    await migrate(postgres_url, MIGRATIONS)
    desks: list[Desk] = []

    def make(**rhythm: Any) -> Desk:
        desks.append(Desk(postgres_url, **rhythm))
        return desks[-1]

    yield make
    for desk in desks:
        await desk.close()


@pytest.fixture
async def desk(make_desk: MakeDesk) -> Desk:
    """One that has run for longer than the grace, with one honest fill."""
    desk = make_desk()
    desk.everywhere("e-0")
    await desk.rounds_for(8)
    return desk


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
    records[7] = _but(records[7], shares=11)
    gone = records.pop(50)
    records[71] = _but(records[71], execution_id="ghost")

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

    await desk.rounds_for(20)
    assert await desk.breaks() == []
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


async def test_a_killed_process_goes_on_where_it_was_and_keeps_its_breaks(desk: Desk) -> None:
    for source in (Source.VENUE, Source.GATEWAY, Source.LEDGER):
        desk.sources[source].add("e-1")
    await desk.rounds_for(7)
    desk.sources[Source.VENUE].add("e-2")
    await desk.rounds_for(1)

    desk.start()
    desk.sources[Source.ORDER].pages.clear()
    await desk.rounds_for(4)
    assert await desk.open_classes() == [("e-1", "MISSING_AT_ORDER")]
    assert desk.sources[Source.ORDER].pages[0][0] != ORIGIN

    await desk.rounds_for(3)
    classes = [found for found in await desk.open_classes() if found[0] == "e-2"]
    assert classes == [
        ("e-2", "MISSING_AT_GATEWAY"),
        ("e-2", "MISSING_AT_LEDGER"),
        ("e-2", "MISSING_AT_ORDER"),
    ]
    assert len(await desk.breaks(*BreakState)) == 4


async def test_a_killed_process_forgets_nothing_that_it_held_back(desk: Desk) -> None:
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1")
    desk.everywhere("e-2")
    await desk.rounds_for(1)
    assert await desk.count_rows("suspect") == 0
    assert await desk.count_pending() == 1

    desk.start()
    for scripted in desk.sources.values():
        scripted.pages.clear()
    await desk.rounds_for(7)

    read_from = {source: scripted.pages[0][0] for source, scripted in desk.sources.items()}
    assert [read_from[source].position for source in Source] == [1, 1, 1, 2]
    assert await desk.open_classes() == [("e-1", "MISSING_AT_LEDGER")]
    assert await desk.count_rows("agreed_execution") == 2


async def test_two_processes_at_once_open_a_break_once(make_desk: MakeDesk) -> None:
    first, second = make_desk(), make_desk()
    second.sources = first.sources
    second.start()
    first.everywhere("e-0")
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        first.sources[source].add("e-1")
    for _ in range(12):
        await first.rounds_for(1)
        await second.rounds_for(1)

    assert await first.open_classes() == [("e-1", "MISSING_AT_LEDGER")]


async def test_a_source_that_forgot_everything_is_missing_everything(desk: Desk) -> None:
    desk.everywhere("e-1")
    await desk.rounds_for(2)
    desk.sources[Source.GATEWAY].sightings.clear()
    await desk.rounds_for(8)

    assert await desk.open_classes() == [
        ("e-0", "MISSING_AT_GATEWAY"),
        ("e-1", "MISSING_AT_GATEWAY"),
    ]


async def test_a_day_is_sealed_once_it_is_over_with_what_every_source_had(desk: Desk) -> None:
    desk.everywhere("e-1", shares=-4, cash_micros=500_000_000)
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-2")
    await desk.rounds_for(8)
    assert await desk.days() == []

    desk.clock.pass_seconds(9 * 3600 + 20 * 60)
    await desk.rounds_for(2)

    (day,) = await desk.days()
    assert day.report.trade_date == date(2026, 11, 20)
    sums = {
        each.source: (each.executions, each.quantity, each.notional_micros)
        for each in day.report.sources
    }
    assert sums[Source.VENUE] == sums[Source.ORDER] == (3, 24, 2_500_000_000)
    assert sums[Source.LEDGER] == (2, 14, 1_500_000_000)
    assert day.report.open_break_count == 1
    assert day.report.open_breaks[0]["execution_id"] == "e-2"
    assert day.previous_seal == FIRST_SEAL
    assert day.seal == seal(write(day.report), FIRST_SEAL)

    desk.clock.pass_seconds(24 * 3600)
    await desk.rounds_for(2)
    following, first = await desk.days()
    assert first == day
    assert following.previous_seal == day.seal
    assert following.report.open_break_count == 0


async def test_a_day_is_not_sealed_while_a_source_is_away(desk: Desk) -> None:
    desk.sources[Source.ORDER].is_away = True
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(5)
    assert await desk.days() == []

    desk.sources[Source.ORDER].is_away = False
    await desk.rounds_for(2)
    assert len(await desk.days()) == 1


async def test_all_history_is_read_anew_before_a_day_is_sealed(make_desk: MakeDesk) -> None:
    desk = make_desk(page_rows=40, reread_rows=10)
    for number in range(95):
        desk.everywhere(f"e-{number:03}")
    await desk.rounds_for(8)
    records = desk.sources[Source.ORDER].sightings
    records[93] = _but(records[93], shares=7)
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(1)

    (day,) = await desk.days()
    order = next(each for each in day.report.sources if each.source is Source.ORDER)
    assert order.quantity == 95 * 10 - 3


BUST = {"amendment_id": "a-1", "is_fill": False, "shares": 0, "cash_micros": 0}
BOOKED = {**BUST, "shares": -10, "cash_micros": 1_000_000_000}


def add_bust(desk: Desk, source: Source) -> int:
    """Have a source tell that the fill `e-0` never was; where it stands there."""
    return desk.sources[source].add("e-0", **(BOOKED if source is Source.LEDGER else BUST))


async def test_a_bust_on_its_way_is_pending_and_no_break(desk: Desk) -> None:
    for source in Source:
        add_bust(desk, source)
        await desk.rounds_for(1)
        assert await desk.count_pending() == (0 if source is Source.LEDGER else 1)

    await desk.rounds_for(10)
    assert await desk.breaks(*BreakState) == []
    assert await desk.count_rows("sighting") == 8


@pytest.mark.parametrize("source", [s for s in Source if s is not Source.VENUE])
async def test_a_bust_that_does_not_get_through_is_a_break_until_it_does(
    desk: Desk, source: Source
) -> None:
    for other in Source:
        if other is not source:
            add_bust(desk, other)
    await desk.rounds_for(7)
    assert await desk.open_classes() == [("e-0", f"AMENDMENT_MISSING_AT_{source.name}")]

    add_bust(desk, source)
    await desk.rounds_for(1)
    assert await desk.breaks() == []


@pytest.mark.parametrize("source", [s for s in Source if s is not Source.VENUE])
async def test_an_old_bust_altered_or_removed_in_place_is_found(desk: Desk, source: Source) -> None:
    places = {each: add_bust(desk, each) for each in Source}
    desk.everywhere("e-1")
    await desk.rounds_for(8)
    records = desk.sources[source].sightings
    bust = records[places[source]]

    records[places[source]] = _but(bust, cash_micros=bust.cash_micros + 1)
    await desk.rounds_for(8)
    assert await desk.open_classes() == [("e-0", f"AMENDMENT_ALTERED_AT_{source.name}")]
    del records[places[source]]
    await desk.rounds_for(8)
    assert await desk.open_classes() == [("e-0", f"AMENDMENT_MISSING_AT_{source.name}")]
    records[places[source]] = bust
    await desk.rounds_for(2)
    assert await desk.breaks() == []


async def test_a_killed_process_reads_an_unfinished_bust_again(desk: Desk) -> None:
    for source in (Source.VENUE, Source.GATEWAY, Source.LEDGER):
        add_bust(desk, source)
    await desk.rounds_for(1)
    desk.start()
    await desk.rounds_for(8)
    assert await desk.open_classes() == [("e-0", "AMENDMENT_MISSING_AT_ORDER")]


async def test_where_fills_were_amended_before_all_is_read_anew_once(
    postgres_url: str, tmp_path: Path
) -> None:
    for file in sorted(MIGRATIONS.glob("*.sql"))[:2]:
        shutil.copy(file, tmp_path)
    await migrate(postgres_url, tmp_path)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE reading SET read_position = 7, read_venue = '~'")
        connection.execute(
            "INSERT INTO sighting VALUES"
            " (1, 5, 0, now(), 0, 0, false, 'XSIM', 'e-1', 't-1', '', 'AAPL')"
        )

    await migrate(postgres_url, MIGRATIONS)

    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT max(read_position) FROM reading").fetchone() == (0,)


async def test_a_sealed_day_cannot_be_changed(desk: Desk, postgres_url: str) -> None:
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(2)
    with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error):
        connection.execute("UPDATE day SET report = '{}'")


def _but(sighting: Any, **changes: Any) -> Any:
    """The same with other terms."""
    fields = {name: getattr(sighting, name) for name in sighting.__struct_fields__}
    return type(sighting)(**(fields | changes))
