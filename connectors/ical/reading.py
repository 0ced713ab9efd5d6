"""A calendar object from bytes to occurrences. Raises nothing for what is in it, and does a bounded amount of work."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.calendars import NO_START, ONWARD, CalendarReading, Method, RawCalendar, When
from connectors.ical.crossing import FlatBad, FlatReading, FlatSpan, Telling, build_reading
from connectors.ical.events import describe, is_private, people_of
from connectors.ical.lines import Component, Line, read_components
from connectors.ical.rule import BadRule, Budget
from connectors.ical.series import Span, Version, occurrences, read_version
from connectors.ical.values import BadValue
from connectors.ical.zones import Zones

__all__ = ["Limits", "parse_calendar", "read_calendar"]

_STARTLESS = (Method.CANCEL, Method.REPLY, Method.REFRESH, Method.DECLINECOUNTER)
_NOTES = 20
_RAW = 20_000
_NEVER_EMPTY = ("CLASS", "DTSTAMP", "ORGANIZER", "RRULE", "SEQUENCE", "STATUS", "UID")
_NAMES = {"VEVENT": "event", "VTODO": "task"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one object.

    size          bytes; a larger one is not read at all
    occurrences   of one UID in the window
    events        occurrences in all
    people        attendees of all occurrences together, but for the first
    steps         of working out one UID, see `rule.Budget`; a step takes about a microsecond
    all_steps     of all UIDs together
    """

    size: int = 10_000_000
    occurrences: int = 2_000
    events: int = 20_000
    people: int = 1_000_000
    steps: int = 100_000
    all_steps: int = 500_000


def parse_calendar(raw: RawCalendar, limits: Limits | None = None) -> CalendarReading:
    """The events in an object; what is broken is an `Unreadable` each."""
    return build_reading(raw, read_calendar(raw, limits))


def read_calendar(raw: RawCalendar, limits: Limits | None = None) -> FlatReading:
    """Like `parse_calendar`, in flat shapes. A bug of ours costs the object its events, not the batch its answer."""
    try:
        return _Reader(raw, limits or Limits()).read()
    except Exception as error:
        return FlatReading("", [], [], [("", f"the reader met {type(error).__name__}", "", [])], [])


