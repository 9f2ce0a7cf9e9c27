"""Rounds over fills that the exchange took back: what is a break and when."""

import shutil
from pathlib import Path

import psycopg
import pytest

from libs.postgres import migrate
from services.reconciliation.domain.sighting import Source
from services.reconciliation.main import MIGRATIONS
from services.reconciliation.store.breaks import BreakState
from tests.reconciliation.scripted import Desk, but

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

    records[places[source]] = but(bust, cash_micros=bust.cash_micros + 1)
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


async def test_a_bust_of_what_is_long_suspected_has_a_grace_of_its_own(desk: Desk) -> None:
    ledger = desk.sources[Source.LEDGER]
    ledger.is_away = True
    for source in (Source.VENUE, Source.GATEWAY):
        desk.sources[source].add("e-1")
    await desk.rounds_for(60)
    ledger.is_away = False
    await desk.rounds_for(4)
    desk.sources[Source.VENUE].add("e-1", **BUST)
    await desk.rounds_for(3)
    assert await desk.open_classes() == [("e-1", "MISSING_AT_ORDER")]

    desk.sources[Source.ORDER].add("e-1")
    for source in (Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1", **BUST)
    ledger.add("e-1")
    ledger.add("e-1", **BOOKED)
    await desk.rounds_for(10)
    assert await desk.breaks() == []
    (found,) = await desk.breaks(*BreakState)
    assert found.break_class.name == "MISSING_AT_ORDER"
    assert await desk.count_pending() == 0


async def test_a_bust_soon_after_its_fill_has_a_grace_of_its_own(desk: Desk) -> None:
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1")
    await desk.rounds_for(4)
    desk.sources[Source.VENUE].add("e-1", **BUST)
    await desk.rounds_for(4)
    for source in (Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1", **BUST)
    desk.sources[Source.LEDGER].add("e-1")
    desk.sources[Source.LEDGER].add("e-1", **BOOKED)
    await desk.rounds_for(10)
    assert await desk.breaks(*BreakState) == []
    assert await desk.count_pending() == 0
