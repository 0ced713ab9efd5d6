"""The calendars and lists of tasks of one mailbox, as Exchange Online keeps them: events, series with their exceptions,
a log of changes for each calendar.

A series is expanded in its own zone by its pattern. What its owner does at a screen are methods; what comes over the
wire is `servers.graph_calendars`.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule

from connectors.ical.windows import WINDOWS_ZONES

Json = dict[str, Any]

CALENDARS = ("Calendar", "Team")
_DAYS = {
    name: day for day, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
}
_INDEX = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": -1}
_LAST = datetime(2100, 1, 1)  # noqa: DTZ001 - wall clock


def zone_of(name: str) -> ZoneInfo:
    """By Windows' name or IANA's; what nobody knows counts as UTC here."""
    try:
        return ZoneInfo(WINDOWS_ZONES.get(name, name))
    except (KeyError, ValueError):
        return ZoneInfo("UTC")


@dataclass(slots=True)
class FakeEvent:
    """A single event, a series or an exception of one. `start` and `end` are wall-clock times in `zone`, at midnight
    for all-day events. `broken`: the service cannot give it."""

    id: str
    calendar: str
    start: datetime
    end: datetime
    zone: str = "UTC"
    fields: Json = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)
    recurrence: Json | None = None
    exceptions: dict[datetime, FakeEvent] = field(default_factory=dict)
    taken_out: set[datetime] = field(default_factory=set)
    version: int = 0
    broken: bool = False
    trashed: bool = False

    @property
    def key(self) -> str:
        """The change key."""
        return base64.b64encode(hashlib.sha256(f"{self.id}/{self.version}".encode()).digest()[:16]).decode()

    @property
    def etag(self) -> str:
        """As GET and PATCH know it."""
        return f'W/"{self.key}"'

    def at(self, wall: datetime) -> datetime:
        """A wall-clock time of it as an instant; an all-day event floats."""
        return wall.replace(tzinfo=UTC if self.fields.get("isAllDay") else zone_of(self.zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a calendar view shows: an event, or an occurrence of a series that began at `original`."""

    id: str
    event: FakeEvent
    start: datetime
    end: datetime
    master: FakeEvent | None = None
    original: datetime | None = None

    @property
    def kind(self) -> str:
        """Its type."""
        if self.master is None:
            return "seriesMaster" if self.event.recurrence else "singleInstance"
        return "occurrence" if self.event is self.master else "exception"


@dataclass(slots=True)
class FakeList:
    """A list of tasks. `well` is its well-known name."""

    id: str
    name: str
    well: str = "none"
    tasks: dict[str, Json] = field(default_factory=dict)


