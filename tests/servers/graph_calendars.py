"""A stateful Microsoft Graph for calendars and To Do beside mail: see `servers.graph`, and `servers.graph_agenda` for
what it keeps.

Delta answers are as the service gives them: occurrences by id, series and times alone, a series on one page, never a
word of an occurrence that was taken out. Whoever changes an event with attendees over the wire would have the service
write to them: that is kept in `invitations`, and a test ends with none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from servers import spy
from servers.graph import Call, Fault, GraphServer, Reply, ServiceError, json_reply
from servers.graph_agenda import Agenda, FakeEvent, FakeList, Json, Shown, zone_of
from servers.graph_mailbox import GraphMailbox
from servers.graph_queries import BadQuery, pack, page_size, unpack

from connectors.calendars import OWN_UID

_FILTER = re.compile(
    r"singleValueExtendedProperties/[Aa]ny\(ep: ?ep/id eq '([^']+)' and ep/value eq '((?:[^']|'')*)'\)"
)
_ITS_OWN = ("start", "end", "recurrence", "singleValueExtendedProperties", "id")
_STUB = ("id", "seriesMasterId", "type", "start", "end")


@dataclass(frozen=True, slots=True)
class Invitation:
    """What the service would have written to people, and because of which request."""

    method: str
    event: str
    people: tuple[str, ...]


class GraphCalendarServer(GraphServer):
    """The service with calendars and tasks. `trash_answers`: what lies in the trash can still be read by its id.
    `closed`: beginnings of paths that the token does not allow ("/todo", "/calendars"), and for which methods."""

    def __init__(self, **options: Any) -> None:
        self.agendas: dict[str, Agenda] = {}
        self.invitations: list[Invitation] = []
        self.trash_answers = False
        self.closed: list[tuple[str, str]] = []
        super().__init__(**options)

    def add_mailbox(self, address: str, token: str = "") -> GraphMailbox:
        """A mailbox with its calendars."""
        self.agendas[address] = Agenda(address, self.clock)
        return super().add_mailbox(address, token)

    def _route(self, box: GraphMailbox, call: Call, fault: Fault | None) -> Reply:
        for method, beginning in self.closed:
            if re.fullmatch(method, call.method) and call.path.startswith(beginning):
                raise ServiceError(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        for method, pattern, act in _ROUTES:
            match = re.fullmatch(pattern, call.path)
            if match and method == call.method:
                return act(_Work(self, self.agendas[box.address], call, fault), *match.groups())
        return super()._route(box, call, fault)


@dataclass(slots=True)
class _Work:
    """One request at work."""

    server: GraphCalendarServer
    agenda: Agenda
    call: Call
    fault: Fault | None
    select: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.select = set(filter(None, self.call.query.get("$select", "").split(",")))

    # calendars and views

    def calendars(self) -> Reply:
        return self._page([self._selected(one) for one in self.agenda.calendars.values()])

    def view(self, key: str) -> Reply:
        start, end = self._window()
        return self._page([self._row(one) for one in self.agenda.view(self._calendar(key), start, end)])

    def instances(self, ref: str) -> Reply:
        start, end = self._window()
        return self._page([self._row(one) for one in self.agenda.occurrences(self._event(ref), start, end)])

    def events(self, key: str) -> Reply:
        match = _FILTER.fullmatch(self.call.query.get("$filter", ""))
        if match is None:
            raise BadQuery("ErrorInvalidUrlQueryFilter")
        name, value = match[1], match[2].replace("''", "'")
        mine = [one for one in self.agenda.standing() if one.calendar == self._calendar(key)]
        found = [one for one in mine if one.properties.get(name) == value]
        return self._page([self._row(Shown(one.id, one, one.start, one.end)) for one in found])

    def delta(self, key: str) -> Reply:
        key, query = self._calendar(key), self.call.query
        token = query.get("$skiptoken") or query.get("$deltatoken")
        if token:
            state = unpack(token)
            if state["e"] != self.agenda.epoch or state["c"] != key:
                raise ServiceError(410, "SyncStateNotFound", "The sync state generation is not found.")
        else:
            if set(query) != {"startDateTime", "endDateTime"}:
                raise BadQuery("ErrorInvalidUrlQuery")
            edges = [query["startDateTime"], query["endDateTime"]]
            state = {"c": key, "e": self.agenda.epoch, "w": edges, "from": 0, "to": 0, "at": 0}
        if "$skiptoken" not in query:
            state |= {"to": self.agenda.version, "at": 0}
        groups = list(self._changes(key, state))
        size = min(page_size(self.call.headers.get("prefer", ""), 10), self.server.page_limit)
        rows, end = _cut(groups, state["at"], size)
        answer: Json = {"value": rows}
        if end < len(groups):
            at = state["at"] if self.fault and self.fault.repeat else end
            answer["@odata.nextLink"] = f"{self._here}?$skiptoken={pack(**{**state, 'at': at})}"
        else:
            answer["@odata.deltaLink"] = f"{self._here}?$deltatoken={pack(**{**state, 'from': state['to'], 'at': 0})}"
        return json_reply(answer)

    def _changes(self, calendar: str, state: Json) -> Iterator[list[Json]]:
        """What happened to each object after one version and up to another, or what is there."""
        start, end = (_moment(text) for text in state["w"])
        log = self.agenda.log[calendar]
        refs = [ref for at, ref in log if state["from"] < at <= state["to"]] if state["from"] else [r for _, r in log]
        for ref in dict.fromkeys(refs):
            event = self.agenda.events.get(ref)
            here = event is not None and event.calendar == calendar and not event.trashed
            shown = self.agenda.occurrences(event, start, end) if event and here else []
            if shown and event:
                yield list(self._told(event, shown, partial=self.server.partial_updates and bool(state["from"])))
            elif state["from"]:
                yield [{"id": ref, "@removed": {"reason": "deleted"}}]

    def _told(self, event: FakeEvent, shown: Sequence[Shown], *, partial: bool) -> Iterator[Json]:
        """A single event; or a series, each occurrence by its times alone, exceptions in full."""
        if event.recurrence:
            yield _delta_row(self._row(Shown(event.id, event, event.start, event.end)))
        for one in shown:
            row = self._row(one)
            brief = _STUB if one.kind == "occurrence" else ("id", "seriesMasterId", "subject") if partial else row
            yield _delta_row({key: row[key] for key in (*brief, "@odata.etag") if key in row})

    # single events

    def event(self, ref: str) -> Reply:
        shown = self.agenda.shown(ref)
        if shown is None or (shown.event.trashed and not self.server.trash_answers):
            raise ServiceError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return json_reply(self._row(shown))

    def create(self, key: str) -> Reply:
        given = self.call.json
        if (transaction := str(given.get("transactionId") or "")) in self.agenda.transactions:
            raise ServiceError(409, "ErrorDuplicateTransactionId", "A request with this transactionId was done.")
        self.agenda.transactions |= {transaction} if transaction else set()
        start, end = _wall(given["start"]), _wall(given["end"])
        event = FakeEvent(self.agenda.id(f"event {self.agenda.serial()}"), self._calendar(key), start, end)
        event.fields = {"iCalUId": f"040000008200E00074C5B7101A82E008{self.agenda.serial():080X}", "isOrganizer": True}
        self._apply(event, given)
        self.agenda.put(event)
        self._tell_people(event)
        return json_reply(self._row(Shown(event.id, event, event.start, event.end)), 201)

    def change(self, ref: str) -> Reply:
        event = self._event(ref)
        self._require_match(event)
        self._tell_people(event)
        self._apply(event, self.call.json)
        self.agenda.put(event)
        self._tell_people(event)
        return json_reply(self._row(Shown(event.id, event, event.start, event.end)))

    def delete(self, ref: str) -> Reply:
        event = self._event(ref)
        self._require_match(event)
        self._tell_people(event)
        self.agenda.remove(ref)
        return Reply(status=204)

    def _tell_people(self, event: FakeEvent) -> None:
        people = tuple(str(one["emailAddress"]["address"]) for one in event.fields.get("attendees", ()))
        ours = any(value.startswith(OWN_UID) for value in event.properties.values())
        spy.wrote(f"Graph {self.call.method} {self.call.path}", ours=ours, people=people)
        if people:
            self.server.invitations.append(Invitation(self.call.method, event.id, people))

    def _require_match(self, event: FakeEvent) -> None:
        wanted = self.call.headers.get("if-match")
        if not wanted:
            self.server.violations.append(f"{self.call.method} {self.call.path}: an event without If-Match")
        elif wanted != event.etag:
            raise ServiceError(412, "ErrorIrresolvableConflict", "The change key passed in the request is old.")

    def _apply(self, event: FakeEvent, given: Json) -> None:
        for name in ("start", "end"):
            if name in given:
                setattr(event, name, _wall(given[name]))
                event.zone = str(given[name]["timeZone"])
        event.fields |= {name: value for name, value in given.items() if name not in _ITS_OWN}
        event.properties |= {one["id"]: str(one["value"]) for one in given.get("singleValueExtendedProperties", ())}
        midnight = event.start.time() == event.end.time() == datetime.min.time()
        if event.fields.get("isAllDay") and not (midnight and event.end > event.start):
            raise ServiceError(400, "ErrorPropertyValidationFailure", "An all-day event begins and ends at midnight.")
        if event.end < event.start:
            raise ServiceError(400, "ErrorCalendarEndDateIsEarlierThanStartDate", "It ends before it begins.")

    def _event(self, ref: str) -> FakeEvent:
        event = self.agenda.events.get(ref)
        if event is None or event.trashed:
            raise ServiceError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return event

    # how they look

    def _row(self, shown: Shown) -> Json:
        event, base = shown.event, (shown.master or shown.event).fields
        if event.broken and "body" in self.select:
            raise ServiceError(500, "ErrorInternalServerError", "An internal server error occurred.")
        timed = self.call.method == "GET" and (not self.select or "start" in self.select)
        if timed and 'outlook.timezone="UTC"' not in self.call.headers.get("prefer", ""):
            self.server.violations.append(f"{self.call.method} {self.call.path}: times not asked for in UTC")
        row = {**_plain_event(self.agenda.address), **base, **event.fields}
        row |= {
            "id": shown.id,
            "changeKey": event.key,
            "type": shown.kind,
            "start": _shown_time(event, shown.start),
            "end": _shown_time(event, shown.end),
            "originalStartTimeZone": event.zone,
            "originalEndTimeZone": event.zone,
            "recurrence": event.recurrence if shown.kind == "seriesMaster" else None,
            "seriesMasterId": shown.master.id if shown.master else None,
        }
        if shown.master and shown.original:
            row["originalStart"] = f"{shown.master.at(shown.original):%Y-%m-%dT%H:%M:%SZ}"
        return {"@odata.etag": event.etag, **self._selected(row), **self._expanded(event, shown.master)}

    def _selected(self, row: Json) -> Json:
        return {key: value for key, value in row.items() if not self.select or key in self.select or key == "id"}

    def _expanded(self, event: FakeEvent, master: FakeEvent | None) -> Json:
        names = re.findall(r"id eq '([^']+)'", self.call.query.get("$expand", ""))
        properties = {**(master.properties if master else {}), **event.properties}
        found = [{"id": name, "value": properties[name]} for name in names if name in properties]
        return {"singleValueExtendedProperties": found} if found else {}

    # tasks

    def lists(self) -> Reply:
        rows = [self._list_row(one) for one in self.agenda.lists.values()]
        return self._page(rows)

    def _list_row(self, one: FakeList) -> Json:
        row = {"displayName": one.name, "isOwner": True, "isShared": False, "wellknownListName": one.well, "id": one.id}
        return {"@odata.etag": f'W/"{one.id[-8:]}"', **row}

    def tasks(self, key: str) -> Reply:
        return self._page([self._task_row(one) for one in self._list(key).tasks.values()])

    def task(self, key: str, ref: str) -> Reply:
        return json_reply(self._task_row(self._task(key, ref)))

    def make_task(self, key: str) -> Reply:
        place, ref = self._list(key), self.agenda.id(f"task {self.agenda.serial()}")
        task: Json = {
            "id": ref,
            "importance": "normal",
            "isReminderOn": False,
            "status": "notStarted",
            "title": "",
            "hasAttachments": False,
            "categories": [],
            "body": {"content": "", "contentType": "text"},
            "linkedResources": [],
        }
        self.agenda.keep_task(ref, {**task, **_task_fields(self.call.json)}, place)
        self._note_task(place.tasks[ref])
        for number, link in enumerate(task["linkedResources"] or place.tasks[ref]["linkedResources"]):
            link["id"] = f"link-{number}"
        return json_reply(self._task_row(place.tasks[ref]), 201)

    def change_task(self, key: str, ref: str) -> Reply:
        task = self._task(key, ref)
        self._require_task_match(task)
        changed = {**task, **_task_fields(self.call.json)}
        return json_reply(self._task_row(self.agenda.keep_task(ref, changed, self._list(key))))

    def delete_task(self, key: str, ref: str) -> Reply:
        self._require_task_match(self._task(key, ref))
        del self._list(key).tasks[ref]
        return Reply(status=204)

    def _note_task(self, task: Json) -> None:
        ours = any(str(link.get("externalId", "")).startswith(OWN_UID) for link in task["linkedResources"])
        spy.wrote(f"To Do {self.call.method} {self.call.path}", ours=ours)

    def _require_task_match(self, task: Json) -> None:
        self._note_task(task)
        wanted = self.call.headers.get("if-match")
        if wanted and wanted != task["@odata.etag"]:
            raise ServiceError(412, "ErrorIrresolvableConflict", "The change key passed in the request is old.")

    def _task_row(self, task: Json) -> Json:
        """Linked resources come only where they are asked for."""
        expand = self.call.query.get("$expand", "")
        return {key: value for key, value in task.items() if key != "linkedResources" or expand == "linkedResources"}

    def _list(self, key: str) -> FakeList:
        if key not in self.agenda.lists:
            raise ServiceError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return self.agenda.lists[key]

    def _task(self, key: str, ref: str) -> Json:
        if ref not in self._list(key).tasks:
            raise ServiceError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return self._list(key).tasks[ref]

    # pages

    def _calendar(self, key: str) -> str:
        if key not in self.agenda.calendars:
            raise ServiceError(404, "ErrorItemNotFound", "The specified object was not found in the store.")
        return key

    def _window(self) -> tuple[datetime, datetime]:
        start, end = (_moment(self.call.query[name]) for name in ("startDateTime", "endDateTime"))
        return start, max(end, start + timedelta(seconds=1))

    def _page(self, rows: Sequence[Json]) -> Reply:
        query = self.call.query
        top, skip = min(int(query.get("$top", "10")), self.server.page_limit), int(query.get("$skip", "0"))
        answer: Json = {"value": list(rows[skip : skip + top])}
        if len(rows) > skip + top:
            rest = "&".join(f"{key}={_escaped(value)}" for key, value in query.items() if key != "$skip")
            answer["@odata.nextLink"] = f"{self._here}?{rest}&$skip={skip + top}"
        return json_reply(answer)

    @property
    def _here(self) -> str:
        return f"http://{self.call.headers['host']}{urlsplit(self.call.target).path}"


_REF = r"([^/]+)"
_TASKS = f"/todo/lists/{_REF}/tasks"
_ROUTES: tuple[tuple[str, str, Callable[..., Reply]], ...] = (
    ("GET", "/calendars", _Work.calendars),
    ("GET", f"/calendars/{_REF}/calendarView", _Work.view),
    ("GET", f"/calendars/{_REF}/calendarView/delta", _Work.delta),
    ("GET", f"/calendars/{_REF}/events", _Work.events),
    ("POST", f"/calendars/{_REF}/events", _Work.create),
    ("GET", f"/events/{_REF}", _Work.event),
    ("GET", f"/events/{_REF}/instances", _Work.instances),
    ("PATCH", f"/events/{_REF}", _Work.change),
    ("DELETE", f"/events/{_REF}", _Work.delete),
    ("GET", "/todo/lists", _Work.lists),
    ("GET", _TASKS, _Work.tasks),
    ("POST", _TASKS, _Work.make_task),
    ("GET", f"{_TASKS}/{_REF}", _Work.task),
    ("PATCH", f"{_TASKS}/{_REF}", _Work.change_task),
    ("DELETE", f"{_TASKS}/{_REF}", _Work.delete_task),
)


def _plain_event(address: str) -> Json:
    """What every event has."""
    return {
        "subject": "",
        "isAllDay": False,
        "isCancelled": False,
        "isOrganizer": True,
        "organizer": {"emailAddress": {"name": address, "address": address}},
        "attendees": [],
        "responseStatus": {"response": "organizer", "time": "0001-01-01T00:00:00Z"},
        "sensitivity": "normal",
        "showAs": "busy",
        "location": {"displayName": "", "locationType": "default"},
        "onlineMeeting": None,
        "onlineMeetingUrl": None,
        "body": {"contentType": "text", "content": ""},
        "categories": [],
        "reminderMinutesBeforeStart": 15,
        "isReminderOn": True,
        "hasAttachments": False,
    }


def _cut(groups: Sequence[Sequence[Json]], at: int, size: int) -> tuple[list[Json], int]:
    """As many whole objects as fit on a page, one at least; and where the next page begins."""
    rows: list[Json] = []
    while at < len(groups) and (not rows or len(rows) + len(groups[at]) <= size):
        rows += groups[at]
        at += 1
    return rows, at


def _delta_row(row: Json) -> Json:
    """Delta answers write change keys in another form."""
    etag = str(row["@odata.etag"]).replace('W/"', 'W/"DwAAABYAAAC')
    return {"@odata.type": "#microsoft.graph.event", **row, "@odata.etag": etag}


def _shown_time(event: FakeEvent, wall: datetime) -> Json:
    return {"dateTime": f"{event.at(wall):%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}


def _wall(given: Json) -> datetime:
    return datetime.fromisoformat(str(given["dateTime"])[:19])


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _task_fields(given: Json) -> Json:
    """As the service keeps them: of the day a task is due only the day, midnight where it was meant, shown in UTC."""
    fields = dict(given)
    if fields.get("dueDateTime"):
        day = datetime.combine(_wall(fields["dueDateTime"]).date(), datetime.min.time())
        fields["dueDateTime"] = _in_utc(day, str(fields["dueDateTime"]["timeZone"]))
    if fields.get("reminderDateTime"):
        fields["reminderDateTime"] = _in_utc(
            _wall(fields["reminderDateTime"]), str(fields["reminderDateTime"]["timeZone"])
        )
    return fields


def _in_utc(wall: datetime, zone: str) -> Json:
    moment = wall.replace(tzinfo=zone_of(zone)).astimezone(UTC)
    return {"dateTime": f"{moment:%Y-%m-%dT%H:%M:%S}.0000000", "timeZone": "UTC"}


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace(" ", "%20").replace("&", "%26").replace("#", "%23").replace("+", "%2B")
