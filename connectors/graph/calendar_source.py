"""Reads the calendars of one mailbox in Microsoft 365: what changed by delta of a calendar view, then the objects anew.

The delta query of a window names occurrences of a series by their times alone, and never an occurrence that was taken
out: the series comes instead, with those that are left. So an object is a single event or a whole series, and what the
delta names is read by id. What it removes may only have been moved out of the window, so that is read too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from connectors.calendars import CalendarBatch, CalendarEvent, Window
from connectors.graph.calendar_position import CalendarPlace, CalendarPosition, short
from connectors.graph.calendars import Found, GraphCalendar, GraphCalendars, calendar_refused, span
from connectors.graph.client import Garbled, GraphClient, Json, Refused, entries
from connectors.graph.events import PREFER
from connectors.graph.settings import GraphCalendarSettings
from connectors.graph.trouble import is_expired, translated
from connectors.model import Cursor, Unreadable

__all__ = ["GraphCalendarSource"]

_PAGES = 20
"""Pages of changes that one fetch follows: then its position is worth saving."""
_PER_PAGE = 200
_NO_DELTA = frozenset({400, 403, 404, 405, 500, 501, 502, 503, 504})
"""By which the service refuses changes of some calendars, and breaks off in the middle of others, for good: then the
window is compared each time."""


@dataclass(slots=True)
class _Harvest:
    events: list[CalendarEvent] = field(default_factory=list)
    read: list[tuple[str, str]] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)


class GraphCalendarSource:
    """A `CalendarSource` and `EventRereader`; see `connectors.protocols` for the promises."""

    def __init__(self, settings: GraphCalendarSettings) -> None:
        self._settings = settings
        self._client = GraphClient(settings)
        self._calendars = GraphCalendars(settings, self._client)
        self._newer: dict[str, str] = {}

    @property
    def account(self) -> str:
        """The entry of `calendars:` in quietcrm.yaml."""
        return self._settings.account

    def check(self) -> tuple[str, ...]:
        """Sign in and list the calendars; says what is read and which names of the settings fit nothing."""
        with self._working():
            every = self._calendars.every()
        names = [one.name for one in self._calendars.chosen(every)]
        known = {one.name.lower() for one in every}
        findings = [f"reads {len(names)} of {len(every)} calendars: {', '.join(names) or 'none'}"]
        wanted = (*self._settings.only, *self._settings.skip)
        findings += [f"no calendar is called {name!r}" for name in wanted if name.lower() not in known]
        return tuple(findings)

    def fetch(self, cursor: Cursor | None, window: Window, *, limit: int) -> CalendarBatch:
        """Read up to `limit` objects that are new or changed."""
        position, harvest = CalendarPosition.load(cursor, self.account, window), _Harvest()
        with self._working():
            calendars = self._chosen()
            self._forget(position, calendars, harvest)
            left = max(1, limit)
            for calendar in calendars:
                place = position.places.setdefault(calendar.id, CalendarPlace(calendar.name))
                place.name = calendar.name
                if not place.due:
                    self._look(calendar, place, window)
                left -= self._read(calendar, place, window, left, harvest)
        more = any(place.due or place.midway for place in position.places.values())
        return _batch(harvest, position.save(), more, calendars)

    def reread(self, places: Sequence[tuple[str, str]], window: Window) -> CalendarBatch:
        """Read the objects at (calendar, ref) once more, and see that they are still in that calendar."""
        harvest = _Harvest()
        with self._working():
            calendars = self._chosen()
            for calendar in calendars:
                refs = [ref for name, ref in places if name == calendar.name]
                for ref, found in zip(refs, self._calendars.read(calendar, refs, window), strict=True):
                    _take(calendar, ref, self._if_there(calendar, ref, found), harvest)
        names = [calendar.name for calendar in calendars]
        harvest.removed += [place for place in places if place[0] not in names]
        return _batch(harvest, Cursor(""), False, calendars)

    def close(self) -> None:
        """Close the connections. The next fetch connects again."""
        self._client.close()

    @contextmanager
    def _working(self) -> Iterator[None]:
        with translated(self.account, self._client.where, calendar_refused):
            yield

    def _chosen(self) -> list[GraphCalendar]:
        return self._calendars.chosen(self._calendars.every())

    def _forget(self, position: CalendarPosition, calendars: Sequence[GraphCalendar], harvest: _Harvest) -> None:
        """Calendars that are no longer read: their objects are gone from our sight."""
        for key in position.places.keys() - {calendar.id for calendar in calendars}:
            place = position.places.pop(key)
            harvest.removed += [(place.name, ref) for ref in place.known]

    # -- what changed

    def _look(self, calendar: GraphCalendar, place: CalendarPlace, window: Window) -> None:
        """Follow the changes of a calendar, or the listing of its window, for some pages."""
        for _ in range(_PAGES):
            try:
                page = self._changes(calendar, place, window)
            except Refused as error:
                if error.status not in _NO_DELTA or error.retry_after:
                    raise
                place.compare(self._calendars.looks(calendar, window))
                return
            if page is None:
                continue
            rows = entries(page)
            link, end = str(page.get("@odata.nextLink") or ""), str(page.get("@odata.deltaLink") or "")
            if not link and not end:
                raise Garbled("a page of changes without a link")
            for row in rows:
                place.note(str(row.get("id")), str(row.get("seriesMasterId") or ""), removed="@removed" in row)
            if end and not rows and not place.midway:
                self._newer[place.link] = end  # nothing to save: the position stays as it is
                return
            self._newer.pop(place.link, None)
            if end:
                place.note_end(end)
                return
            place.link, place.midway = link, True

    def _changes(self, calendar: GraphCalendar, place: CalendarPlace, window: Window) -> Json | None:
        """The next page; None where the link has died, so that the window has to be listed again."""
        prefer = (*PREFER, f"odata.maxpagesize={_PER_PAGE}")
        try:
            if place.link:
                return self._client.get(self._newer.get(place.link, place.link), prefer=prefer)
            path = f"/calendars/{quote(calendar.id, safe='=')}/calendarView/delta"
            return self._client.get(path, span(window), prefer=prefer)
        except Refused as error:
            if not is_expired(error) or not place.link:
                raise
        self._newer.pop(place.link, None)
        place.begin_again()
        return None

    # -- objects

    def _read(
        self, calendar: GraphCalendar, place: CalendarPlace, window: Window, limit: int, harvest: _Harvest
    ) -> int:
        """Read some of those that are due; how many."""
        refs = list(place.due)[:limit]
        for ref, found in zip(refs, self._calendars.read(calendar, refs, window), strict=True):
            if place.due.pop(ref):
                found = self._if_there(calendar, ref, found)
            was = place.known.pop(ref, None)
            if found is not None and (found.events or found.unreadable):
                place.known[ref] = [short(one) for one in found.occurrences]
            if found is not None or was is not None:
                _take(calendar, ref, found, harvest)
        return len(refs)

    def _if_there(self, calendar: GraphCalendar, ref: str, found: Found | None) -> Found | None:
        """None for what can be read and yet lies in this calendar no more."""
        if found is None or not found.events or self._calendars.lies_in(calendar, ref, found.events):
            return found
        return None


def _take(calendar: GraphCalendar, ref: str, found: Found | None, harvest: _Harvest) -> None:
    if found is None:
        harvest.removed.append((calendar.name, ref))
        return
    if not found.unreadable:
        harvest.read.append((calendar.name, ref))
    harvest.events += found.events
    harvest.unreadable += found.unreadable


def _batch(harvest: _Harvest, cursor: Cursor, more: bool, calendars: Sequence[GraphCalendar]) -> CalendarBatch:
    return CalendarBatch(
        events=tuple(harvest.events),
        read=tuple(harvest.read),
        unreadable=tuple(harvest.unreadable),
        removed=tuple(harvest.removed),
        cursor=cursor,
        more=more,
        calendars=tuple(calendar.name for calendar in calendars),
    )
