"""Rounds that a killed process began are gone on with, and those of two at once are one."""

from services.reconciliation.domain.sighting import ORIGIN, Source
from services.reconciliation.store.breaks import BreakState
from tests.reconciliation.scripted import Desk, MakeDesk


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
