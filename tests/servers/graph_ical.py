"""iCalendar objects as Microsoft 365 would keep them, and items of ours there as iCalendar: for suites that speak it.

Only what they use is translated: weekly series, exceptions, people.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
from servers.graph_agenda import Agenda, FakeEvent, Json

from connectors.graph.events import OWN

SEQUENCE = "Integer {00062002-0000-0000-C000-000000000046} Id 0x8201"
STAMPED = "SystemTime {6ED8DA90-450B-101B-98DA-00AA003F1305} Id 0x001A"
_WINDOWS = {"America/Sao_Paulo": "E. South America Standard Time", "Europe/Berlin": "W. Europe Standard Time"}
_ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentativelyAccepted"}
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def keep(agenda: Agenda, name: str, data: bytes, calendar: str) -> FakeEvent:
    """Lay an iCalendar object into a calendar, or change it there."""
    parsed: Any = icalendar.Calendar.from_ical(data)
    main, *others = parsed.walk("VEVENT")
    event = made(agenda, agenda.id(f"object {name}"), calendar, main)
    for other in others:
        original = _wall(other["RECURRENCE-ID"].dt)
        event.exceptions[original] = made(agenda, agenda.id(f"object {name} {original}"), calendar, other)
    return agenda.put(event)


def made(agenda: Agenda, ref: str, calendar: str, component: Any) -> FakeEvent:
    """An event out of a VEVENT."""
    begins = component["DTSTART"].dt
    length = component["DURATION"].dt if "DURATION" in component else timedelta()
    start = _wall(begins)
    end = _wall(component["DTEND"].dt) if "DTEND" in component else start + length
    all_day = not isinstance(begins, datetime)
    zone = "UTC" if all_day or begins.tzinfo is UTC else str(getattr(begins.tzinfo, "key", "UTC"))
    event = FakeEvent(ref, agenda.calendar(calendar), start, end, _WINDOWS.get(zone, zone))
    event.fields = fields(component, agenda.address) | {"isAllDay": all_day}
    event.properties = {SEQUENCE: str(component.get("SEQUENCE", 0))}
    if "DTSTAMP" in component:
        event.properties[STAMPED] = f"{component['DTSTAMP'].dt:%Y-%m-%dT%H:%M:%SZ}"
    if "RRULE" in component:
        event.recurrence = _recurrence(component["RRULE"], start)
    skipped = component.get("EXDATE", [])
    for one in skipped if isinstance(skipped, list) else [skipped]:
        event.taken_out |= {_wall(moment.dt) for moment in one.dts}
    return event


def fields(component: Any, owner: str) -> Json:
    """What an event says apart from its times, in the calendar of `owner`."""
    found: Json = {
        "iCalUId": str(component["UID"]),
        "subject": str(component.get("SUMMARY", "")),
        "body": {"contentType": "text", "content": str(component.get("DESCRIPTION", "")).replace("\n", "\r\n")},
        "location": {"displayName": str(component.get("LOCATION", "")), "locationType": "default"},
        "sensitivity": "private" if component.get("CLASS") == "PRIVATE" else "normal",
        "isCancelled": component.get("STATUS") == "CANCELLED",
        "showAs": "tentative" if component.get("STATUS") == "TENTATIVE" else "busy",
        "categories": [str(one) for one in getattr(component.get("CATEGORIES"), "cats", [])],
    }
    people = component.get("ATTENDEE", [])
    found["attendees"] = [_attendee(one) for one in (people if isinstance(people, list) else [people])]
    if "ORGANIZER" in component:
        found["organizer"] = _person(component["ORGANIZER"])
        found["isOrganizer"] = found["organizer"]["emailAddress"]["address"] == owner
    return found


def _attendee(value: Any) -> Json:
    role = "optional" if value.params.get("ROLE") == "OPT-PARTICIPANT" else "required"
    answer = _ANSWERS.get(value.params.get("PARTSTAT", ""), "none")
    return {**_person(value), "type": role, "status": {"response": answer, "time": "2026-11-01T08:00:00Z"}}


def _person(value: Any) -> Json:
    address = str(value)[7:]
    return {"emailAddress": {"address": address, "name": value.params.get("CN", address)}}


def _recurrence(rule: Any, start: datetime) -> Json:
    assert rule["FREQ"] == ["WEEKLY"], "the suites use weekly series"
    pattern = {"type": "weekly", "interval": 1, "daysOfWeek": [_DAYS[start.weekday()]], "firstDayOfWeek": "sunday"}
    ranged: Json = {"type": "noEnd", "startDate": f"{start:%Y-%m-%d}", "endDate": "0001-01-01"}
    if "COUNT" in rule:
        ranged |= {"type": "numbered", "numberOfOccurrences": rule["COUNT"][0]}
    return {"pattern": pattern, "range": ranged}


def _wall(when: date) -> datetime:
    """The clock on the wall, midnight for a day."""
    if isinstance(when, datetime):
        return when.replace(tzinfo=None)
    return datetime(when.year, when.month, when.day)  # noqa: DTZ001 - wall clock


# -- items of ours as iCalendar, as their owner would see them there


def stored_event(agenda: Agenda, uid: str) -> FakeEvent | None:
    """The event with our UID in its property."""
    return next((one for one in agenda.standing() if one.properties.get(OWN) == uid), None)


def stored_task(agenda: Agenda, uid: str) -> Json | None:
    """The task with our UID in its link."""
    tasks = (task for place in agenda.lists.values() for task in place.tasks.values())
    return next((one for one in tasks if any(link["externalId"] == uid for link in one["linkedResources"])), None)


def as_ical(agenda: Agenda, uid: str) -> bytes | None:
    """An item of ours as an iCalendar object."""
    event, task = stored_event(agenda, uid), stored_task(agenda, uid)
    if event is not None:
        lines = [f"DTSTART:{event.at(event.start):%Y%m%dT%H%M%SZ}", f"DTEND:{event.at(event.end):%Y%m%dT%H%M%SZ}"]
        lines += [f"SUMMARY:{event.fields['subject']}", f"CATEGORIES:{','.join(event.fields['categories'])}"]
        lines += [f"ATTENDEE:mailto:{one['emailAddress']['address']}" for one in event.fields.get("attendees", ())]
        return _object("VEVENT", uid, lines)
    if task is not None:
        status = "COMPLETED" if task["status"] == "completed" else "NEEDS-ACTION"
        lines = [f"SUMMARY:{task['title']}", f"CATEGORIES:{','.join(task['categories'])}", f"STATUS:{status}"]
        return _object("VTODO", uid, lines)
    return None


def overwrite(agenda: Agenda, uid: str, data: bytes) -> None:
    """Do to an item of ours what an iCalendar object says that its owner did."""
    parsed: Any = icalendar.Calendar.from_ical(data)
    (component,) = (one for one in parsed.subcomponents if one.get("UID") == uid)
    event, task = stored_event(agenda, uid), stored_task(agenda, uid)
    if event is not None:
        event.start, event.zone = component["DTSTART"].dt.astimezone(ZoneInfo("UTC")).replace(tzinfo=None), "UTC"
        event.end = max(event.end, event.start)
        event.fields |= {
            "subject": str(component["SUMMARY"]),
            "attendees": fields(component, agenda.address)["attendees"],
        }
        agenda.put(event)
    elif task is not None:
        place = next(one for one in agenda.lists.values() if task["id"] in one.tasks)
        done = component["STATUS"] == "COMPLETED"
        agenda.keep_task(task["id"], {**task, "status": "completed" if done else "notStarted"}, place)


def _object(kind: str, uid: str, lines: list[str]) -> bytes:
    inner = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//acme//test//EN", f"BEGIN:{kind}", f"UID:{uid}"]
    return "\r\n".join([*inner, *lines, f"END:{kind}", "END:VCALENDAR", ""]).encode()
