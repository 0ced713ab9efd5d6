"""Calendars whose objects lie somewhere as iCalendar files: the source and the desk over them.

A `CalendarShelf` lists and loads; reading the files is the parser's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from connectors.calendar_objects import Changes, Folder, ObjectCalendarSource, ObjectReading
from connectors.calendars import (
    NO_START,
    OWN_UID,
    CalendarReading,
    EventStatus,
    ItemKind,
    OwnItem,
    PlacedItem,
    RawCalendar,
    Window,
)
from connectors.ical.writing import is_own_uid, render_item
from connectors.model import Unreadable
from connectors.protocols import CalendarParser

__all__ = [
    "CalendarShelf",
    "Loaded",
    "ShelfCalendarDesk",
    "ShelfCalendarSource",
    "WritableShelf",
    "gone",
    "require_own",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """One object as loaded, or why it could not be: `trouble`."""

    data: bytes = b""
    version: str = ""
    trouble: str = ""


class CalendarShelf(Protocol):
    """Where calendars lie. Reading never changes anything there. All raise ConnectorError."""

    def check(self) -> tuple[str, ...]:
        """Connect; findings, one plain sentence each."""
        ...

    def folders(self) -> Sequence[Folder]:
        """The calendars that are read."""
        ...

    def changes(self, folder: Folder, token: str) -> Changes:
        """What changed since `token` ("" = the beginning). A token that is no longer good is answered completely."""
        ...

    def load(self, folder: Folder, refs: Sequence[str]) -> Mapping[str, Loaded]:
        """These objects; those that are gone are left out."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class WritableShelf(CalendarShelf, Protocol):
    """A shelf on which items of ours are laid."""

    def home(self, kind: ItemKind) -> Folder:
        """The calendar our items go to. Raises Misconfigured if there is none for this kind."""
        ...

    def locate(self, uid: str, kind: ItemKind) -> tuple[Folder, str] | None:
        """Where an object with this UID lies, wherever its owner moved it."""
        ...

    def write(self, folder: Folder, ref: str, data: bytes, version: str) -> str | None:
        """Write an object that is at `version` ("" = that is not there yet). Its new version; None if it was not as
        expected, and nothing was written."""
        ...

    def delete(self, folder: Folder, ref: str, version: str) -> bool:
        """Delete an object that is at `version`. True if it is gone; False if it was not as expected."""
        ...


class _Parsed:
    """The objects of a shelf, read by the parser."""

    def __init__(self, account: str, shelf: CalendarShelf, parser: CalendarParser, zone: str) -> None:
        self._account, self._shelf, self._parser, self._zone = account, shelf, parser, zone
        self.check, self.folders, self.changes, self.close = shelf.check, shelf.folders, shelf.changes, shelf.close

    def read(self, folder: Folder, refs: Sequence[str], window: Window) -> Mapping[str, ObjectReading]:
        """Load them, and parse those that could be loaded."""
        loaded = self._shelf.load(folder, refs)
        raws = [self._raw(folder, ref, one.data, window) for ref, one in loaded.items() if not one.trouble]
        parsed = self._parser.parse_calendars(raws) if raws else ()
        readings = {raw.ref: reading for raw, reading in zip(raws, parsed, strict=True)}
        return {ref: self._reading(folder, ref, one, readings.get(ref)) for ref, one in loaded.items()}

    def _raw(self, folder: Folder, ref: str, data: bytes, window: Window) -> RawCalendar:
        return RawCalendar(
            account=self._account, calendar=folder.name, ref=ref, data=data, zone=self._zone, window=window
        )

    def _reading(self, folder: Folder, ref: str, loaded: Loaded, reading: CalendarReading | None) -> ObjectReading:
        if reading is not None:
            return ObjectReading(version=loaded.version, events=reading.events, unreadable=reading.unreadable)
        failed = Unreadable(account=self._account, folder=folder.name, ref=ref, stage="fetch", reason=loaded.trouble)
        return ObjectReading(version=loaded.version, unreadable=[failed])


