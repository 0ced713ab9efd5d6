"""iCalendar objects as items of the EWS server and back: what a calendar program beside Exchange, or an invitation from
elsewhere, would have laid there (MS-OXCICAL)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from exchangelib.winzone import CLDR_TO_MS_TIMEZONE_MAP
from icalendar import Calendar, Component
from servers.ews_calendars import Appointment, Guest, Todo
from servers.ews_store import Folder, Item, Mailbox

_RESPONSES = {"ACCEPTED": "Accept", "DECLINED": "Decline", "TENTATIVE": "Tentative"}
_BUSY = {"TENTATIVE": "Tentative"}
_SENSITIVITY = {"PRIVATE": "Private", "CONFIDENTIAL": "Confidential"}


def lay(box: Mailbox, folder: Folder, data: bytes, *, zone: str = "Europe/Lisbon", over: Item | None = None) -> Item:
    """Lay the object of one UID into a folder, or change the item that is there. `zone` is the program's own."""
    components = [one for one in Calendar.from_ical(data).subcomponents if one.name in ("VEVENT", "VTODO")]
    new_id = over.id if over is not None else box.new_id()
    made = _todo(new_id, components[0]) if components[0].name == "VTODO" else _series(new_id, components, zone)
    if over is None:
        box.lay(made, folder)
        return made
    own = {one.name for one in fields(Item)} - {"categories"}
    for one in fields(made):
        if one.name not in own:
            setattr(over, one.name, getattr(made, one.name))
    box.touch(over)
    return over


def _series(id: str, components: list[Component], zone: str) -> Appointment:
    series = next((one for one in components if "RECURRENCE-ID" not in one), None)
    whole = _appointment(id, series if series is not None else components[0], zone)
    if series is None:
        whole.recurrence_id = _instant(components[0].decoded("RECURRENCE-ID"), zone)
        return whole
    for one in components:
        if one is not series:
            changed = _appointment(id, one, zone)
            changed.kind = "Exception"
            whole.exceptions[_instant(one.decoded("RECURRENCE-ID"), zone)] = changed
    if "RRULE" in series:
        whole.rule = _rule(series["RRULE"])
    listed = series.get("EXDATE", [])
    for dates in listed if isinstance(listed, list) else [listed]:
        whole.deleted |= {_instant(each.dt, zone) for each in dates.dts}
    return whole


def _appointment(id: str, event: Component, zone: str) -> Appointment:
    start = event.decoded("DTSTART")
    all_day = not isinstance(start, datetime)
    name = zone if all_day else getattr(start.tzinfo, "key", "") or "UTC"
    return Appointment(
        id=id,
        folder="",
        raw=b"",
        received=datetime(2026, 1, 1, tzinfo=UTC),
        categories=_categories(event),
        uid=str(event.get("UID", "")),
        subject=str(event.get("SUMMARY", "")),
        body=str(event.get("DESCRIPTION", "")),
        location=str(event.get("LOCATION", "")),
        start=_instant(start, zone),
        end=_instant(_end(event, start), zone),
        zone=CLDR_TO_MS_TIMEZONE_MAP.get(name, ("UTC", ""))[0],
        all_day=all_day,
        busy="Free" if event.get("TRANSP") == "TRANSPARENT" else _BUSY.get(str(event.get("STATUS", "")), "Busy"),
        sensitivity=_SENSITIVITY.get(str(event.get("CLASS", "")), "Normal"),
        cancelled=event.get("STATUS") == "CANCELLED",
        organizer=_guest(event["ORGANIZER"]) if "ORGANIZER" in event else None,
        guests=[_guest(one) for one in _listed(event, "ATTENDEE")],
        sequence=int(event.get("SEQUENCE", 0)),
        stamped=event.decoded("DTSTAMP") if "DTSTAMP" in event else None,
        modified=event.decoded("LAST-MODIFIED") if "LAST-MODIFIED" in event else None,
    )


def _rule(value: Any) -> str:
    return value.to_ical().decode()  # type: ignore[no-any-return]


def _end(event: Component, start: date) -> date:
    if "DTEND" in event:
        return event.decoded("DTEND")  # type: ignore[no-any-return]
    if "DURATION" in event:
        return start + event.decoded("DURATION")  # type: ignore[no-any-return]
    return start if isinstance(start, datetime) else start + timedelta(days=1)


def _instant(when: date, zone: str) -> datetime:
    if not isinstance(when, datetime):
        when = datetime.combine(when, time(), ZoneInfo(zone))
    return when.astimezone(UTC)


def _guest(value: Any) -> Guest:
    role = value.params.get("ROLE", "REQ-PARTICIPANT")
    kind = "Resource" if value.params.get("CUTYPE") in ("ROOM", "RESOURCE") else "Required"
    return Guest(
        email=str(value).partition(":")[2],
        name=value.params.get("CN", ""),
        kind="Optional" if role == "OPT-PARTICIPANT" else kind,
        response=_RESPONSES.get(value.params.get("PARTSTAT", ""), "Unknown"),
    )


def _listed(event: Component, name: str) -> list[Any]:
    found = event.get(name, [])
    return found if isinstance(found, list) else [found]


def _categories(event: Component) -> list[str]:
    return [str(name) for one in _listed(event, "CATEGORIES") for name in one.cats]


def _todo(id: str, task: Component) -> Todo:
    due = task.decoded("DUE") if "DUE" in task else None
    return Todo(
        id=id,
        folder="",
        raw=b"",
        received=datetime(2026, 1, 1, tzinfo=UTC),
        categories=_categories(task),
        subject=str(task.get("SUMMARY", "")),
        body=str(task.get("DESCRIPTION", "")),
        due_day=due.date() if isinstance(due, datetime) else due,
        status="Completed" if task.get("STATUS") == "COMPLETED" else "NotStarted",
    )


def as_ical(item: Item, uid: str) -> bytes:
    """An item as a calendar program shows it, times in UTC."""
    name = "VTODO" if isinstance(item, Todo) else "VEVENT"
    lines = ["BEGIN:VCALENDAR", f"BEGIN:{name}", *_lines(item, uid), f"END:{name}", "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode()


def _lines(item: Item, uid: str) -> Iterator[str]:
    assert isinstance(item, Appointment | Todo)
    yield from (f"UID:{uid}", f"SUMMARY:{item.subject}", *(f"CATEGORIES:{one}" for one in item.categories))
    if item.body:
        yield "DESCRIPTION:" + item.body.replace("\n", "\\n")
    if isinstance(item, Todo):
        yield from (f"DUE;VALUE=DATE:{item.due_day:%Y%m%d}",) if item.due_day else ()
        yield "STATUS:" + ("COMPLETED" if item.status == "Completed" else "NEEDS-ACTION")
        return
    yield f"DTSTART:{item.start:%Y%m%dT%H%M%SZ}"
    yield f"DTEND:{max(item.end, item.start):%Y%m%dT%H%M%SZ}"
    yield from (f"ATTENDEE:mailto:{one.email}" for one in item.guests)
    if item.organizer is not None:
        yield f"ORGANIZER:mailto:{item.organizer.email}"
