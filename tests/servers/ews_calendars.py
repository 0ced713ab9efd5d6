"""Calendars and tasks of the EWS server: appointments, series worked out by the server, tasks; as XML and as changed.

A series is one item. Its occurrences are there when somebody looks: by a CalendarView, or by their ids. What Exchange
would send to those invited is noted in `EwsServer.invitations`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from exchangelib.winzone import MS_TIMEZONE_TO_IANA_MAP
from servers import spy
from servers.ews_items import TNS, Element, Shape, T, ext_key, local, stamp
from servers.ews_store import Folder, Item, Mailbox

from connectors.calendars import OWN_UID

if TYPE_CHECKING:
    from servers.ews import EwsServer

GLOBAL_ID = bytes.fromhex("040000008200E00074C5B7101A82E008")
CLEAN_ID = ("meeting/35", "Binary")
LONGEST_VIEW = timedelta(days=731)
NOT_FOUND_BY_FIND = {
    "item:Body", "calendar:RequiredAttendees", "calendar:OptionalAttendees", "calendar:Resources",
    "calendar:Recurrence", "calendar:ModifiedOccurrences", "calendar:DeletedOccurrences", "calendar:StartTimeZone",
}  # fmt: skip
"""What FindItem does not give."""


@dataclass
class Guest:
    """Somebody invited; `kind` is Required, Optional or Resource. An `email` without @ is one of the directory."""

    email: str
    name: str = ""
    kind: str = "Required"
    response: str = "Unknown"


@dataclass
class Appointment(Item):
    """A calendar item: a single one, a series (`rule`, an RRULE in the zone's wall clock), or an occurrence.

    zone        Windows' name, "" where none is told; `organizer` None: the mailbox's owner
    exceptions  occurrences that were changed, by the start they would have; `deleted` those taken out
    original    of an occurrence, the start it would have; `recurrence_id` of a single one cut out of a series
    """

    uid: str = ""
    subject: str = ""
    body: str = ""
    location: str = ""
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    end: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    zone: str = "UTC"
    all_day: bool = False
    busy: str = "Busy"
    sensitivity: str = "Normal"
    my_response: str = "Unknown"
    cancelled: bool = False
    organizer: Guest | None = None
    guests: list[Guest] = field(default_factory=list)
    sequence: int = 0
    stamped: datetime | None = None
    modified: datetime | None = None
    reminder: int | None = None
    rule: str = ""
    exceptions: dict[datetime, Appointment] = field(default_factory=dict)
    deleted: set[datetime] = field(default_factory=set)
    original: datetime | None = None
    recurrence_id: datetime | None = None
    kind: str = "Single"

    @property
    def wall(self) -> ZoneInfo:
        return ZoneInfo(MS_TIMEZONE_TO_IANA_MAP.get(self.zone, "UTC"))

    @property
    def type(self) -> str:
        return "RecurringMaster" if self.rule else self.kind


@dataclass
class Todo(Item):
    """A task. Of its day no time of day is kept."""

    subject: str = ""
    body: str = ""
    due_day: date | None = None
    status: str = "NotStarted"
    reminder_due: datetime | None = None
    reminder: bool = False
    delegation: str = "NoMatch"


# -- occurrences


def occurrence_id(master: Appointment, original: datetime) -> str:
    return base64.b64encode(b"OCC!" + base64.b64decode(master.id) + f"!{int(original.timestamp())}".encode()).decode()


def find_occurrence(server: EwsServer, id: str) -> tuple[Mailbox, Appointment] | None:
    """The occurrence that an id names, as it is now; None if it is none, or gone."""
    data = base64.b64decode(id)
    if not data.startswith(b"OCC!"):
        return None
    master_id, _, seconds = data[4:].rpartition(b"!")
    original = datetime.fromtimestamp(int(seconds), UTC)
    for box in server.boxes.values():
        master = box.find(base64.b64encode(master_id).decode())
        if isinstance(master, Appointment):
            found = [one for one in occurrences(master, original, original + timedelta(seconds=1)) if one.id == id]
            changed = master.exceptions.get(original)
            return (box, _named(master, original, changed)) if changed else ((box, found[0]) if found else None)
    return None


def occurrences(master: Appointment, start: datetime, end: datetime) -> Iterator[Appointment]:
    """What of a series overlaps [start, end], as the server works it out: in the wall clock of its zone."""
    for original, changed in master.exceptions.items():
        if _meets(changed, start, end):
            yield _named(master, original, changed)
    length = master.end - master.start
    wall = master.start.astimezone(master.wall)
    begin = wall.replace(tzinfo=None)
    for one in rrulestr(master.rule, dtstart=begin):
        at = one.replace(tzinfo=master.wall).astimezone(UTC)
        if at > end:
            return
        if at in master.deleted or at in master.exceptions or at + length < start:
            continue
        yield _named(master, at, replace(master, start=at, end=_end(master, one), rule="", kind="Occurrence"))


def _end(master: Appointment, wall: datetime) -> datetime:
    """The end keeps its wall clock too: a day of an all-day series may have 23 or 25 hours."""
    zone = master.wall
    length = master.end.astimezone(zone).replace(tzinfo=None) - master.start.astimezone(zone).replace(tzinfo=None)
    return (wall + length).replace(tzinfo=zone).astimezone(UTC)


def _named(master: Appointment, original: datetime, one: Appointment) -> Appointment:
    kind = "Occurrence" if one.kind == "Occurrence" else "Exception"
    one = replace(one, id=occurrence_id(master, original), original=original, uid=master.uid, rule="", kind=kind)
    return replace(one, folder=master.folder, created_at=master.created_at, changed_at=master.changed_at)


def _meets(one: Appointment, start: datetime, end: datetime) -> bool:
    """As documented: what ends before the view or starts at its end or later is not in it."""
    return one.end >= start and one.start < end


def in_view(folder: Folder, start: datetime, end: datetime) -> list[Appointment]:
    """What stands in a calendar, by its start."""
    found: list[Appointment] = []
    for item in folder.items.values():
        if isinstance(item, Appointment) and item.rule:
            found += [one for one in occurrences(item, start, end) if _meets(one, start, end)]
        elif isinstance(item, Appointment) and _meets(item, start, end):
            found.append(item)
    return sorted(found, key=lambda one: (one.start, one.id))


# -- as XML


def render_entry(server: EwsServer, item: Appointment | Todo, shape: Shape) -> Element:
    """A t:CalendarItem or t:Task with what the shape asks for, in the order of the schema."""
    element = T.CalendarItem() if isinstance(item, Appointment) else T.Task()
    element.append(T.ItemId(Id=item.id, ChangeKey=item.change_key))
    for path, make in _COMMON.items():
        if path in shape.fields:
            element.extend(make(item))
    for uri in shape.extended:
        value = _extended(item, ext_key(uri))
        if value is not None:
            element.append(T.ExtendedProperty(T.ExtendedFieldURI(dict(uri.attrib)), T.Value(value)))
    if "item:LastModifiedTime" in shape.fields and isinstance(item, Appointment):
        element.append(T.LastModifiedTime(stamp(item.modified or item.received)))
    own = _calendar(server, item) if isinstance(item, Appointment) else _task(item)
    for name, made in own:
        if name in shape.fields:
            element.extend(made)
    return element


def _extended(item: Appointment | Todo, key: tuple[str, str]) -> str | None:
    if key == CLEAN_ID and isinstance(item, Appointment):
        return base64.b64encode(bytes.fromhex(wrapped(item.uid))).decode()
    return item.extended.get(key)


def wrapped(uid: str) -> str:
    """A UID as a GlobalObjectId in hex: Outlook's own are such, others stand behind vCal-Uid (MS-OXOCAL 2.2.1.27)."""
    if uid.upper().startswith(GLOBAL_ID.hex().upper()):
        return uid
    data = b"vCal-Uid\1\0\0\0" + uid.encode() + b"\0"
    return (GLOBAL_ID + bytes(20) + len(data).to_bytes(4, "little") + data).hex().upper()


_Make = Callable[[Appointment | Todo], Iterator[Element]]


def _one(tag: str, value: str | None) -> list[Element]:
    return [T(tag, value)] if value is not None else []


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _categories(item: Appointment | Todo) -> Iterator[Element]:
    if item.categories:
        yield T.Categories(*(T.String(name) for name in item.categories))


def _sensitivity(item: Appointment | Todo) -> Iterator[Element]:
    yield T.Sensitivity(item.sensitivity if isinstance(item, Appointment) else "Normal")


_COMMON: dict[str, _Make] = {
    "item:ParentFolderId": lambda item: iter([T.ParentFolderId(Id=item.folder)]),
    "item:Subject": lambda item: iter([T.Subject(item.subject)]),
    "item:Sensitivity": _sensitivity,
    "item:Body": lambda item: iter([T.Body(item.body.replace("\n", "\r\n"), BodyType="Text")]),
    "item:Categories": _categories,
    "item:ReminderIsSet": lambda item: iter([T.ReminderIsSet(_flag(bool(item.reminder)))]),
}


def _calendar(server: EwsServer, item: Appointment) -> Iterator[tuple[str, list[Element]]]:
    owner = server.address_of(item.folder)
    own = item.organizer is None or item.organizer.email == owner
    organizer = item.organizer or Guest(owner)
    meeting = bool(item.guests) or item.organizer is not None
    told = wrapped(item.uid) if server.wraps_uids else None if server.hides_uids else item.uid
    yield "calendar:UID", _one("UID", told)
    recurrence_id = item.original or item.recurrence_id
    yield "calendar:RecurrenceId", _one("RecurrenceId", stamp(recurrence_id) if recurrence_id else None)
    yield "calendar:DateTimeStamp", _one("DateTimeStamp", stamp(item.stamped) if item.stamped else None)
    yield "calendar:Start", [T.Start(stamp(item.start))]
    yield "calendar:End", [T.End(stamp(item.end))]
    drift = timedelta(hours=1) if server.drifts_originals and item.kind == "Exception" else timedelta()
    yield "calendar:OriginalStart", _one("OriginalStart", stamp(item.original + drift) if item.original else None)
    yield "calendar:IsAllDayEvent", [T.IsAllDayEvent(_flag(item.all_day))]
    yield "calendar:LegacyFreeBusyStatus", [T.LegacyFreeBusyStatus(item.busy)]
    yield "calendar:Location", _one("Location", item.location or None)
    yield "calendar:IsMeeting", [T.IsMeeting(_flag(meeting))]
    yield "calendar:IsCancelled", [T.IsCancelled(_flag(item.cancelled))]
    yield "calendar:CalendarItemType", [T.CalendarItemType(item.type)]
    mine = item.my_response if not own else "Organizer" if meeting else "Unknown"
    yield "calendar:MyResponseType", [T.MyResponseType(mine)]
    yield "calendar:Organizer", [T.Organizer(_mailbox(organizer))]
    for kind, tag in (("Required", "RequiredAttendees"), ("Optional", "OptionalAttendees"), ("Resource", "Resources")):
        invited = [_attendee(one, known=own) for one in item.guests if one.kind == kind]
        yield f"calendar:{tag}", [T(tag, *invited)] if invited else []
    yield "calendar:AppointmentSequenceNumber", [T.AppointmentSequenceNumber(str(item.sequence))]
    yield "calendar:StartTimeZone", [T.StartTimeZone(Id=item.zone, Name=item.zone)] if item.zone else []


def _mailbox(one: Guest) -> Element:
    routing = "SMTP" if "@" in one.email else "EX"
    return T.Mailbox(T.Name(one.name or one.email), T.EmailAddress(one.email), T.RoutingType(routing))


def _attendee(one: Guest, *, known: bool) -> Element:
    """What people answered stands in the organizer's copy alone."""
    return T.Attendee(_mailbox(one), T.ResponseType(one.response if known else "Unknown"))


def _task(item: Todo) -> Iterator[tuple[str, list[Element]]]:
    yield "task:DelegationState", [T.DelegationState(item.delegation)]
    yield "task:DueDate", _one("DueDate", f"{item.due_day.isoformat()}T00:00:00Z" if item.due_day else None)
    yield "task:Status", [T.Status(item.status)]


# -- changed by requests


def make_entry(box: Mailbox, folder: Folder, element: Element) -> Appointment | Todo:
    """What CreateItem asks for."""
    kind = Appointment if local(element) == "CalendarItem" else Todo
    item = kind(id=box.new_id(), folder=folder.id, raw=b"", received=datetime.now(UTC))
    if isinstance(item, Appointment):
        item.reminder = 15  # as Exchange does where nothing is said
        item.stamped = item.received
    assert isinstance(item, Appointment | Todo)
    set_fields(item, element)
    if isinstance(item, Appointment):
        item.uid = item.uid or (GLOBAL_ID + bytes(24) + item.id.encode()[-16:]).hex().upper()
    box.lay(item, folder)
    return item


def set_fields(item: Appointment | Todo, holder: Element) -> None:
    """Take over what a CalendarItem or Task says."""
    for one in holder:
        name, text = local(one), one.text or ""
        if name == "ExtendedProperty":
            item.extended[ext_key(one[0])] = one.findtext(f"{{{TNS}}}Value") or ""
        elif name == "Categories":
            item.categories = [each.text or "" for each in one]
        elif name == "ReminderIsSet":
            _ring(item, text == "true")
        elif name in ("Subject", "Body"):
            setattr(item, name.lower(), text)
        elif isinstance(item, Appointment):
            _set_appointment(item, name, text, one)
        else:
            _set_task(item, name, text)
    if isinstance(item, Appointment):
        item.modified = datetime.now(UTC)
        if item.all_day:
            _to_midnight(item)


def _ring(item: Appointment | Todo, on: bool) -> None:
    if isinstance(item, Todo):
        item.reminder = on
    else:
        item.reminder = (item.reminder or 0) if on else None


def _set_appointment(item: Appointment, name: str, text: str, element: Element) -> None:
    if name in ("Start", "End"):
        setattr(item, name.lower(), datetime.fromisoformat(text).astimezone(UTC))
    elif name == "IsAllDayEvent":
        item.all_day = text == "true"
    elif name == "ReminderMinutesBeforeStart":
        item.reminder = int(text) if item.reminder is not None else None
    elif name == "StartTimeZone":
        item.zone = element.get("Id", "")
    elif name in ("RequiredAttendees", "OptionalAttendees"):
        addresses = [each.text or "" for each in element.iter(f"{{{TNS}}}EmailAddress")]
        item.guests += [Guest(address, kind=name.removesuffix("Attendees")) for address in addresses]
    elif name in ("UID", "Location"):
        setattr(item, name.lower(), text)
    elif name == "LegacyFreeBusyStatus":
        item.busy = text


def _set_task(item: Todo, name: str, text: str) -> None:
    if name == "DueDate":
        item.due_day = datetime.fromisoformat(text).astimezone(UTC).date()
    elif name == "Status":
        item.status = text
    elif name == "ReminderDueBy":
        item.reminder_due = datetime.fromisoformat(text).astimezone(UTC)


def _to_midnight(item: Appointment) -> None:
    """An all-day event begins and ends at midnight in its zone, whatever was asked for."""
    first = item.start.astimezone(item.wall).date()
    end = item.end.astimezone(item.wall)
    last = end.date() + timedelta(days=0 if end.time() == time() else 1)
    last = max(last, first + timedelta(days=1))
    item.start, item.end = (datetime.combine(day, time(), item.wall).astimezone(UTC) for day in (first, last))


def clear_field(item: Appointment | Todo, path: str) -> None:
    """DeleteItemField."""
    if path == "task:DueDate" and isinstance(item, Todo):
        item.due_day = None
    elif path == "item:Categories":
        item.categories = []


def would_send(server: EwsServer, item: Item, request: Element, attribute: str) -> None:
    """Note what goes out to those invited, and that somebody asked for it."""
    mode = request.get(attribute)
    guests = [one.email for one in item.guests] if isinstance(item, Appointment) else []
    ours = any(value.startswith(OWN_UID) for value in item.extended.values())
    spy.wrote(f"EWS {local(request)}", ours=ours, people=guests)
    if mode != "SendToNone":
        server.violations.append(f"{local(request)} with {attribute}={mode}")
    if isinstance(item, Appointment) and item.guests and mode != "SendToNone":
        server.invitations += [(local(request), item.subject, one.email) for one in item.guests]
