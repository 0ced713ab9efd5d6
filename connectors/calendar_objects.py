"""Calendars whose objects are listed and read one by one: the source over them.

A `CalendarObjects` says what changed and reads, here it is decided what is new. The position keeps, of every object,
its name and a hash of its version; so what changed and what is gone is known even when the server has forgotten our
token, and nothing is ever taken for deleted because a listing came short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix
from typing import Any, Protocol

from connectors.calendars import CalendarBatch, CalendarEvent, Window
from connectors.errors import CursorExpired
from connectors.model import Cursor, Unreadable

__all__ = ["CalendarObjects", "Changes", "Folder", "ObjectCalendarSource", "ObjectReading"]

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
    unclear    ... unless its name begins with one of these: where they lie could not be looked at
    """

    token: str
    changed: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    complete: bool = False
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectReading:
    """One object as it was read: its occurrences in the window, and what of it could not be read."""

    version: str
    events: Sequence[CalendarEvent] = ()
    unreadable: Sequence[Unreadable] = ()


class CalendarObjects(Protocol):
    """Calendars and the objects in them. Reading never changes anything there. All raise ConnectorError."""

    def check(self) -> tuple[str, ...]:
        """Connect; findings, one plain sentence each."""
        ...

    def folders(self) -> Sequence[Folder]:
        """The calendars that are read."""
        ...

    def changes(self, folder: Folder, token: str) -> Changes:
        """What changed since `token` ("" = the beginning). A token that is no longer good is answered completely."""
        ...

    def read(self, folder: Folder, refs: Sequence[str], window: Window) -> Mapping[str, ObjectReading]:
        """These objects as they are now; those that are gone are left out."""
        ...

    def close(self) -> None:
        """Let go of connections."""
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
    """`renewed`: it was for another window, so everything known is due."""

    window: tuple[float, float]
    places: dict[str, _Place] = field(default_factory=dict)
    renewed: bool = False


@dataclass(slots=True)
class _Harvest:
    read: list[tuple[str, str]] = field(default_factory=list)
    removed: list[tuple[str, str]] = field(default_factory=list)
    events: list[CalendarEvent] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)


class ObjectCalendarSource:
    """A `CalendarSource` and `EventRereader` over the objects of calendars."""

    def __init__(self, account: str, objects: CalendarObjects) -> None:
        self._account, self._objects = account, objects

    @property
    def account(self) -> str:
        """The account's name in quietcrm.yaml."""
        return self._account

    def check(self) -> tuple[str, ...]:
        """Connect and list the calendars."""
        return self._objects.check()

    def fetch(self, cursor: Cursor | None, window: Window, *, limit: int) -> CalendarBatch:
        """Read up to `limit` objects that are new or changed."""
        position = _load(cursor, self._account, window)
        harvest = _Harvest()
        folders = self._objects.folders()
        _forget(position, folders, harvest)
        left, more = max(1, limit), False
        for folder in folders:
            place = position.places.setdefault(folder.key, _Place(folder.name))
            place.name = folder.name
            if position.renewed or not place.due:
                self._look(folder, place, harvest)
            some, place.due = place.due[:left], place.due[left:]
            left -= len(some)
            more |= bool(place.due)
            self._read(folder, place, some, window, harvest)
        return _batch(harvest, _save(position), more=more, calendars=[folder.name for folder in folders])

    def reread(self, places: Sequence[tuple[str, str]], window: Window) -> CalendarBatch:
        """Read the objects at (calendar, ref) once more."""
        harvest = _Harvest()
        folders = self._objects.folders()
        for folder in folders:
            refs = [ref for name, ref in places if name == folder.name]
            known = _Place(folder.name, known=dict.fromkeys(refs, ""))
            self._read(folder, known, refs, window, harvest)
        names = [folder.name for folder in folders]
        harvest.removed += [place for place in places if place[0] not in names]
        return _batch(harvest, Cursor(""), more=False, calendars=names)

    def close(self) -> None:
        """Let go of connections."""
        self._objects.close()

    def _look(self, folder: Folder, place: _Place, harvest: _Harvest) -> None:
        """Ask what changed and put it down to be read."""
        changes = self._objects.changes(folder, place.token)
        if not changes.complete and any(_is_known(place, *one) for one in changes.changed.items()):
            # Nothing new about it: a server that took a token it had lost for the beginning tells of nothing removed.
            changes = self._objects.changes(folder, "")
        place.token = changes.token
        gone = [ref for ref in changes.removed if ref in place.known]
        if changes.complete:
            gone += [ref for ref in place.known if ref not in changes.changed and not ref.startswith(changes.unclear)]
        for ref in dict.fromkeys(gone):
            del place.known[ref]
            harvest.removed.append((folder.name, ref))
        fresh = {ref for ref, version in changes.changed.items() if not _is_known(place, ref, version)}
        place.due = sorted(fresh.union(place.due).difference(gone))

    def _read(self, folder: Folder, place: _Place, refs: Sequence[str], window: Window, harvest: _Harvest) -> None:
        readings = self._objects.read(folder, refs, window) if refs else {}
        for ref in refs:
            reading = readings.get(ref)
            if reading is None:
                if place.known.pop(ref, None) is not None:
                    harvest.removed.append((folder.name, ref))
                continue
            place.known[ref] = _hash(reading.version)
            if not reading.unreadable:
                harvest.read.append((folder.name, ref))
            harvest.events += reading.events
            harvest.unreadable += reading.unreadable


# -- the position


def _is_known(place: _Place, ref: str, version: str) -> bool:
    return bool(version) and place.known.get(ref) == _hash(version)


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
        position.window, position.renewed = edges, True
        for place in position.places.values():
            place.due = sorted({*place.due, *place.known})
    return position


def _places(saved: Mapping[str, Any]) -> Iterator[tuple[str, _Place]]:
    for key, (name, token, known, due, *shared) in saved.items():
        start = "".join(shared)
        known = {start + ref: str(tag) for ref, tag in known.items()}
        yield key, _Place(str(name), str(token), known, [start + ref for ref in due])


def _save(position: _Position) -> Cursor:
    calendars = {key: _packed(one) for key, one in sorted(position.places.items())}
    data = {"v": _VERSION, "kind": "calendars", "window": position.window, "calendars": calendars}
    return Cursor(json.dumps(data, separators=(",", ":")))


def _packed(place: _Place) -> list[Any]:
    """What all names begin with is kept once: of an id on Exchange that is most of it."""
    start = commonprefix([*place.known, *place.due])  # noqa: RUF071 - names, no paths
    size = len(start)
    known = {ref[size:]: tag for ref, tag in place.known.items()}
    return [place.name, place.token, known, [ref[size:] for ref in place.due], start]
