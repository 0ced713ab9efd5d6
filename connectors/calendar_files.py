"""Calendars as files: a folder of .ics files with a sub-folder for each further calendar (the layout of vdirsyncer,
Radicale's exports and most programs), or one exported .ics file.

Items of ours are files of their own, put there in one step. A file in which anything else lies is never written.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from connectors.calendar_objects import Changes, Folder
from connectors.calendar_shelf import Loaded, ShelfCalendarDesk, ShelfCalendarSource
from connectors.calendars import ItemKind
from connectors.errors import Misconfigured, Unavailable
from connectors.ical.splitting import take_apart
from connectors.ical.writing import is_own_uid
from connectors.protocols import CalendarParser

__all__ = ["CalendarFiles", "FileCalendarDesk", "FileCalendarSettings", "FileCalendarSource"]

_LARGEST = 32 << 20
_SUFFIX = ".ics"
_CUT = "it ends in the middle"
_SETTLED = 2_000_000_000
"""Nanoseconds after which the time stamp of a file can be trusted: before, it may change within one tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCalendarSettings:
    """What is read. `single`: `path` is one exported file; only a folder takes items of ours."""

    account: str
    path: Path
    single: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    reminders: str = ""
    tasks: str = ""
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file as it was read: ref -> (UID, version) of what lies in it; `trouble` if it cannot be read."""

    path: Path
    objects: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    trouble: str = ""

    @property
    def within(self) -> str:
        """What the names of objects begin with of which this file holds several."""
        return f"{_name(self.path)}#"


_Kept = dict[Path, tuple[tuple[int, int, int], _File]]


class CalendarFiles:
    """A `WritableShelf` on files. The version of an object is the hash of its bytes."""

    def __init__(self, settings: FileCalendarSettings) -> None:
        self._settings = settings
        self._kept: dict[str, _Kept] = {}

    def check(self) -> tuple[str, ...]:
        """Look into the files; says what is read and which names of the settings fit nothing."""
        every, read = self._every(), self.folders()
        findings = [f"reads {len(read)} of {len(every)} calendars: {', '.join(one.name for one in read) or 'none'}"]
        known = {one.name.lower() for one in every}
        named = (*self._settings.only, *self._settings.skip, self._settings.tasks)
        findings += [f"no calendar is called {name!r}" for name in named if name and name.lower() not in known]
        return tuple(findings)

    def folders(self) -> list[Folder]:
        """The calendars, as the settings choose among them."""
        only = {name.lower() for name in self._settings.only}
        skip = {name.lower() for name in self._settings.skip}
        return [one for one in self._every() if (not only or one.name.lower() in only) and one.name.lower() not in skip]

    def changes(self, folder: Folder, token: str) -> Changes:
        """All there is, by hash: files tell of nothing. What lay in a file that cannot be read may lie there still."""
        files = self._files(folder)
        found = {ref: version for one in files for ref, (_, version) in one.objects.items()}
        unclear = tuple(one.within for one in files if one.trouble)
        return Changes(token="", changed=found, complete=True, unclear=unclear)

    def load(self, folder: Folder, refs: Sequence[str]) -> Mapping[str, Loaded]:
        """Those that are there."""
        wanted = set(refs)
        found: dict[str, Loaded] = {}
        for file in self._files(folder):
            mine = wanted & file.objects.keys()
            if file.trouble:
                mine |= {ref for ref in wanted if ref.startswith(file.within)}
            if mine:
                found |= self._load(file, mine)
        return found

    def home(self, kind: ItemKind) -> Folder:
        """The calendar of the settings, else the first that is read. Raises Misconfigured for a single file."""
        account, path = self._settings.account, self._settings.path
        if self._settings.single:
            message = f"{path.name} is an export: reminders are not laid there"
            raise Misconfigured(account, message, hint="nothing to do: they come as mail; or use type: folder")
        name = self._settings.tasks if kind is ItemKind.TASK else self._settings.reminders
        for one in self._every() if name else self.folders() or self._every():
            if not name or one.name.lower() == name.lower():
                return one
        raise Misconfigured(account, f"no calendar is called {name!r}", hint=f"make the folder {path / name}")

    def locate(self, uid: str, kind: ItemKind) -> tuple[Folder, str] | None:
        """By the UIDs in all files."""
        for folder in self._every():
            for file in self._files(folder):
                for ref, (mine, _) in file.objects.items():
                    if mine == uid:
                        return folder, ref
        return None

    def write(self, folder: Folder, ref: str, data: bytes, version: str) -> str | None:
        """In one step: a new file takes no other's place, a changed one replaces what was looked at."""
        path = self._directory(folder) / ref
        if version and not self._is_ours(path, version):
            return None
        beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if version:
                beside.replace(path)
            else:
                path.hardlink_to(beside)
        except FileExistsError:
            return None
        except OSError as error:
            raise self._failed(path, error) from error
        finally:
            beside.unlink(missing_ok=True)
        return _hash(data)

    def delete(self, folder: Folder, ref: str, version: str) -> bool:
        """Remove the file if it is ours alone, and as it was looked at."""
        path = self._directory(folder) / ref
        try:
            if not any(ref in file.objects for file in self._files(folder)):
                return True
            if not self._is_ours(path, version):
                return False
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(path, error) from error
        return True

    def close(self) -> None:
        """Nothing is held open."""

    # -- calendars

    def _every(self) -> list[Folder]:
        root = self._settings.path
        if self._settings.single:
            return [Folder(".", root.stem)]
        if not root.is_dir():
            raise Misconfigured(
                self._settings.account, f"{root} is not a folder", hint="correct `path:` of this calendar"
            )
        try:
            inside = [one for one in sorted(root.iterdir()) if not one.name.startswith(".")]
            below = [Folder(one.name, _name(one)) for one in inside if one.is_dir()]
        except OSError as error:
            raise self._failed(root, error) from error
        own = not below or any(one.suffix.lower() == _SUFFIX for one in inside)
        return [*([Folder(".", root.name)] if own else []), *below]

    def _directory(self, folder: Folder) -> Path:
        return self._settings.path / folder.key

    # -- files

    def _files(self, folder: Folder) -> list[_File]:
        was = self._kept.get(folder.key, {})
        kept = self._kept[folder.key] = {}
        if self._settings.single:
            return [self._export(was, kept)]
        try:
            inside = sorted(self._directory(folder).iterdir())
        except OSError as error:
            raise self._failed(self._directory(folder), error) from error
        wanted = [one for one in inside if one.suffix.lower() == _SUFFIX and not one.name.startswith(".")]
        return [_look(path, was, kept, export=False) for path in wanted if path.is_file()]

    def _export(self, was: _Kept, kept: _Kept) -> _File:
        """The one file. What is being written, or was copied in part, is no reason to take meetings for gone."""
        path = self._settings.path
        found = _look(path, was, kept, export=True) if path.is_file() else _File(path=path, trouble="it is not there")
        if found.trouble:
            raise Unavailable(
                self._settings.account,
                f"{path}: {found.trouble}",
                hint="export the calendar again, or correct `path:` of this calendar",
            )
        return found

    def _load(self, file: _File, refs: set[str]) -> dict[str, Loaded]:
        try:
            data = b"" if file.trouble else file.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            return _unread(replace(file, trouble=_unreadable(error)), refs)
        pieces = take_apart(data)
        if file.trouble or not pieces.closed:
            return _unread(replace(file, trouble=file.trouble or _CUT), refs)
        name = _name(file.path)
        if name in refs:
            return {name: Loaded(data=data, version=_hash(data))}
        there = {ref: file.objects[ref][0] for ref in refs if file.objects[ref][0] in pieces.by_uid}
        objects = {ref: pieces.object_of(uid) for ref, uid in there.items()}
        return {ref: Loaded(data=one, version=_hash(one)) for ref, one in objects.items()}

    def _is_ours(self, path: Path, version: str) -> bool:
        """Whether nothing but an item of ours lies in the file, in this version."""
        if not path.is_file():
            return False
        found = _read(path, path.stat().st_size, export=False)
        return all(is_own_uid(uid) and seen == version for uid, seen in found.objects.values())

    def _failed(self, path: Path, error: OSError) -> Unavailable:
        return Unavailable(
            self._settings.account, f"{path}: {error.strerror}", hint="check its permissions, the disk, and the share"
        )