class Agenda:
    """Calendars by id, events by id, lists of tasks by id."""

    def __init__(self, address: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.address, self.clock = address, clock
        self.version, self.epoch = 0, 0
        self.calendars: dict[str, Json] = {}
        self.events: dict[str, FakeEvent] = {}
        self.lists: dict[str, FakeList] = {}
        self.log: dict[str, list[tuple[int, str]]] = {}
        self.transactions: set[str] = set()
        self._serial = itertools.count(1)
        for name in CALENDARS:
            self.add_calendar(name)
        self.add_list("Tasks", "defaultList")
        self.add_list("Aufgaben")

    def id(self, word: str) -> str:
        """An immutable id."""
        digest = hashlib.sha256(f"{self.address}/agenda/{word}".encode()).digest()
        return "AAkALgAA" + base64.urlsafe_b64encode(digest).decode().rstrip("=") + "="

    # -- calendars

    def add_calendar(self, name: str, *, owner: str = "", writable: bool = True) -> str:
        """A calendar; the first one is the default. Its id."""
        key = self.id(f"calendar {name}")
        person = owner or self.address
        self.calendars[key] = {
            "id": key,
            "name": name,
            "canEdit": writable,
            "isDefaultCalendar": not self.calendars,
            "owner": {"name": person, "address": person},
        }
        self.log[key] = []
        return key

    def drop_calendar(self, name: str) -> None:
        """Take a calendar away with what is in it."""
        key = self.calendar(name)
        del self.calendars[key]
        self.events = {ref: one for ref, one in self.events.items() if one.calendar != key}

    def calendar(self, name: str) -> str:
        """The id of a calendar."""
        return next(key for key, one in self.calendars.items() if one["name"] == name)

    # -- what its owner does

    def put(self, event: FakeEvent) -> FakeEvent:
        """Lay an event there, or change it."""
        before = self.events.get(event.id)
        event.version = (before.version if before else 0) + 1
        now = f"{self.clock():%Y-%m-%dT%H:%M:%S.0000000Z}"
        event.fields.setdefault("createdDateTime", now)
        event.fields["lastModifiedDateTime"] = now
        self.events[event.id] = event
        if before and before.calendar != event.calendar:
            self._note(before.calendar, event.id)
        self._note(event.calendar, event.id)
        return event

    def move(self, ref: str, calendar: str) -> None:
        """Put an event into another calendar; it keeps its id."""
        event = copy.copy(self.events[ref])
        event.calendar = calendar
        self.put(event)

    def remove(self, ref: str) -> None:
        """Put an event into the trash."""
        event = self.events[ref]
        event.trashed = True
        self._note(event.calendar, ref)

    def forget_tokens(self) -> None:
        """No link given so far means anything any more."""
        self.epoch += 1

    def _note(self, calendar: str, ref: str) -> None:
        self.version += 1
        self.log[calendar].append((self.version, ref))

    def serial(self) -> int:
        """A number that was not given yet."""
        return next(self._serial)

    # -- what is seen

    def standing(self) -> list[FakeEvent]:
        """All that are not in the trash."""
        return [one for one in self.events.values() if not one.trashed]

    def view(self, calendar: str, start: datetime, end: datetime) -> list[Shown]:
        """Everything in a calendar that overlaps a time."""
        mine = [one for one in self.standing() if one.calendar == calendar]
        return [shown for one in mine for shown in self.occurrences(one, start, end)]

    def occurrences(self, event: FakeEvent, start: datetime, end: datetime) -> list[Shown]:
        """Of an event, or of a series, those that overlap a time."""
        every = self._expand(event, end) if event.recurrence else [Shown(event.id, event, event.start, event.end)]
        return [one for one in every if one.event.at(one.start) < end and _ends(one) > start]

    def shown(self, ref: str) -> Shown | None:
        """An event, a series or an occurrence by its id."""
        if ref in self.events:
            event = self.events[ref]
            return Shown(ref, event, event.start, event.end)
        series = [one for one in self.standing() if one.recurrence]
        return next((one for event in series for one in self._expand(event, _far()) if one.id == ref), None)

    def _expand(self, master: FakeEvent, until: datetime) -> Iterator[Shown]:
        length = master.end - master.start
        for original in self._originals(master, until):
            if original in master.taken_out:
                continue
            event = master.exceptions.get(original, master)
            start, end = (original, original + length) if event is master else (event.start, event.end)
            yield Shown(self.id(f"{master.id} {original}"), event, start, end, master, original)

    def _originals(self, master: FakeEvent, until: datetime) -> list[datetime]:
        assert master.recurrence is not None
        pattern, ranged = master.recurrence["pattern"], master.recurrence["range"]
        rule = _rule(pattern, ranged, master.start)
        last = min(_LAST, until.replace(tzinfo=None) + timedelta(days=2))
        within = rule.between(master.start, last, inc=True)
        moved = [one for one in master.exceptions if one not in within]
        return sorted([*within, *moved])

    # -- tasks

    def add_list(self, name: str, well: str = "none") -> str:
        """A list of tasks; its id."""
        key = self.id(f"list {name}")
        self.lists[key] = FakeList(key, name, well)
        return key

    def keep_task(self, ref: str, task: Json, place: FakeList) -> Json:
        """Lay a task there, or change it."""
        number = self.serial()
        task["@odata.etag"] = f'W/"task{number}"'
        task["lastModifiedDateTime"] = f"{self.clock():%Y-%m-%dT%H:%M:%S.0000000Z}"
        task.setdefault("createdDateTime", task["lastModifiedDateTime"])
        place.tasks[ref] = task
        return task


def _ends(shown: Shown) -> datetime:
    """The end that counts in an overlap; a mere moment lies in it."""
    end = shown.event.at(shown.end)
    return end if shown.end > shown.start else end + timedelta(seconds=1)


def _far() -> datetime:
    return datetime(2031, 1, 1, tzinfo=UTC)


def _rule(pattern: Json, ranged: Json, start: datetime) -> rrule.rrule:
    kind, options = pattern["type"], {"interval": pattern.get("interval", 1), "dtstart": start}
    days = [_DAYS[one] for one in pattern.get("daysOfWeek", ())]
    if ranged["type"] == "numbered":
        options["count"] = ranged["numberOfOccurrences"]
    elif ranged["type"] == "endDate":
        options["until"] = datetime.combine(date.fromisoformat(ranged["endDate"]), time(23, 59, 59))
    if kind == "daily":
        return rrule.rrule(rrule.DAILY, **options)
    if kind == "weekly":
        week = _DAYS[pattern.get("firstDayOfWeek", "sunday")]
        return rrule.rrule(rrule.WEEKLY, byweekday=days, wkst=week, **options)
    if kind.endswith("Yearly"):
        options["bymonth"] = pattern["month"]
    if kind.startswith("absolute"):
        options["bymonthday"] = pattern["dayOfMonth"]
    else:
        options |= {"byweekday": days, "bysetpos": _INDEX[pattern.get("index", "first")]}
    return rrule.rrule(rrule.YEARLY if kind.endswith("Yearly") else rrule.MONTHLY, **options)
