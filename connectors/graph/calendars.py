"""The calendars of a mailbox and single objects in them: an event, or a series with its occurrences in a window."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from connectors.calendars import CalendarEvent, Window
from connectors.errors import ConnectorError, Misconfigured, Unavailable
from connectors.graph.client import AT_ONCE, GraphClient, Json, Refused
from connectors.graph.events import EXPAND, PREFER, SELECT, BadEvent, is_within, occurrence
from connectors.graph.reader import is_gone
from connectors.graph.settings import GraphCalendarSettings
from connectors.graph.trouble import refused
from connectors.ical.zones import UTC_ZONE, find_zone
from connectors.model import Unreadable

__all__ = ["Found", "GraphCalendar", "GraphCalendars", "calendar_refused", "event_path", "span"]

_PAGE = "200"
_MOST = 2_000
"""Occurrences of one series in a window: more is no meeting."""


@dataclass(frozen=True, slots=True)
class GraphCalendar:
    """One calendar. `writable`: items can be laid there; `own`: it is the mailbox owner's, nobody else's."""

    id: str
    name: str
    writable: bool
    own: bool


@dataclass(slots=True)
class Found:
    """One object as it is now. `occurrences` are ids of those of a series."""

    events: list[CalendarEvent] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    occurrences: list[str] = field(default_factory=list)


class GraphCalendars:
    """Reads calendars of one mailbox. Errors are those of `GraphClient`."""

    def __init__(self, settings: GraphCalendarSettings, client: GraphClient) -> None:
        self._settings, self._client = settings, client
        self._zone = find_zone(settings.zone) or UTC_ZONE

    def every(self) -> list[GraphCalendar]:
        """All of them, the service's first one first."""
        rows = list(
            self._client.pages("/calendars", {"$select": "id,name,canEdit,owner,isDefaultCalendar", "$top": "100"})
        )
        rows.sort(key=lambda row: not row.get("isDefaultCalendar"))
        return [self._calendar(row) for row in rows]

    def _calendar(self, row: Json) -> GraphCalendar:
        owner = str((row.get("owner") or {}).get("address") or self._settings.login)
        own = owner.lower() == self._settings.login.lower() or bool(row.get("isDefaultCalendar"))
        return GraphCalendar(str(row["id"]), str(row.get("name") or ""), bool(row.get("canEdit")), own)

    def chosen(self, every: Sequence[GraphCalendar]) -> list[GraphCalendar]:
        """Those that are read: the owner's own, and others' only where the settings name them."""
        only = {name.lower() for name in self._settings.only}
        skip = {name.lower() for name in self._settings.skip}
        return [
            one
            for one in every
            if (one.name.lower() in only or (not only and one.own)) and one.name.lower() not in skip
        ]

    def read(self, calendar: GraphCalendar, refs: Sequence[str], window: Window) -> list[Found | None]:
        """These objects, None for those that are gone. What the service cannot give is unreadable."""
        if len(refs) < 2:
            return [self._one(calendar, ref, window) for ref in refs]
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix=f"graph-{self._settings.account}") as pool:
            return list(pool.map(lambda ref: self._one(calendar, ref, window), refs))

    def lies_in(self, calendar: GraphCalendar, ref: str, events: Sequence[CalendarEvent]) -> bool:
        """Whether an object is seen in this calendar at the time it says it is: one that was moved to another calendar,
        or into the trash, can still be read by its id."""
        first = min(events, key=lambda one: _edges(one)[0])
        start, end = _edges(first)
        return ref in self.looks(calendar, Window(start, max(end, start)))

    def looks(self, calendar: GraphCalendar, window: Window) -> dict[str, str]:
        """Every object seen in a window, with a text that is another one whenever the object is."""
        params = {**span(window), "$select": "id,seriesMasterId,changeKey,start", "$top": _PAGE}
        path = f"/calendars/{quote(calendar.id, safe='=')}/calendarView"
        found: dict[str, list[str]] = defaultdict(list)
        for row in self._client.pages(path, params, prefer=PREFER):
            look = f"{row.get('id')} {row.get('changeKey')} {row.get('start')}"
            found[str(row.get("seriesMasterId") or row.get("id"))].append(look)
        return {ref: "\n".join(sorted(looks)) for ref, looks in found.items()}

    def _one(self, calendar: GraphCalendar, ref: str, window: Window) -> Found | None:
        """One object; None if it is gone. What cannot be given though the service is well, twice, is unreadable."""
        trouble = ""
        for _ in range(2):
            try:
                return self._whole(calendar, ref, window)
            except Refused as error:
                if is_gone(error):
                    return None
                if error.status < 500 or error.retry_after or not self._is_there(ref):
                    raise
                trouble = f"the service cannot give it: {error}"
        return Found(unreadable=[self._bad(calendar, ref, "fetch", trouble)])

    def _whole(self, calendar: GraphCalendar, ref: str, window: Window) -> Found:
        row = self._client.get(event_path(ref), {"$select": SELECT, "$expand": EXPAND}, prefer=PREFER)
        if str(row.get("type", "")).lower() != "seriesmaster":
            return self._found(calendar, ref, [row], None, window)
        return self._found(calendar, ref, list(self._instances(ref, window)), row, window)

    def _instances(self, ref: str, window: Window) -> Iterator[Json]:
        params = {**span(window), "$select": SELECT, "$expand": EXPAND, "$top": _PAGE}
        for count, row in enumerate(self._client.pages(event_path(ref, "instances"), params, prefer=PREFER)):
            if count == _MOST:
                return
            yield row

    def _is_there(self, ref: str) -> bool:
        """Is it the event, or the service? One in trouble gives its id alone neither, and raises."""
        return bool(self._client.get(event_path(ref), {"$select": "id"}).get("id"))

    def _found(
        self, calendar: GraphCalendar, ref: str, rows: Sequence[Json], master: Json | None, window: Window
    ) -> Found:
        found = Found(occurrences=[str(row.get("id")) for row in rows] if master else [])
        for row in rows:
            try:
                event = occurrence(self._settings.account, calendar.name, ref, row, master=master, zone=self._zone)
            except BadEvent as error:
                found.unreadable.append(self._bad(calendar, ref, "parse", str(error)))
                continue
            if is_within(event, window, self._zone):
                found.events.append(event)
        return found

    def _bad(self, calendar: GraphCalendar, ref: str, stage: str, reason: str) -> Unreadable:
        return Unreadable(account=self._settings.account, folder=calendar.name, ref=ref, stage=stage, reason=reason)


