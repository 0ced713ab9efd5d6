"""Calendars whose objects lie somewhere as iCalendar files: the source and the desk over them.

A `CalendarShelf` lists and loads, here it is decided what is new. The position keeps, of every object, its name and a
hash of its version; so what changed and what is gone is known even when the server has forgotten our token, and nothing
is ever taken for deleted because a listing came short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from connectors.calendars import (
    NO_START,
    OWN_UID,
    CalendarBatch,
    CalendarEvent,
    CalendarReading,
    EventStatus,
    ItemKind,
    OwnItem,
    PlacedItem,
    RawCalendar,
    Window,
)
from connectors.errors import CursorExpired
from connectors.ical.writing import is_own_uid, render_item
from connectors.model import Cursor, Unreadable
from connectors.protocols import CalendarParser

__all__ = ["CalendarShelf", "Changes", "Folder", "Loaded", "ShelfCalendarDesk", "ShelfCalendarSource", "WritableShelf"]

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Folder:
    """One calendar. `key` names it for ever, `name` is for people."""

    key: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is known to have changed in a calendar.

    token      for the next question
    changed    objects that are new or changed, with their versions
    removed    objects that are gone
    complete   `changed` lists all objects there are; what is not among them is gone
    """

    token: str
    changed: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    complete: bool = False


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


@dataclass(slots=True)
class _Place:
    """One calendar of the position. `known` has the hash of the version read, `due` is what has to be read."""

    name: str
    token: str = ""
    known: dict[str, str] = field(default_factory=dict)
    due: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Position:
    window: tuple[float, float]
    places: dict[str, _Place] = field(default_factory=dict)


