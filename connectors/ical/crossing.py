"""What crosses between our process and a parser child for calendars: an object in, its `FlatReading` back.

A series shares one `Telling` among its occurrences, so that a hundred meetings do not name ten people a hundred times.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from connectors.calendars import (
    Answer,
    Attendee,
    CalendarEvent,
    CalendarReading,
    EventStatus,
    Method,
    RawCalendar,
    Role,
    When,
    Window,
)
from connectors.model import Address, Unreadable

__all__ = [
    "FlatAttendee",
    "FlatReading",
    "FlatSpan",
    "Person",
    "Telling",
    "build_reading",
    "pack_calendar",
    "unpack_calendar",
]

Person = tuple[str, str]
FlatAttendee = tuple[str, str, str, str, Person | None]


class Telling(NamedTuple):
    """What all occurrences of a component share, in shapes that JSON knows; times in seconds since 1970."""

    uid: str
    sequence: int
    stamped_at: float | None
    changed_at: float | None
    status: str
    summary: str
    location: str
    text: str
    organizer: Person | None
    organizer_by: Person | None
    attendees: list[FlatAttendee]
    private: bool
    free: bool
    categories: list[str]
    degraded: list[str]


FlatSpan = tuple[int, str, str, str | None, bool, str, bool]
"""Number of its telling, start, end and original start (ISO 8601), exception, IANA zone or "", zone unclear."""

FlatBad = tuple[str, str, str, Sequence[Person]]
"""UID, reason, the component as text, people in it."""

Packed = tuple[Any, ...]


class FlatReading(NamedTuple):
    """What reading a calendar finds out, in shapes that JSON knows."""

    method: str
    tellings: Sequence[Telling]
    spans: Sequence[FlatSpan]
    bad: Sequence[FlatBad]
    notes: Sequence[str]


def pack_calendar(raw: RawCalendar) -> Packed:
    """What the reader needs of an object, in shapes that marshal knows."""
    window = (raw.window.start.timestamp(), raw.window.end.timestamp()) if raw.window else None
    return raw.data, raw.zone, window, raw.tasks


def unpack_calendar(packed: Packed) -> RawCalendar:
    """The object again; the fields that only the parent needs are empty."""
    data, zone, window, tasks = packed
    known = Window(*(datetime.fromtimestamp(edge, UTC) for edge in window)) if window else None
    return RawCalendar(account="", calendar="", ref="", data=data, zone=zone, window=known, tasks=tasks)


def build_reading(raw: RawCalendar, flat: FlatReading) -> CalendarReading:
    """The events of a reading, with the source's own fields."""
    shared = [_build_telling(Telling(*telling)) for telling in flat.tellings]
    return CalendarReading(
        method=Method(flat.method) if flat.method else None,
        events=tuple([_build_event(raw, shared[span[0]], span) for span in flat.spans]),
        unreadable=tuple([_build_bad(raw, *bad) for bad in flat.bad]),
        notes=tuple(flat.notes),
    )


def _build_event(raw: RawCalendar, shared: dict[str, Any], span: FlatSpan) -> CalendarEvent:
    _, start, end, original, exception, zone, unclear = span
    return CalendarEvent(
        account=raw.account,
        calendar=raw.calendar,
        ref=raw.ref,
        original=_when(original, "") if original else None,
        exception=exception,
        start=_when(start, zone),
        end=_when(end, zone),
        all_day=len(start) == 10,
        zone=zone,
        zone_unclear=unclear,
        **shared,
    )


def _when(text: str, zone: str) -> When:
    if len(text) == 10:
        return date.fromisoformat(text)
    from zoneinfo import ZoneInfo  # not in children that see no calendar

    when = datetime.fromisoformat(text)
    return when.astimezone(ZoneInfo(zone)) if zone else when


def _build_telling(telling: Telling) -> dict[str, Any]:
    return telling._asdict() | {
        "stamped_at": _instant(telling.stamped_at),
        "changed_at": _instant(telling.changed_at),
        "status": EventStatus(telling.status),
        "organizer": _address(telling.organizer),
        "organizer_by": _address(telling.organizer_by),
        "attendees": tuple([_attendee(*one) for one in telling.attendees]),
        "categories": tuple(telling.categories),
        "degraded": tuple(telling.degraded),
    }


def _attendee(*flat: Any) -> Attendee:
    email, name, answer, role, sent_by = flat
    return Attendee(Address(email, name), Answer(answer), Role(role), _address(sent_by))


def _address(person: Person | None) -> Address | None:
    return Address(*person) if person else None


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _build_bad(raw: RawCalendar, uid: str, reason: str, text: str, people: Sequence[Person]) -> Unreadable:
    return Unreadable(
        account=raw.account,
        folder=raw.calendar,
        ref=raw.ref,
        stage="parse",
        reason=reason,
        raw=text.encode("utf-8", "replace"),
        people=tuple([Address(email, name) for email, name in people]),
        message_id=uid,
        size=len(raw.data),
    )