def _look(path: Path, was: _Kept, kept: _Kept, *, export: bool) -> _File:
    """What lies in a file, read again only when it has changed."""
    looked_at = time.time_ns()
    try:
        state = path.stat()
        mark = (state.st_mtime_ns, state.st_size, state.st_ino)
        before = was.get(path)
        found = before[1] if before and before[0] == mark else _read(path, state.st_size, export=export)
    except OSError as error:
        return _broken(path, _unreadable(error))
    if mark[0] < looked_at - _SETTLED:
        kept[path] = mark, found
    return found


def _read(path: Path, size: int, *, export: bool) -> _File:
    """A file with one UID is an object itself; one with more, or an export, holds its objects. Raises OSError."""
    if size > _LARGEST:
        return _broken(path, f"it has more than {_LARGEST >> 20} MB")
    data = path.read_bytes()
    pieces = take_apart(data)
    several = export or len(pieces.by_uid) > 1
    if not pieces.closed:
        return _broken(path, _CUT, uid="" if several else next(iter(pieces.by_uid), ""))
    name = _name(path)
    if several:
        objects = {f"{name}#{_hash(uid.encode())}": (uid, _hash(pieces.object_of(uid))) for uid in pieces.by_uid}
    else:
        objects = {name: (next(iter(pieces.by_uid), ""), _hash(data))}
    return _File(path=path, objects=objects)


def _broken(path: Path, trouble: str, uid: str = "") -> _File:
    return _File(path=path, objects={_name(path): (uid, _hash(trouble.encode()))}, trouble=trouble)


def _unread(file: _File, refs: set[str]) -> dict[str, Loaded]:
    """Why these objects of the file cannot be read; in no version, where the file no longer names them."""
    return {ref: Loaded(version=file.objects.get(ref, ("", ""))[1], trouble=file.trouble) for ref in refs}


def _unreadable(error: OSError) -> str:
    return f"it cannot be read: {error.strerror}"


def _name(path: Path) -> str:
    """The file's name as text that can be stored, whatever its bytes are."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _hash(data: bytes) -> str:
    return blake2b(data, digest_size=12).hexdigest()


class FileCalendarSource(ShelfCalendarSource):
    """A `CalendarSource` on files."""

    def __init__(self, settings: FileCalendarSettings, parser: CalendarParser) -> None:
        super().__init__(settings.account, CalendarFiles(settings), parser, zone=settings.zone)


class FileCalendarDesk(ShelfCalendarDesk):
    """A `CalendarDesk` on files."""

    def __init__(self, settings: FileCalendarSettings, parser: CalendarParser) -> None:
        super().__init__(settings.account, CalendarFiles(settings), parser, zone=settings.zone)
        self._single = settings.single

    def check(self) -> tuple[str, ...]:
        """Say where items go; an export takes none, and that is no fault."""
        return ("an export is only read: reminders come as mail",) if self._single else super().check()
