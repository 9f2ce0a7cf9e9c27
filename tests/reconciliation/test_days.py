"""A day that is over is sealed with what every source had."""

from datetime import date, timedelta

import psycopg
import pytest

from services.reconciliation.domain.day import FIRST_SEAL, seal, write
from services.reconciliation.domain.sighting import MOST, Source
from services.reconciliation.telling import day_to
from tests.reconciliation.scripted import Desk, MakeDesk, but


async def test_no_day_is_sealed_early_by_who_began_while_the_clock_was_ahead(desk: Desk) -> None:
    desk.clock.ahead = timedelta(days=3)
    desk.start()
    desk.clock.ahead = timedelta()
    desk.everywhere("e-1")
    await desk.rounds_for(10)
    assert await desk.days() == []
    desk.clock.pass_seconds(9 * 3600 + 20 * 60)
    await desk.rounds_for(3)
    assert [day.report.trade_date for day in await desk.days()] == [date(2026, 11, 20)]


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
    records[93] = but(records[93], shares=7)
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(8)

    (day,) = await desk.days()
    order = next(each for each in day.report.sources if each.source is Source.ORDER)
    assert order.quantity == 95 * 10 - 3


async def test_what_is_found_when_a_day_is_read_anew_is_in_its_report(desk: Desk) -> None:
    """It is no break yet: the day waits until it is one, or gone."""
    for execution in ("e-1", "e-2"):
        desk.everywhere(execution)
    await desk.rounds_for(2)
    records = desk.sources[Source.ORDER].sightings
    records[2], was = but(records[2], customer_id="mallory"), records[2]
    records[3] = but(records[3], customer_id="mallory")
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(2)
    assert await desk.days() == []
    records[2] = was
    desk.everywhere("e-3", trade_date=date(2026, 11, 21))
    desk.sources[Source.VENUE].add("e-4", trade_date=date(2026, 11, 21))  # it is on its way
    await desk.rounds_for(6)

    (day,) = await desk.days()
    assert [each["execution_id"] for each in day.report.open_breaks] == ["e-2"]
    assert (day.report.open_break_count, day.report.closed_breaks) == (1, 0)


async def test_the_first_day_is_sealed_although_all_of_it_differs(make_desk: MakeDesk) -> None:
    """It was not on record yet when something of a later day was."""
    desk = make_desk()
    desk.sources[Source.VENUE].add("e-0", trade_date=date(2026, 11, 19))
    desk.everywhere("e-1")
    await desk.rounds_for(8)
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(8)

    days = [(day.report.trade_date, day.report.open_break_count) for day in await desk.days()]
    assert days == [(date(2026, 11, 20), 0), (date(2026, 11, 19), 3)]


async def test_a_sealed_day_cannot_be_changed(desk: Desk, postgres_url: str) -> None:
    desk.clock.pass_seconds(10 * 3600)
    await desk.rounds_for(2)
    with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error):
        connection.execute("UPDATE day SET report = '{}'")


async def test_what_a_venue_should_never_have_told_keeps_no_day_from_being_read(
    desk: Desk,
) -> None:
    """Two fills of more than a day can be worth: together they are no number of the contract."""
    for number in range(2):
        desk.sources[Source.VENUE].add(f"huge-{number}", shares=MOST, cash_micros=-MOST)
    await desk.rounds_for(8)
    desk.clock.pass_seconds(9 * 3600 + 20 * 60)
    await desk.rounds_for(2)
    (day,) = await desk.days()
    told = day_to(day, with_breaks=True)
    assert (told.sources[0].quantity, told.sources[0].notional_micros) == (MOST, MOST)
    assert told.seal == seal(write(day.report), FIRST_SEAL)
