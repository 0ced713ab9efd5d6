"""From the service's JSON to occurrences of events. Pure.

Times come in UTC (`outlook.timezone`), their zone beside them in `originalStartTimeZone`, by Windows' name or IANA's.
SEQUENCE and DTSTAMP are not among its own properties but among MAPI's: PidLidAppointmentSequence and
PidLidOwnerCriticalChange (MS-OXOCAL 2.2.1, MS-OXCICAL 2.1.3.1.1.20).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from connectors.calendars import Answer, Attendee, CalendarEvent, EventStatus, Role, When, Window, plain_uid
from connectors.graph.client import Json
from connectors.graph.outgoing import MARK
from connectors.ical.values import address_of
from connectors.ical.zones import Zone, find_zone
from connectors.model import Address

__all__ = [
    "EXPAND",
    "OWN",
    "PREFER",
    "SELECT",
    "BadEvent",
    "day_of",
    "is_within",
    "moment_of",
    "occurrence",
    "own_uid",
    "plain",
]

OWN: Final = MARK
"""Our own property, invisible to people, in which the UID of an item of ours stands: the service gives its own."""
_SEQUENCE: Final = "Integer {00062002-0000-0000-C000-000000000046} Id 0x8201"
_STAMPED: Final = "SystemTime {6ED8DA90-450B-101B-98DA-00AA003F1305} Id 0x001A"
_REPLACES: Final = "SystemTime {00062002-0000-0000-C000-000000000046} Id 0x8228"
"""PidLidExceptionReplaceTime: of who was invited to one occurrence of a series alone, when that would have begun."""
PREFER: Final = ('outlook.timezone="UTC"', 'outlook.body-content-type="text"')
SELECT: Final = (
    "id,type,seriesMasterId,iCalUId,subject,start,end,isAllDay,isCancelled,isOrganizer,organizer,attendees,"
    "responseStatus,sensitivity,showAs,location,onlineMeeting,onlineMeetingUrl,body,categories,originalStart,"
    "originalStartTimeZone,lastModifiedDateTime"
)
_EXPANDED = " or ".join(f"id eq '{one}'" for one in (OWN, _SEQUENCE, _STAMPED, _REPLACES))
EXPAND: Final = f"singleValueExtendedProperties($filter={_EXPANDED})"

_ATTENDEES_LIMIT = 500
_SUMMARY, _LOCATION, _TEXT, _CATEGORY = 1_000, 1_000, 20_000, 100
_DAY = timedelta(days=1)
_ANSWERS = {
    "accepted": Answer.ACCEPTED,
    "organizer": Answer.ACCEPTED,
    "declined": Answer.DECLINED,
    "tentativelyaccepted": Answer.TENTATIVE,
}
_ROLES = {"optional": Role.OPTIONAL, "resource": Role.RESOURCE}


class BadEvent(ValueError):
    """An event that cannot be read. The text says why."""


def occurrence(account: str, calendar: str, ref: str, row: Json, *, master: Json | None, zone: Zone) -> CalendarEvent:
    """One occurrence: `row` as the service gave it, `master` its series, `zone` the one that stands in where none is
    known. Raises BadEvent."""
    notes: list[str] = []
    own = _zone_of(row, zone, notes)
    all_day = bool(row.get("isAllDay"))
    start, end = moment_of(row, "start"), moment_of(row, "end")
    people = tuple(_attendees(row, notes))
    organizes = bool(row.get("isOrganizer", True))
    return CalendarEvent(
        account=account,
        calendar=calendar,
        ref=ref,
        uid=_uid(row, master, ref, notes),
        original=_original(row, start, own, notes) if master is not None else _replaced(row, own),
        exception=_word(row, "type") == "exception",
        sequence=_sequence(row, master),
        stamped_at=_stamped(row, master, organizes),
        changed_at=_instant(row.get("lastModifiedDateTime")),
        start=day_of(start, own) if all_day else own.show(start),
        end=max(day_of(end, own), day_of(start, own) + _DAY) if all_day else own.show(max(start, end)),
        all_day=all_day,
        zone="" if all_day else own.name,
        status=_status(row, organizes),
        summary=plain(row.get("subject"), _SUMMARY),
        location=_location(row),
        text=plain(_part(row, "body").get("content"), _TEXT),
        organizer=_address(row.get("organizer")) if people or not organizes else None,
        attendees=people,
        answer=_answer(row.get("responseStatus")) if people or not organizes else None,
        private=_word(row, "sensitivity") not in ("", "normal"),
        free=_word(row, "showAs") == "free",
        categories=tuple(plain(one, _CATEGORY) for one in _several(row, "categories")[:50]),
        degraded=tuple(notes),
    )


def is_within(event: CalendarEvent, window: Window, zone: Zone) -> bool:
    """Whether it overlaps the window; a mere moment, whether it lies in it."""
    start, end = _at(event.start, zone), _at(event.end, zone)
    return start < window.end and (end > window.start or start == end >= window.start)


def own_uid(row: Json) -> str:
    """The UID of an item of ours, "" for anybody else's; for one by which its owner invited somebody, too."""
    return "" if row.get("attendees") else _property(row, OWN)


def plain(value: object, limit: int) -> str:
    """A text with plain ends of lines, at most `limit` characters."""
    text = str(value or "")[: limit * 2].replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode("utf-8").strip()[:limit]


def _property(row: Json, name: str) -> str:
    """A MAPI property that came with an event, "" if it has none."""
    found = [one for one in _several(row, "singleValueExtendedProperties") if isinstance(one, dict)]
    return next((str(one.get("value") or "") for one in found if _same_id(str(one.get("id")), name)), "")


