"""The calendars of other projects, read where they lie: no error escapes, what is broken is named, what a file says of
itself is so."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from connectors.calendars import CalendarEvent, CalendarReading, RawCalendar, Window
from connectors.ical.lines import read_components
from connectors.parsing import InlineParser, ParserPool

SETS = ("ical4j", "icalendar-py", "james-itip")


@pytest.fixture(scope="module")
def folder(corpora: Path) -> Path:
    found = corpora / "6_ical"
    if not found.is_dir():
        pytest.skip("corpus not present, skipped")
    return found


def listed(folder: Path) -> list[tuple[Path, str]]:
    """(file, category) of everything in the indexes."""
    return [
        (folder / name / row["path"], row["category"])
        for name in SETS
        for row in csv.DictReader((folder / name / "index.csv").read_text().splitlines())
    ]


def raw(path: Path, window: Window | None = None, *, tasks: bool = False) -> RawCalendar:
    return RawCalendar(
        account="a",
        calendar="c",
        ref=path.name,
        data=path.read_bytes(),
        zone="Europe/Berlin",
        window=window,
        tasks=tasks,
    )


def read(path: Path, window: Window | None = None) -> CalendarReading:
    (reading,) = InlineParser().parse_calendars([raw(path, window)])
    return reading


def test_no_error_escapes_and_a_child_reads_the_same(folder: Path) -> None:
    raws = [raw(path, tasks=tasks) for path, _ in listed(folder) for tasks in (False, True)]
    assert len(raws) > 150
    inline = InlineParser().parse_calendars(raws)
    pool = ParserPool(workers=1)
    try:
        assert pool.parse_calendars(raws) == inline
    finally:
        pool.close()
    assert not [bad.reason for reading in inline for bad in reading.unreadable if "the reader met" in bad.reason]


def test_what_is_invalid_is_named(folder: Path) -> None:
    """By an event that could not be read, or by what was odd of the calendar or of an event."""
    for path, category in listed(folder):
        if category not in ("invalid", "malformed"):
            continue
        events = read(path)
        (tasks,) = InlineParser().parse_calendars([raw(path, tasks=True)])
        named = [*events.notes, *(bad.reason for bad in (*events.unreadable, *tasks.unreadable))]
        named += [odd for event in events.events for odd in event.degraded]
        assert named, path


def test_every_event_is_read_or_named(folder: Path) -> None:
    """In the valid files; but for events of which dates are taken out, perhaps all."""
    for path, category in listed(folder):
        if category != "ics":
            continue
        components = [one for top in read_components(path.read_bytes())[0] for one in (top, *top.inner)]
        events = [one for one in components if one.name == "VEVENT" and not one.first("EXDATE")]
        reading = read(path)
        told = {event.uid for event in reading.events} | {bad.message_id for bad in reading.unreadable}
        assert {uid for one in events if (uid := one.value("UID"))} <= told, path


def starts(reading: CalendarReading) -> list[str]:
    return sorted(str(event.start) for event in reading.events)


def test_every_friday_except_friday_the_13th(folder: Path) -> None:
    reading = read(folder / "ical4j/samples/valid/friday13-NOT.ics")
    days = [event.start.date() for event in reading.events if isinstance(event.start, datetime)]
    assert len(days) > 90
    assert all((day.weekday() == 4 and day.day != 13) or day == date(1997, 9, 2) for day in days)
    skipped = [day for day in (date(1998, 2, 13), date(1998, 3, 13), date(1998, 11, 13)) if day in days]
    assert skipped == []
    assert date(1998, 2, 6) in days


def test_transitions_of_a_zone_of_its_own(folder: Path) -> None:
    """Each event says in X-TZNAME whether it is in winter (+12) or summer (+10)."""
    reading = read(folder / "icalendar-py/calendars/issue_722_timezone_transition_ambiguity.ics")
    offsets = {event.uid: event.start.utcoffset() for event in reading.events if isinstance(event.start, datetime)}
    winter, summer = timedelta(hours=12), timedelta(hours=10)
    assert offsets == {"0": winter, "1": summer, "2": summer, "3": winter}


def test_globally_unique_zone_names(folder: Path) -> None:
    reading = read(folder / "icalendar-py/calendars/issue_313_globally_unique_tzid.ics")
    assert [event.zone for event in reading.events] == [
        "Europe/Berlin",
        "America/New_York",
        "America/Argentina/Buenos_Aires",
    ]


def test_dates_without_a_rule(folder: Path) -> None:
    """RFC 5545 3.8.5.2, each example as an event of its own."""
    reading = read(folder / "icalendar-py/calendars/rfc_5545_RDATE_example.ics")
    by_uid: dict[str, list[CalendarEvent]] = {}
    for event in sorted(reading.events, key=lambda one: str(one.start)):
        by_uid.setdefault(event.uid, []).append(event)
    assert str(by_uid["1"][0].start) == "1997-07-14 12:30:00+00:00"
    assert str(by_uid["2"][0].start) == "1997-07-14 08:30:00-04:00"
    assert [(str(one.start), str(one.end)) for one in by_uid["3"]] == [
        ("1996-04-03 02:00:00+00:00", "1996-04-03 04:00:00+00:00"),
        ("1996-04-04 01:00:00+00:00", "1996-04-04 04:00:00+00:00"),
    ]
    assert [one.start for one in by_uid["4"]][:3] == [date(1997, 1, 1), date(1997, 1, 20), date(1997, 2, 17)]
    assert len(by_uid["4"]) == 11


def test_a_daily_standup_on_weekdays_until_a_day(folder: Path) -> None:
    """BYDAY with spaces, a zone that only its VTIMEZONE knows."""
    reading = read(folder / "icalendar-py/calendars/issue_165_missing_event.ics")
    assert starts(reading)[0] == "2015-07-03 10:00:00+02:00"
    assert starts(reading)[-1] == "2015-07-22 10:00:00+02:00"
    assert len(reading.events) == 14


def test_an_outlook_zone_by_its_long_name(folder: Path) -> None:
    (event,) = read(folder / "ical4j/samples/invalid/tmeher.ics").events
    assert str(event.start) == "2004-10-11 22:30:00-07:00"
    assert not event.zone_unclear


def test_a_zone_with_an_empty_name_is_unclear(folder: Path) -> None:
    (event,) = read(folder / "ical4j/samples/valid/blankTzid.ics").events
    assert event.zone_unclear
    assert any("assumed" in odd for odd in event.degraded)


def test_an_invitation_of_another_program(folder: Path) -> None:
    reading = read(folder / "james-itip/ics/meeting.ics")
    (event,) = reading.events
    assert reading.method is not None
    assert reading.method.value == "request"
    assert event.start == datetime(2017, 1, 11, 9, tzinfo=UTC)
    assert event.end == datetime(2017, 1, 11, 10, 30, tzinfo=UTC)
    assert len(event.attendees) == 8
    assert event.uid.startswith("f1514f44bf39311568d640727cff54e8")
    assert len(event.uid) > 140