def event_path(ref: str, *rest: str) -> str:
    """The path of one event, or of something below it."""
    return "/".join(("/events", quote(ref, safe="="), *rest))


def span(window: Window) -> dict[str, str]:
    """The window as the service wants it."""
    return {"startDateTime": _stamp(window.start), "endDateTime": _stamp(window.end)}


def calendar_refused(account: str, where: str, error: Refused) -> ConnectorError:
    """The boundary error for a refusal of calendars or tasks."""
    if is_gone(error):
        return Unavailable(account, f"{where}: it is gone since we looked ({error})", hint="nothing to do")
    if error.status != 403:
        return refused(account, where, error)
    tasks = "/todo/" in error.asked
    what, scope = ("tasks", "Tasks.ReadWrite") if tasks else ("calendars", "Calendars.ReadWrite")
    return Misconfigured(
        account,
        f"{where}: the permission for {what} is missing, or does not reach this mailbox ({error})",
        hint=f"let an admin of Microsoft 365 consent to {scope}: `quietcrm auth login {account}` prints the address "
        "for it; to read calendars and lay nothing there, Calendars.Read is enough",
    )


def _edges(event: CalendarEvent) -> tuple[datetime, datetime]:
    """When it is; days with one more on either side, whatever their zone."""
    start, end = event.start, event.end
    if isinstance(start, datetime) and isinstance(end, datetime):
        return start, end
    return datetime(start.year, start.month, start.day, tzinfo=UTC), datetime(end.year, end.month, end.day, tzinfo=UTC)


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