@dataclass(slots=True)
class _Harvest:
    read: list[tuple[str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    events: list[CalendarEvent] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


class ShelfCalendarSource:
    """A `CalendarSource` and `EventRereader` over a shelf. `zone` is the one that floating times are read in."""

    def __init__(self, account: str, shelf: CalendarShelf, parser: CalendarParser, *, zone: str) -> None:
        self._account, self._shelf, self._parser, self._zone = account, shelf, parser, zone

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._account

    def check(self) -> tuple[str, ...]:
        """Connect and list the calendars."""
        return self._shelf.check()

    def fetch(self, cursor: Cursor | None, window: Window, *, limit: int) -> CalendarBatch:
        """Read up to `limit` objects that are new or changed."""
        position = _load(cursor, self._account, window)
        harvest = _Harvest()
        folders = self._shelf.folders()
        _forget(position, folders, harvest)
        left, more = max(1, limit), False
        for folder in folders:
            place = position.places.setdefault(folder.key, _Place(folder.name))
            place.name = folder.name
            if not place.due:
                self._look(folder, place, harvest)
            some, place.due = place.due[:left], place.due[left:]
            left -= len(some)
            more |= bool(place.due)
            self._read(folder, place, some, window, harvest)
        return _batch(harvest, _save(position), more=more, calendars=[folder.name for folder in folders])

    def reread(self, places: Sequence[tuple[str, str]], window: Window) -> CalendarBatch:
        """Read the objects at (calendar, ref) once more."""
        harvest = _Harvest()
        folders = self._shelf.folders()
        for folder in folders:
            refs = [ref for name, ref in places if name == folder.name]
            known = _Place(folder.name, known=dict.fromkeys(refs, ""))
            self._read(folder, known, refs, window, harvest)
        names = [folder.name for folder in folders]
        harvest.removed += [place for place in places if place[0] not in names]
        return _batch(harvest, Cursor(""), more=False, calendars=names)

    def close(self) -> None:
        """Let go of the shelf's connections."""
        self._shelf.close()

    def _look(self, folder: Folder, place: _Place, harvest: _Harvest) -> None:
        """Ask what changed and put it down to be read."""
        changes = self._shelf.changes(folder, place.token)
        place.token = changes.token
        gone = [ref for ref in changes.removed if ref in place.known]
        if changes.complete:
            gone += [ref for ref in place.known if ref not in changes.changed]
        for ref in dict.fromkeys(gone):
            del place.known[ref]
            harvest.removed.append((folder.name, ref))
        place.due = sorted(
            ref for ref, version in changes.changed.items() if not version or place.known.get(ref) != _hash(version)
        )

    def _read(self, folder: Folder, place: _Place, refs: Sequence[str], window: Window, harvest: _Harvest) -> None:
        loaded = self._shelf.load(folder, refs) if refs else {}
        raws = []
        for ref in refs:
            found = loaded.get(ref)
            if found is None:
                if place.known.pop(ref, None) is not None:
                    harvest.removed.append((folder.name, ref))
                continue
            place.known[ref] = _hash(found.version)
            harvest.read.append((folder.name, ref))
            if found.trouble:
                harvest.unreadable.append(self._failed(folder, ref, found.trouble))
            else:
                raws.append(self._raw(folder, ref, found.data, window))
        for reading in self._parser.parse_calendars(raws) if raws else ():
            harvest.events += reading.events
            harvest.unreadable += reading.unreadable

    def _raw(self, folder: Folder, ref: str, data: bytes, window: Window) -> RawCalendar:
        return RawCalendar(
            account=self._account, calendar=folder.name, ref=ref, data=data, zone=self._zone, window=window
        )

    def _failed(self, folder: Folder, ref: str, trouble: str) -> Unreadable:
        return Unreadable(account=self._account, folder=folder.name, ref=ref, stage="fetch", reason=trouble)


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
        _require_own(item.uid)
        lies = self._lies(item.uid, item.kind)
        if (lies is None) != (not revision) or (lies and (not lies[1].ours or lies[1].revision != revision)):
            return replace(lies[1], written=False) if lies else _gone(item)
        folder = lies[0] if lies else self._shelf.home(item.kind)
        ref = lies[1].ref if lies else f"{item.uid}.ics"
        version = self._shelf.write(folder, ref, render_item(item, self._clock()), revision)
        found = self.find(item.uid, item.kind)
        if found is None:
            return _gone(item)
        return found if version is not None else replace(found, written=False)

    def find(self, uid: str, kind: ItemKind) -> PlacedItem | None:
        """The item as it lies there now, wherever its owner moved it."""
        _require_own(uid)
        lies = self._lies(uid, kind)
        return lies[1] if lies else None

    def remove(self, placed: PlacedItem) -> bool:
        """Remove it if it is still ours and as it was looked at."""
        _require_own(placed.uid)
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
        start=event.start if dated else None,
        end=event.end if dated else None,
        done=event.status is EventStatus.CANCELLED,
        ours=not event.attendees and event.organizer is None,
    )


def _gone(item: OwnItem) -> PlacedItem:
    """Its owner deleted what we wanted to change."""
    return PlacedItem(calendar="", ref="", revision="", uid=item.uid, kind=item.kind, done=True, written=False)


def _require_own(uid: str) -> None:
    if not is_own_uid(uid):
        raise ValueError(f"{uid!r} is not the UID of an item of ours: it has to begin with {OWN_UID!r}")


# -- the position


def _hash(version: str) -> str:
    return hashlib.blake2b(version.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def _forget(position: _Position, folders: Sequence[Folder], harvest: _Harvest) -> None:
    """Calendars that are no longer read: their objects are gone from our sight."""
    for key in position.places.keys() - {folder.key for folder in folders}:
        place = position.places.pop(key)
        harvest.removed += [(place.name, ref) for ref in place.known]


def _batch(harvest: _Harvest, cursor: Cursor, *, more: bool, calendars: Sequence[str]) -> CalendarBatch:
    return CalendarBatch(
        events=tuple(harvest.events),
        read=tuple(harvest.read),
        unreadable=tuple(harvest.unreadable),
        removed=tuple(harvest.removed),
        cursor=cursor,
        more=more,
        calendars=tuple(calendars),
    )


def _load(cursor: Cursor | None, account: str, window: Window) -> _Position:
    """The saved position; for another window than before, with everything known to be read anew."""
    edges = window.start.timestamp(), window.end.timestamp()
    if cursor is None:
        return _Position(edges)
    try:
        data = json.loads(cursor)
        if data["v"] != _VERSION or data["kind"] != "calendars":
            raise ValueError("another version")
        position = _Position((data["window"][0], data["window"][1]), dict(_places(data["calendars"])))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CursorExpired(
            account, "the saved position cannot be read", hint="nothing to do: the calendars are read again"
        ) from error
    if position.window != edges:
        position.window = edges
        for place in position.places.values():
            place.due = sorted({*place.due, *place.known})
    return position


def _places(saved: Mapping[str, Any]) -> Iterator[tuple[str, _Place]]:
    for key, (name, token, known, due) in saved.items():
        yield key, _Place(str(name), str(token), {str(ref): str(tag) for ref, tag in known.items()}, list(due))


def _save(position: _Position) -> Cursor:
    calendars = {key: [one.name, one.token, one.known, one.due] for key, one in sorted(position.places.items())}
    data = {"v": _VERSION, "kind": "calendars", "window": position.window, "calendars": calendars}
    return Cursor(json.dumps(data, separators=(",", ":")))
