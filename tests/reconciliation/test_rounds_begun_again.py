"""Rounds that a killed process began are gone on with, and those of two at once are one."""

from typing import Any

import psycopg
import pytest

from services.reconciliation import books
from services.reconciliation.books import Books, Outcome
from services.reconciliation.domain.sighting import ORIGIN, Source
from services.reconciliation.store.breaks import BreakState
from tests.reconciliation.scripted import Desk, MakeDesk, a_sighting


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


async def test_what_an_older_process_noticed_without_its_class_keeps_its_age(
    desk: Desk, postgres_url: str
) -> None:
    desk.sources[Source.LEDGER].is_away = True
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("e-1")
    await desk.rounds_for(60)
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute("UPDATE suspect SET class = DEFAULT")
    desk.sources[Source.LEDGER].is_away = False
    await desk.rounds_for(6)
    (found,) = await desk.breaks()
    assert found.break_class.name == "MISSING_AT_LEDGER"
    assert (found.opened_at - found.noticed_at).total_seconds() > 60
    assert await desk.count_rows("suspect") == 0


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


async def test_who_begins_on_an_empty_database_misses_nothing_that_is_archived(
    make_desk: MakeDesk,
) -> None:
    """But what the ledger never booked, however old."""
    desk = make_desk(page_rows=2, reread_rows=2)
    for number in range(5):
        desk.everywhere(f"e-{number}")
    for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
        desk.sources[source].add("lost")
    for number in range(5, 8):
        desk.everywhere(f"e-{number}")
    desk.sources[Source.LEDGER].archived = 6
    await desk.rounds_for(30)
    assert await desk.open_classes() == [("lost", "MISSING_AT_LEDGER")]
    assert await desk.count_rows("agreed_execution") == 8
    assert await desk.count_rows("sighting") == 3
    assert desk.rounds.whole_since() is not None


async def test_what_is_amended_after_it_was_archived_is_a_break_until_an_entry_makes_it_right(
    make_desk: MakeDesk,
) -> None:
    """For one that began on an empty database, too."""
    desk = make_desk()
    ledger = desk.sources[Source.LEDGER]
    desk.everywhere("e-0")
    ledger.archived = 1
    await desk.rounds_for(8)
    bust = {"is_fill": False, "amendment_id": "b-1", "shares": 0, "cash_micros": 0}
    for source in (Source.VENUE, Source.GATEWAY):
        desk.sources[source].add("e-0", **bust)
    await desk.rounds_for(8)
    missing = [("e-0", f"AMENDMENT_MISSING_AT_{name}") for name in ("LEDGER", "ORDER")]
    assert sorted(await desk.open_classes()) == missing
    ledger.add("e-0", is_fill=False, shares=-10, cash_micros=1_000_000_000)
    await desk.rounds_for(2)
    assert await desk.breaks() == []
    assert {each.ending for each in await desk.breaks(BreakState.CLOSED)} == {2}
    ledger.archived = 2
    await desk.rounds_for(8)
    assert await desk.breaks() == []


async def test_however_far_one_source_is_behind_memory_has_an_end(
    make_desk: MakeDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger numbers much that is no execution, so as many rows of it tell of fewer."""
    desk = make_desk(page_rows=10)
    for number in range(1_000):
        for source in (Source.VENUE, Source.GATEWAY, Source.ORDER):
            desk.sources[source].add(f"e-{number}")
        place = (number + 1) * 10
        told = a_sighting(Source.LEDGER, f"e-{number}", place)
        desk.sources[Source.LEDGER].sightings[place] = told
    most, held = 200, list[int]()
    take = Books.take

    async def watched(self: Books, *asked: Any, **named: Any) -> Outcome:
        outcome = await take(self, *asked, **named)
        held.append(self.held)
        return outcome

    monkeypatch.setattr(books, "_MOST_HELD", most)
    monkeypatch.setattr(Books, "take", watched)
    await desk.rounds_for(20)
    assert max(held) <= most
    assert await desk.breaks(*BreakState) == []
    assert await desk.count_pending() == 0
    assert await desk.count_rows("sighting") == 0
    assert await desk.count_rows("agreed_execution") == 1_000