@dataclass(slots=True)
class _Reader:
    raw: RawCalendar
    limits: Limits
    budget: Budget = field(init=False)
    method: str = ""
    notes: list[str] = field(default_factory=list)
    tellings: list[Telling] = field(default_factory=list)
    spans: list[FlatSpan] = field(default_factory=list)
    bad: list[FlatBad] = field(default_factory=list)
    people: int = 0

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits.all_steps)

    def read(self) -> FlatReading:
        if len(self.raw.data) > self.limits.size:
            self.bad.append(("", f"the calendar has more than {self.limits.size // 1_000_000} MB", "", []))
        else:
            self._take_file()
        notes = list(dict.fromkeys(self.notes))[:_NOTES]
        return FlatReading(self.method, self.tellings, self.spans, self.bad, notes)

    def _take_file(self) -> None:
        components, self.notes = read_components(self.raw.data)
        calendars = [one for one in components if one.name == "VCALENDAR"]
        loose = [one for one in components if one.name in ("VEVENT", "VTODO", "VTIMEZONE")]
        if loose:
            self.notes.append("events outside of a calendar (VCALENDAR)")
            calendars.append(Component("VCALENDAR", inner=loose))
        if not calendars:
            self.bad.append(("", "this is no calendar: it has no BEGIN:VCALENDAR", "", []))
        for calendar in calendars:
            self._take_calendar(calendar)

    def _take_calendar(self, calendar: Component) -> None:
        method = calendar.value("METHOD").lower()
        if method in set(Method):
            self.method = self.method or method
        elif method:
            self.notes.append(f'no method that is known: "{method[:20]}"')
        zones = Zones(
            [one for one in calendar.inner if one.name == "VTIMEZONE"], self.raw.zone, self.budget, self.notes
        )
        wanted = "VTODO" if self.raw.tasks else "VEVENT"
        groups: dict[str, list[Version]] = {}
        found = [component for component in calendar.inner if component.name == wanted]
        if not found and not self.raw.tasks:
            others = ", ".join(sorted({one.name[:20] for one in calendar.inner})[:5])
            self.notes.append(f"it holds no events{f', only {others}' if others else ''}")
        for component in found:
            self._sort_in(component, zones, groups)
        for uid, versions in groups.items():
            self._take_uid(uid, versions)

    def _sort_in(self, component: Component, zones: Zones, groups: dict[str, list[Version]]) -> None:
        try:
            version = self._version(component, zones)
        except BadValue as error:
            self._refuse(component, str(error))
            return
        groups.setdefault(component.value("UID") or _made_uid(component), []).append(version)

    def _version(self, component: Component, zones: Zones) -> Version:
        if not component.closed:
            raise BadValue(f"it is cut off, END:{component.name} is missing")
        version = read_version(component, zones)
        if version.start or version.original or component.first("RDATE"):
            return version
        stamp = component.first("DTSTAMP")
        if stamp is None or (self.method not in _STARTLESS and component.name != "VTODO"):
            raise BadValue("no start (DTSTART)")
        component.lines.append(Line("DTSTART", {}, stamp.value))
        component.bad.append(NO_START)
        return read_version(component, zones)

    def _take_uid(self, uid: str, versions: Sequence[Version]) -> None:
        notes: list[str] = []
        told: dict[int, int] = {}
        most = self.limits.occurrences
        budget = Budget(self.limits.steps, self.budget)
        try:
            for span in occurrences(versions, self.raw.window, most=most, budget=budget, notes=notes):
                if len(self.spans) >= self.limits.events:
                    self.notes.append(f"more than {self.limits.events} occurrences: the rest was left out")
                    return
                if id(span.version) not in told:
                    told[id(span.version)] = len(self.tellings)
                    self.tellings.append(self._telling(uid, span.version, notes))
                self.people += len(self.tellings[told[id(span.version)]].attendees)
                if self.people > self.limits.people and self.spans:
                    self.notes.append(f"more than {self.limits.people} people in all: later occurrences were left out")
                    return
                self.spans.append(_flat(told[id(span.version)], span))
        except BadValue as error:
            self._refuse(versions[0].component, str(error))
        except BadRule as error:
            self._refuse(versions[0].component, f"its repetition cannot be worked out: {error}")

    def _telling(self, uid: str, version: Version, notes: list[str]) -> Telling:
        component = version.component
        odd = [f'no property: "{text[:40]}"' if text != NO_START else text for text in component.bad[:5]]
        odd += [ONWARD] * (version.onward and self.method == Method.CANCEL)
        odd += ["no UID: one was made from what it says"] * (not component.value("UID"))
        odd += [
            f"{line.name} is empty" for line in component.lines if line.name in _NEVER_EMPTY and not line.value.strip()
        ]
        if version.zone.unclear and version.start and not version.all_day:
            odd.append(f"its zone is not known, {version.zone.name or 'UTC'} was assumed")
        telling = describe(component, uid, odd)
        return telling._replace(degraded=[*odd, *notes])

    def _refuse(self, component: Component, reason: str) -> None:
        uid = component.value("UID")
        named = f"{_NAMES.get(component.name, component.name)} {uid[:80] or 'without a UID'}"
        text = "" if is_private(component) else _as_text(component)
        people = [(one.email, one.name) for one in people_of(component)]
        self.bad.append((uid, f"{named}: {reason}", text, people))


def _flat(telling: int, span: Span) -> FlatSpan:
    zone = span.version.zone
    original = _iso(span.original, utc=True) if span.original else None
    name = "" if span.version.all_day else zone.name
    unclear = zone.unclear and not span.version.all_day
    return telling, _iso(span.start), _iso(span.end), original, span.exception, name, unclear


def _iso(when: When, *, utc: bool = False) -> str:
    return (when.astimezone(UTC) if utc and isinstance(when, datetime) else when).isoformat()


def _made_uid(component: Component) -> str:
    """For an event without a UID: the same text gives the same one."""
    told = "\n".join(f"{line.name}:{line.value}" for line in component.lines)
    return f"made-{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _as_text(component: Component) -> str:
    lines = (
        line.name + "".join(f";{name}={value}" for name, value in line.parameters.items()) + ":" + line.value
        for line in component.lines
    )
    return "\r\n".join((f"BEGIN:{component.name}", *lines))[:_RAW]
