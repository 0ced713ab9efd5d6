"""The calendars of a mailbox, read. What changed comes by SyncFolderItems, which knows single items and whole series;
what of them stands in the window comes by a CalendarView, in which the server has worked the series out.

Versions are those from before anything else was asked: what changes while it is read is told as changed once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connectors.calendar_objects import Changes, Folder, ObjectCalendarSource, ObjectReading
from connectors.calendars import CalendarEvent, ItemKind, Window, series_key
from connectors.errors import ProtocolViolation
from connectors.exchange.calendars.events import MASTER, BrokenItem, Reading, detail_shape, head_shape
from connectors.exchange.calendars.folders import CalendarFolders
from connectors.exchange.calendars.ids import uid_of
from connectors.exchange.calendars.settings import ExchangeCalendarSettings
from connectors.exchange.calendars.view import OCCURRENCE, Seen, View, find_in_view, overlaps
from connectors.exchange.getting import Getter
from connectors.exchange.link import Link
from connectors.exchange.reader import BODIES, HEADS
from connectors.exchange.sync import MOST_CHANGES, Page, sync_page
from connectors.exchange.trouble import LATER
from connectors.exchange.words import Element, child, moment, text
from connectors.ical.zones import UTC_ZONE, find_zone
from connectors.model import Unreadable

__all__ = ["ExchangeCalendarSource"]

_PAGES = 1_000


class ExchangeCalendarSource(ObjectCalendarSource):
    """A `CalendarSource` and `EventRereader` on the calendars of one mailbox."""

    def __init__(
        self,
        settings: ExchangeCalendarSettings,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        heard: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(settings.account, _Objects(settings, monotonic, heard))


@dataclass(slots=True)
class _Head:
    """An item or a series of items as it was first looked at."""

    version: str
    kind: str
    uid: str
    inside: bool
    seen: list[Seen] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)


class _Objects:
    """Items and series of the calendars: `CalendarObjects`."""

    def __init__(
        self, settings: ExchangeCalendarSettings, monotonic: Callable[[], float], heard: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._link = Link(settings.login, heard)
        self._folders = CalendarFolders(settings, self._link, monotonic=monotonic)
        self._getter = Getter(self._link)

    def check(self) -> tuple[str, ...]:
        """Log in and list the calendars."""
        self._folders.forget()
        read, every = self.folders(), [one.name for one in self._folders.every(ItemKind.EVENT)]
        findings = [f"reads {len(read)} of {len(every)} calendars: {', '.join(one.name for one in read) or 'none'}"]
        known = {name.casefold() for name in every}
        wanted = (*self._settings.login.only, *self._settings.login.skip)
        return (*findings, *(f"no calendar is called {name!r}" for name in wanted if name.casefold() not in known))

    def folders(self) -> list[Folder]:
        """The calendars that the settings choose."""
        return self._folders.read()

    def changes(self, folder: Folder, token: str) -> Changes:
        """All pages since a state; everything there is where the server knows the state no more."""
        versions: dict[str, str] = {}
        removed: list[str] = []
        state = token
        for _ in range(_PAGES):
            page = sync_page(self._link, folder.key, state, MOST_CHANGES)
            if page is None:
                return self.changes(folder, "")
            removed += page.removed
            versions |= page.versions
            if page.is_last:
                return _told(page, versions, removed, complete=not token)
            if page.state == state:
                break
            state = page.state
        raise ProtocolViolation(self._settings.account, f"{folder.name} does not come to an end", hint=LATER)

    def read(self, folder: Folder, refs: Sequence[str], window: Window) -> Mapping[str, ObjectReading]:
        """First which of them have anything in the window, then all of those."""
        heads, bad = self._heads(folder, refs, window)
        masters = {series_key(one.uid): one for one in heads.values() if one.kind == MASTER}
        view = find_in_view(self._link, folder.key, window) if masters else View()
        for seen in view.seen.values():
            if seen.kind != "Single" and (master := masters.get(series_key(seen.uid))):
                master.seen.append(seen)
        for master in masters.values():
            master.gaps = view.gaps
        items = dict(self._details(heads))
        reading = Reading(
            account=self._settings.account,
            calendar=folder.name,
            mailbox=self._settings.login.mailbox,
            owner=find_zone(self._settings.zone) or UTC_ZONE,
        )
        return bad | {ref: self._read(reading, ref, head, items) for ref, head in heads.items()}

    def close(self) -> None:
        """Let go of the connection."""
        self._link.drop()
        self._folders.forget()

    def _heads(
        self, folder: Folder, refs: Sequence[str], window: Window
    ) -> tuple[dict[str, _Head], dict[str, ObjectReading]]:
        """Those that are there, and those that cannot be read."""
        heads, bad = {}, {}
        for ref, found in self._getter.get_all(head_shape(), refs, HEADS):
            if isinstance(found, str):
                failed = self._unreadable(folder.name, ref, found)
                bad[ref] = ObjectReading(version="", unreadable=[failed])
            else:
                heads[ref] = _head(found, window)
        return heads, bad

    def _details(self, heads: Mapping[str, _Head]) -> Iterator[tuple[str, Element | str]]:
        wanted = [ref for ref, head in heads.items() if head.inside or head.seen]
        wanted += [one.ref for head in heads.values() for one in head.seen if one.kind != OCCURRENCE]
        return self._getter.get_all(detail_shape(), list(dict.fromkeys(wanted)), BODIES)

    def _read(self, reading: Reading, ref: str, head: _Head, items: Mapping[str, Element | str]) -> ObjectReading:
        events: list[CalendarEvent] = []
        unreadable = [self._unreadable(reading.calendar, ref, one) for one in head.gaps]
        for name, make in _makers(reading, ref, head, items):
            try:
                events.append(make())
            except BrokenItem as error:
                unreadable.append(self._unreadable(reading.calendar, name, str(error)))
        return ObjectReading(version=head.version, events=events, unreadable=list(dict.fromkeys(unreadable)))

    def _unreadable(self, calendar: str, ref: str, reason: str) -> Unreadable:
        return Unreadable(account=self._settings.account, folder=calendar, ref=ref, stage="fetch", reason=reason[:300])


def _told(page: Page, versions: Mapping[str, str], removed: Sequence[str], *, complete: bool) -> Changes:
    there = {ref: version for ref, version in versions.items() if ref not in removed}
    return Changes(token=page.state, changed=there, removed=list(dict.fromkeys(removed)), complete=complete)


def _head(item: Element, window: Window) -> _Head:
    id, kind = child(item, "ItemId"), text(item, "CalendarItemType")
    start, end = moment(text(item, "Start")), moment(text(item, "End"))
    inside = kind != MASTER and (start is None or overlaps(start, end or start, window))
    return _Head(str(id.get("ChangeKey", "")) if id is not None else "", kind, uid_of(item), inside)


def _makers(
    reading: Reading, ref: str, head: _Head, items: Mapping[str, Element | str]
) -> Iterator[tuple[str, Callable[[], CalendarEvent]]]:
    """(id, what makes the event) of a single item, or of each occurrence of a series; nothing for what went while it
    was read: that is told as removed."""
    if ref not in items:
        return
    if head.inside:
        yield ref, lambda: reading.single(ref, _whole(items, ref))
    for seen in head.seen:
        if seen.kind == OCCURRENCE:
            yield ref, lambda seen=seen: reading.occurrence(ref, _whole(items, ref), seen)  # type: ignore[misc]
        elif seen.ref in items:
            yield (
                seen.ref,
                lambda seen=seen: reading.exception(ref, _whole(items, ref), _whole(items, seen.ref)),  # type: ignore[misc]
            )


def _whole(items: Mapping[str, Element | str], ref: str) -> Element:
    """Raises BrokenItem for what could not be read."""
    found = items[ref]
    if isinstance(found, str):
        raise BrokenItem(found)
    return found
