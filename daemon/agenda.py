"""Calendars in files, for `read FILE.ics`: the occurrences in a span of days."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.calendars import CalendarEvent, CalendarReading, RawCalendar, When, Window
from connectors.protocols import CalendarParser

__all__ = ["is_calendar_file", "occurrence", "occurrences_at", "span"]

LARGEST = 16 * 1024 * 1024
SUFFIXES = (".ics", ".ical", ".ifb", ".vcs")


def is_calendar_file(path: Path) -> bool:
    """By its name, or by how it begins."""
    if path.is_dir():
        return False
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \r\n").upper().startswith(b"BEGIN:VCALENDAR")


def span(first: date | None, last: date | None, zone: ZoneInfo) -> Window | None:
    """The days from `first` to the end of `last`, by this zone. Without a last day, two years; without both, None."""
    if first is None and last is None:
        return None
    begin = first or date(1970, 1, 1)
    end = last if last is not None else begin + timedelta(days=731)
    midnight = time()
    return Window(datetime.combine(begin, midnight, zone), datetime.combine(end + timedelta(days=1), midnight, zone))


def occurrences_at(
    path: Path, window: Window | None, zone: ZoneInfo, parser: CalendarParser
) -> tuple[list[CalendarEvent], list[str]]:
    """(occurrences, the earliest first; what could not be read or was odd)."""
    with path.open("rb") as file:
        data = file.read(LARGEST)
    raws = [
        RawCalendar(
            account="file",
            calendar=str(path.parent),
            ref=str(path),
            data=data,
            zone=str(zone),
            window=window,
            tasks=tasks,
        )
        for tasks in (False, True)
    ]
    events, tasks = parser.parse_calendars(raws)
    found = sorted(events.events, key=lambda event: (_instant(event.start, zone), event.uid, str(event.end)))
    return found, list(dict.fromkeys((*_trouble(events), *(bad.reason for bad in tasks.unreadable))))


def _trouble(reading: CalendarReading) -> Iterable[str]:
    yield from (bad.reason for bad in reading.unreadable)
    yield from reading.notes
    for event in reading.events:
        yield from (f"event {event.uid[:80]}: {odd}" for odd in event.degraded)


def _instant(when: When, zone: ZoneInfo) -> datetime:
    return when if isinstance(when, datetime) else datetime.combine(when, time(), zone)


def occurrence(event: CalendarEvent, *, assumed: bool = False) -> dict[str, Any]:
    """The shape of `read --json` for one occurrence. Times in the event's zone with its offset, all-day ones as days;
    `end` is not part of it. A time whose zone nobody knows has no offset, unless its zone is `assumed` on purpose."""
    return {
        "uid": event.uid,
        "start": _told(event.start, event.zone_unclear and not assumed),
        "end": _told(event.end, event.zone_unclear and not assumed),
        "all_day": event.all_day,
        "summary": event.summary,
        "status": event.status.value,
        "organizer": event.organizer.email if event.organizer else None,
        "attendees": [
            {"email": one.address.email, "name": one.address.name, "answer": one.answer.value}
            for one in event.attendees
        ],
    }


def _told(when: When, floats: bool) -> str:
    return when.replace(tzinfo=None).isoformat() if floats and isinstance(when, datetime) else when.isoformat()