class ShelfCalendarSource(ObjectCalendarSource):
    """A `CalendarSource` and `EventRereader` over a shelf. `zone` is the one that floating times are read in."""

    def __init__(self, account: str, shelf: CalendarShelf, parser: CalendarParser, *, zone: str) -> None:
        super().__init__(account, _Parsed(account, shelf, parser, zone))


class ShelfCalendarDesk:
    """A `CalendarDesk` over a shelf."""

    def __init__(
        self,
        account: str,
        shelf: WritableShelf,
        parser: CalendarParser,
        *,
        zone: str,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._account, self._shelf, self._parser, self._zone, self._clock = account, shelf, parser, zone, clock

    def check(self) -> tuple[str, ...]:
        """Connect and say where items go."""
        events = self._shelf.home(ItemKind.EVENT)
        return (f"reminders go to the calendar {events.name}",)

    def put(self, item: OwnItem, *, revision: str = "") -> PlacedItem:
        """Lay the item there, or change the one at `revision`."""
        require_own(item.uid)
        lies = self._lies(item.uid, item.kind)
        if (lies is None) != (not revision) or (lies and (not lies[1].ours or lies[1].revision != revision)):
            return replace(lies[1], written=False) if lies else gone(item)
        folder = lies[0] if lies else self._shelf.home(item.kind)
        ref = lies[1].ref if lies else f"{item.uid}.ics"
        version = self._shelf.write(folder, ref, render_item(item, self._clock()), revision)
        found = self.find(item.uid, item.kind)
        if found is None:
            return gone(item)
        return found if version is not None else replace(found, written=False)

    def find(self, uid: str, kind: ItemKind) -> PlacedItem | None:
        """The item as it lies there now, wherever its owner moved it."""
        require_own(uid)
        lies = self._lies(uid, kind)
        return lies[1] if lies else None

    def remove(self, placed: PlacedItem) -> bool:
        """Remove it if it is still ours and as it was looked at."""
        require_own(placed.uid)
        lies = self._lies(placed.uid, placed.kind)
        if lies is None:
            return True
        folder, found = lies
        if not found.ours or found.revision != placed.revision:
            return False
        return self._shelf.delete(folder, found.ref, found.revision)

    def close(self) -> None:
        """Let go of the shelf's connections."""
        self._shelf.close()

    def _lies(self, uid: str, kind: ItemKind) -> tuple[Folder, PlacedItem] | None:
        located = self._shelf.locate(uid, kind)
        if located is None:
            return None
        folder, ref = located
        loaded = self._shelf.load(folder, [ref]).get(ref)
        if loaded is None:
            return None
        raw = RawCalendar(
            account=self._account,
            calendar=folder.name,
            ref=ref,
            data=loaded.data,
            zone=self._zone,
            tasks=kind is ItemKind.TASK,
        )
        (reading,) = self._parser.parse_calendars([raw])
        return folder, _placed(folder, ref, uid, kind, loaded.version, reading)


def _placed(folder: Folder, ref: str, uid: str, kind: ItemKind, version: str, reading: CalendarReading) -> PlacedItem:
    """An item as it is read back. What cannot be read, or is another one, is not ours to touch."""
    event = next((one for one in reading.events if one.uid == uid), None)
    if event is None:
        return PlacedItem(calendar=folder.name, ref=ref, revision=version, uid=uid, kind=kind, ours=False)
    dated = NO_START not in event.degraded
    return PlacedItem(
        calendar=folder.name,
        ref=ref,
        revision=version,
        uid=uid,
        kind=kind,
        summary=event.summary,
        text=event.text,
        start=event.start if dated else None,
        end=event.end if dated else None,
        done=event.status is EventStatus.CANCELLED,
        ours=not event.attendees and event.organizer is None,
    )


def gone(item: OwnItem) -> PlacedItem:
    """How an item is told of that its owner deleted before we changed it."""
    return PlacedItem(calendar="", ref="", revision="", uid=item.uid, kind=item.kind, done=True, written=False)


def require_own(uid: str) -> None:
    """Raises ValueError for the UID of what is not ours."""
    if not is_own_uid(uid):
        raise ValueError(f"{uid!r} is not the UID of an item of ours: it has to begin with {OWN_UID!r}")
