"""The exchange keeps the hours of the New York Stock Exchange."""

import csv
from datetime import UTC, datetime, timedelta

from services.exchange_simulator import tables
from services.exchange_simulator.hours import Change, Hours, Session
from tests.exchange_simulator.conditions import SESSIONS, needs_data

SECOND = timedelta(seconds=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@needs_data
def test_the_table_is_the_known_calendar_where_they_overlap() -> None:
    with SESSIONS.open() as lines:
        known = {
            (datetime.fromisoformat(row["open"]), datetime.fromisoformat(row["close"]))
            for row in csv.DictReader(lines)
        }
    last = max(known)[0]

    table = {(s.opens_at, s.closes_at) for s in tables.read_sessions() if s.opens_at <= last}

    assert table == known


def test_a_session_begins_at_its_open_and_is_over_at_its_close() -> None:
    hours = Hours(tables.read_sessions())

    assert not hours.is_open(at("2026-11-20T14:30:00") - SECOND)
    assert hours.is_open(at("2026-11-20T14:30:00"))
    assert hours.is_open(at("2026-11-20T21:00:00") - SECOND)
    assert not hours.is_open(at("2026-11-20T21:00:00"))


def test_half_days_holidays_weekends_and_summer_time_are_known() -> None:
    hours = Hours(tables.read_sessions())

    assert not hours.is_open(at("2026-11-26T16:00:00")), "Thanksgiving"
    assert hours.is_open(at("2026-11-27T17:59:59")), "the day after closes at 13:00 in New York"
    assert not hours.is_open(at("2026-11-27T18:00:00"))
    assert not hours.is_open(at("2026-11-21T16:00:00")), "a Saturday"
    assert hours.is_open(at("2026-07-01T13:30:00")), "summer time"


def test_out_of_hours_the_next_session_is_known() -> None:
    hours = Hours(tables.read_sessions())

    upcoming = hours.session(at("2026-11-21T12:00:00"))

    assert upcoming is not None
    assert upcoming.opens_at == at("2026-11-23T14:30:00")
    assert upcoming.closes_at == at("2026-11-23T21:00:00")


def test_beyond_the_table_the_exchange_is_closed() -> None:
    hours = Hours(tables.read_sessions())

    assert not hours.is_open(at("2100-01-04T15:00:00"))
    assert hours.session(at("2100-01-04T15:00:00")) is None


def test_without_hours_it_is_always_open() -> None:
    hours = Hours(None)

    assert hours.is_always_open
    assert hours.is_open(at("2026-11-21T03:00:00"))
    assert hours.session(at("2026-11-21T03:00:00")) is None


def test_the_next_opening_is_never_that_of_the_session_in_progress() -> None:
    hours = Hours(tables.read_sessions())

    moments = ["2026-11-25T14:29:59", "2026-11-25T14:30:00", "2026-11-26T12:00:00"]
    opens = [hours.next_open(at(moment)) for moment in moments]

    assert opens == [
        at("2026-11-25T14:30:00"),
        at("2026-11-27T14:30:00"),
        at("2026-11-27T14:30:00"),
    ]
    assert hours.next_open(at("2100-01-04T15:00:00")) is None


def test_the_days_of_the_calendar_leave_holidays_out_and_tell_half_days() -> None:
    hours = Hours(tables.read_sessions())

    days = hours.days(at("2026-11-25T00:00:00").date(), 4)

    assert [(f"{each.day:%m-%d}", each.is_short) for each in days] == [
        ("11-25", False),
        ("11-27", True),
        ("11-30", False),
        ("12-01", False),
    ]


def test_an_operators_hours_take_the_place_of_the_calendars_and_give_it_back() -> None:
    hours = Hours(tables.read_sessions())
    wednesday, thanksgiving, friday = (at(f"2026-11-{day}T00:00:00").date() for day in (25, 26, 27))
    extra = Session(at("2026-11-26T10:00:00"), at("2026-11-26T11:00:00"))

    hours.amend([Change(wednesday, None, "mourning"), Change(thanksgiving, extra, "")])

    assert not hours.is_open(at("2026-11-25T15:00:00"))
    assert hours.is_open(at("2026-11-26T10:30:00"))
    assert hours.last_close(at("2026-11-26T10:00:00")) == at("2026-11-24T21:00:00")
    told = [(each.day, each.session, each.change is not None) for each in hours.days(wednesday, 3)]
    assert told[:2] == [(wednesday, None, True), (thanksgiving, extra, True)]
    assert told[2][0] == friday
    hours.amend([])
    assert hours.is_open(at("2026-11-25T15:00:00"))
    assert not hours.is_open(at("2026-11-26T10:30:00"))
