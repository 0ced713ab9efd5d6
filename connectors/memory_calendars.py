"""Calendars that live in the process: the reference for every other calendar source and desk."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.calendar_objects import Changes, Folder
from connectors.calendar_shelf import Loaded, ShelfCalendarDesk, ShelfCalendarSource
from connectors.calendars import ItemKind
from connectors.errors import Misconfigured
from connectors.protocols import CalendarParser

__all__ = ["MemoryCalendarDesk", "MemoryCalendarSource", "MemoryCalendars"]


@dataclass(slots=True)
class MemoryCalendars:
    """Calendars by name, each with its objects by ref. A `WritableShelf`, and what a calendar program does with it.

    forgets   answer every question for changes with everything there is, as servers do that have lost our token
    """

    calendars: dict[str, dict[str, Loaded]] = field(default_factory=lambda: {"Calendar": {}})
    forgets: bool = False
    _serial: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _log: list[tuple[str, str]] = field(default_factory=list)

    def put(self, ref: str, data: bytes, calendar: str = "Calendar") -> None:
        """Lay an object there, or change it."""
        version = str(next(self._serial))
        self.calendars.setdefault(calendar, {})[ref] = Loaded(data=data, version=version)
        self._log.append((calendar, ref))

    def remove(self, ref: str, calendar: str = "Calendar") -> None:
        """Take an object out; harmless if it is not there."""
        self.calendars.get(calendar, {}).pop(ref, None)
        self._log.append((calendar, ref))

    def check(self) -> tuple[str, ...]:
        """Nothing can be wrong with it."""
        return (f"reads {len(self.calendars)} calendars: {', '.join(self.calendars)}",)

    def folders(self) -> list[Folder]:
        """All calendars."""
        return [Folder(name, name) for name in self.calendars]

    def changes(self, folder: Folder, token: str) -> Changes:
        """By the log of what was done."""
        objects, now = self.calendars[folder.key], str(len(self._log))
        if not token.isdecimal() or self.forgets:
            versions = {ref: one.version for ref, one in objects.items()}
            return Changes(token=now, changed=versions, complete=True)
        touched = {ref for name, ref in self._log[int(token) :] if name == folder.key}
        changed = {ref: objects[ref].version for ref in touched if ref in objects}
        return Changes(token=now, changed=changed, removed=sorted(touched - changed.keys()))

    def load(self, folder: Folder, refs: Sequence[str]) -> Mapping[str, Loaded]:
        """Those that are there."""
        objects = self.calendars[folder.key]
        return {ref: objects[ref] for ref in refs if ref in objects}

    def home(self, kind: ItemKind) -> Folder:
        """The first calendar. Raises Misconfigured if there is none."""
        for folder in self.folders():
            return folder
        raise Misconfigured("memory", "there is no calendar", hint="add one")

    def locate(self, uid: str, kind: ItemKind) -> tuple[Folder, str] | None:
        """By a look at every object."""
        for folder in self.folders():
            for ref, one in self.calendars[folder.key].items():
                if f"UID:{uid}\r\n".encode() in one.data:
                    return folder, ref
        return None

    def write(self, folder: Folder, ref: str, data: bytes, version: str) -> str | None:
        """Write if it is at `version`."""
        there = self.calendars[folder.key].get(ref)
        if (there.version if there else "") != version:
            return None
        self.put(ref, data, folder.key)
        return self.calendars[folder.key][ref].version

    def delete(self, folder: Folder, ref: str, version: str) -> bool:
        """Delete if it is at `version`."""
        there = self.calendars[folder.key].get(ref)
        if there and there.version != version:
            return False
        self.remove(ref, folder.key)
        return True

    def close(self) -> None:
        """Nothing is held open."""


class MemoryCalendarSource(ShelfCalendarSource):
    """A `CalendarSource` on memory calendars."""

    def __init__(self, account: str, calendars: MemoryCalendars, parser: CalendarParser, *, zone: str = "UTC") -> None:
        super().__init__(account, calendars, parser, zone=zone)


class MemoryCalendarDesk(ShelfCalendarDesk):
    """A `CalendarDesk` on memory calendars."""

    def __init__(
        self,
        account: str,
        calendars: MemoryCalendars,
        parser: CalendarParser,
        *,
        zone: str = "UTC",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__(account, calendars, parser, zone=zone, clock=clock)