def _same_id(given: str, name: str) -> bool:
    """The service writes ids of properties in another case than it was asked for, and numbers without zeros."""
    return given.lower().replace("0x00", "0x") == name.lower().replace("0x00", "0x")


def _word(row: Json, name: str) -> str:
    return str(row.get(name) or "").lower()


def _uid(row: Json, master: Json | None, ref: str, notes: list[str]) -> str:
    uid = own_uid(row) or own_uid(master or {}) or str(row.get("iCalUId") or (master or {}).get("iCalUId") or "")
    if not uid:
        notes.append("it has no UID: the same meeting in another calendar is not recognised")
    return plain_uid(uid) or ref


def _sequence(row: Json, master: Json | None) -> int:
    text = _property(row, _SEQUENCE) or _property(master or {}, _SEQUENCE)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


# -- times


def _zone_of(row: Json, assumed: Zone, notes: list[str]) -> Zone:
    """Where the meeting takes place. The instants are known in any case."""
    name = str(row.get("originalStartTimeZone") or "")
    found = find_zone(name) if name else None
    if found is None and name:
        notes.append(f'zone "{name[:60]}" is unknown, it is shown in {assumed.name or "UTC"}')
    return found or assumed


def moment_of(row: Json, name: str) -> datetime:
    """A dateTimeTimeZone; fractions of seconds beyond what Python keeps are cut. Raises BadEvent."""
    given = row.get(name)
    if not isinstance(given, dict):
        raise BadEvent(f"it has no {name}")
    zone = find_zone(str(given.get("timeZone") or "UTC"))
    if zone is None:
        raise BadEvent(f'its {name} is in an unknown zone, "{str(given.get("timeZone"))[:60]}"')
    try:
        wall = datetime.fromisoformat(str(given.get("dateTime"))[:26])
        return zone.at(wall.replace(tzinfo=None)).astimezone(UTC) if wall.tzinfo is None else wall.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise BadEvent(f"an impossible {name}: {str(given.get('dateTime'))[:40]!r}") from error


def _instant(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value or ""))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def day_of(moment: datetime, zone: Zone) -> date:
    """The day of an all-day event: midnight in UTC as asked for, or else in the zone it was made in."""
    if moment.time() == datetime.min.time():
        return moment.date()
    return (zone.show(moment).replace(tzinfo=None) + _DAY / 2).date()


def _original(row: Json, start: datetime, zone: Zone, notes: list[str]) -> When:
    """When the occurrence would begin had nobody moved it."""
    given = _instant(row.get("originalStart"))
    if given is None:
        if _word(row, "type") == "exception":
            notes.append("it was moved, and the service does not say from when")
        given = start
    return day_of(given, zone) if row.get("isAllDay") else given


def _replaced(row: Json, zone: Zone) -> When | None:
    given = _instant(_property(row, _REPLACES))
    return given if given is None or not row.get("isAllDay") else day_of(given, zone)


def _stamped(row: Json, master: Json | None, organizes: bool) -> datetime | None:
    """The organizer's own copy is as new as its last change."""
    stamp = _instant(_property(row, _STAMPED) or _property(master or {}, _STAMPED))
    return stamp or (_instant(row.get("lastModifiedDateTime")) if organizes else None)


def _at(when: When, zone: Zone) -> datetime:
    return when if isinstance(when, datetime) else zone.at(datetime(when.year, when.month, when.day))  # noqa: DTZ001


# -- people and state


def _status(row: Json, organizes: bool) -> EventStatus:
    """On an attendee's copy "tentative" is the attendee's own answer, and what Outlook shows until there is one."""
    if row.get("isCancelled"):
        return EventStatus.CANCELLED
    return EventStatus.TENTATIVE if organizes and _word(row, "showAs") == "tentative" else EventStatus.CONFIRMED


def _answer(status: object) -> Answer:
    word = str(status.get("response") or "") if isinstance(status, Mapping) else ""
    return _ANSWERS.get(word.lower(), Answer.NONE)


def _attendees(row: Json, notes: list[str]) -> Iterator[Attendee]:
    given = _several(row, "attendees")
    if len(given) > _ATTENDEES_LIMIT:
        notes.append(f"more than {_ATTENDEES_LIMIT} attendees")
    for one in given[:_ATTENDEES_LIMIT]:
        address = _address(one)
        if address is None or not isinstance(one, dict):
            notes.append("an attendee without a mail address")
            continue
        yield Attendee(address, _answer(one.get("status")), _ROLES.get(_word(one, "type"), Role.REQUIRED))


def _address(person: Any) -> Address | None:
    """None for what is no mail address: people of the organisation who left have an X.500 one."""
    found = person.get("emailAddress") if isinstance(person, dict) else None
    if not isinstance(found, dict):
        return None
    return address_of(str(found.get("address") or ""), plain(found.get("name"), 200))


def _location(row: Json) -> str:
    """The place by its name, and where one joins from afar."""
    named = str(_part(row, "location").get("displayName") or "")
    join = str(_part(row, "onlineMeeting").get("joinUrl") or row.get("onlineMeetingUrl") or "")
    return plain(", ".join(part for part in (named, join if join not in named else "") if part), _LOCATION)


def _part(row: Json, name: str) -> Json:
    found = row.get(name)
    return found if isinstance(found, dict) else {}


def _several(row: Json, name: str) -> list[Any]:
    found = row.get(name)
    return found if isinstance(found, list) else []
