"""Calendars on a CalDAV server as a shelf: what changed (RFC 6578, or by ctag and etags), what is there, and items of
ours, written only where nobody was quicker (If-Match)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urljoin

from connectors.caldav.discovery import Calendar, discover
from connectors.caldav.settings import CaldavSettings
from connectors.caldav.wire import Wire
from connectors.caldav.xml import CALDAV, CALENDARSERVER, DAV, Multistatus, calendar_query, multiget, propfind, sync
from connectors.calendar_objects import Changes, Folder
from connectors.calendar_shelf import Loaded
from connectors.calendars import ItemKind
from connectors.errors import Misconfigured, ProtocolViolation

__all__ = ["CaldavShelf"]

_AT_ONCE = 50
_PAGES = 1_000
_LARGEST = 1_000_000
_SYNC, _CTAG = "sync:", "ctag:"
_ETAG, _DATA = f"{DAV}getetag", f"{CALDAV}calendar-data"
_COMPONENTS = {ItemKind.EVENT: "VEVENT", ItemKind.TASK: "VTODO"}
_ICALENDAR = {"Content-Type": "text/calendar; charset=utf-8"}


class CaldavShelf:
    """A `WritableShelf` on the calendars of one login."""

    def __init__(self, settings: CaldavSettings) -> None:
        self._settings = settings
        self._wire = Wire(settings)
        self._calendars: dict[str, Calendar] = {}

    def check(self) -> tuple[str, ...]:
        """Log in and list the calendars; says what is read and which names of the settings fit nothing. A wrong
        name for reminders is told by whoever lays them."""
        self._calendars = {}
        read, every = self.folders(), list(self._known().values())
        names = [folder.name for folder in read]
        findings = [f"reads {len(read)} of {len(every)} calendars: {', '.join(names) or 'none'}"]
        known = {one.name.lower() for one in every}
        wanted = (*self._settings.only, *self._settings.skip, self._settings.tasks)
        findings += [f"no calendar is called {name!r}" for name in wanted if name and name.lower() not in known]
        if every and not any(one.syncs for one in every):
            findings.append("the server does not tell what changed (no sync-collection): it is compared each time")
        return tuple(findings)

    def folders(self) -> list[Folder]:
        """Calendars that hold events, as the settings choose among them."""
        found = self._known().values()
        return [Folder(one.path, one.name) for one in found if "VEVENT" in one.kinds and self._is_wanted(one.name)]

    def changes(self, folder: Folder, token: str) -> Changes:
        """By sync-collection where the server has it."""
        calendar = self._calendar(folder)
        if calendar.syncs:
            changes = self._sync(calendar, token.removeprefix(_SYNC) if token.startswith(_SYNC) else "")
            if changes is not None:
                return changes
        return self._compare(calendar, token)

    def load(self, folder: Folder, refs: Sequence[str]) -> Mapping[str, Loaded]:
        """By multiget, 50 at a time; one by one where the server fails on a group."""
        calendar = self._calendar(folder)
        found: dict[str, Loaded] = {}
        for start in range(0, len(refs), _AT_ONCE):
            group = refs[start : start + _AT_ONCE]
            found |= self._multiget(calendar, group)
        return found

    def close(self) -> None:
        """Close the line; the calendars are looked up again when it opens."""
        self._wire.close()
        self._calendars = {}

    def home(self, kind: ItemKind) -> Folder:
        """The calendar of the settings, else the first that takes items of this kind, of those that are read if any
        does: in which order a server lists them means nothing."""
        found = self._home(kind)
        if found is not None:
            return found
        name = self._name_of_home(kind)
        what = "tasks" if kind is ItemKind.TASK else "reminders"
        message = f"no calendar called {name!r} takes {what}" if name else f"no calendar takes {what}"
        raise Misconfigured(
            self._settings.account, message, hint=f"make one in your calendar program, or correct {what}: in calendars:"
        )

    def locate(self, uid: str, kind: ItemKind) -> tuple[Folder, str] | None:
        """Where we laid it, or wherever its owner moved it: also where no calendar has the name of the settings now."""
        home, ref = self._home(kind), f"{uid}.ics"
        if home and self._wire.ask("GET", self._url(home, ref)).status == 200:  # HEAD breaks the line to Xandikos
            return home, ref
        for one in self._takers(kind):
            answer = self._wire.ask("REPORT", one.url, calendar_query(_COMPONENTS[kind], uid), depth="1")
            if answer.status == 207:
                for ref, _ in self._members(one, self._wire.read(answer)):
                    return Folder(one.path, one.name), ref
        return None

    def write(self, folder: Folder, ref: str, data: bytes, version: str) -> str | None:
        """PUT with a condition."""
        condition = {"If-Match": version} if version else {"If-None-Match": "*"}
        answer = self._wire.ask("PUT", self._url(folder, ref), data, headers={**_ICALENDAR, **condition})
        if answer.status in (409, 412):
            return None
        if answer.status not in (200, 201, 204):
            raise self._wire.refusal(answer)
        return answer.etag

    def delete(self, folder: Folder, ref: str, version: str) -> bool:
        """DELETE with a condition. `Schedule-Reply: F` (RFC 6638 8.1): nobody is told, whatever lies there."""
        headers = {"If-Match": version, "Schedule-Reply": "F"}
        answer = self._wire.ask("DELETE", self._url(folder, ref), headers=headers)
        if answer.status in (409, 412):
            return False
        if answer.status not in (200, 202, 204, 404, 410):
            raise self._wire.refusal(answer)
        return True

    # -- calendars

    def _known(self) -> dict[str, Calendar]:
        if not self._calendars:
            self._calendars = {one.path: one for one in discover(self._wire, self._settings)}
        return self._calendars

    def _calendar(self, folder: Folder) -> Calendar:
        found = self._known().get(folder.key)
        if found is None:
            raise Misconfigured(
                self._settings.account, f"the calendar {folder.name} is gone", hint="nothing to do: it is left out now"
            )
        return found

    def _is_wanted(self, name: str) -> bool:
        only, skip = self._settings.only, self._settings.skip
        return (not only or _is_named(name, only)) and not _is_named(name, skip)

    def _takers(self, kind: ItemKind) -> list[Calendar]:
        return [one for one in self._known().values() if _COMPONENTS[kind] in one.kinds and one.writable]

    def _home(self, kind: ItemKind) -> Folder | None:
        name = self._name_of_home(kind)
        for one in sorted(self._takers(kind), key=lambda one: not self._is_wanted(one.name)):
            if not name or one.name.lower() == name.lower():
                return Folder(one.path, one.name)
        return None

    def _name_of_home(self, kind: ItemKind) -> str:
        return self._settings.tasks if kind is ItemKind.TASK else self._settings.reminders

    def _url(self, folder: Folder, ref: str) -> str:
        return urljoin(self._calendar(folder).url, ref)

    # -- changes

    def _sync(self, calendar: Calendar, token: str) -> Changes | None:
        """All pages since a token. None if the server cannot answer that after all."""
        changed: dict[str, str] = {}
        removed: list[str] = []
        at, complete = token, not token
        for _ in range(_PAGES):
            answer = self._wire.ask("REPORT", calendar.url, sync(at), depth="0")
            if answer.status != 207:
                # It has lost the token (RFC 6578 3.2, valid-sync-token): all from the start. Or it does not do this.
                return self._sync(calendar, "") if token else None
            page = self._wire.read(answer)
            for ref, etag in self._members(calendar, page):
                changed[ref] = etag
            removed += self._gone(calendar, page)
            truncated = any(one.status == 507 for one in page.responses)
            if not page.sync_token or (truncated and page.sync_token == at):
                raise ProtocolViolation(
                    self._settings.account, f"{self._wire.where} does not come to an end", hint="nothing to do for now"
                )
            at = page.sync_token
            if not truncated:
                gone = [ref for ref in dict.fromkeys(removed) if ref not in changed]
                return Changes(token=_SYNC + at, changed=changed, removed=gone, complete=complete)
        raise ProtocolViolation(self._settings.account, f"{self._wire.where} lists without end", hint="tell the admin")

    def _compare(self, calendar: Calendar, token: str) -> Changes:
        """By the calendar's tag, and where that changed by the tags of all its objects."""
        found = self._wire.multistatus("PROPFIND", calendar.url, propfind("cs:getctag")).responses
        ctag = found[0].text(f"{CALENDARSERVER}getctag") if found else ""
        if ctag and token == _CTAG + ctag:
            return Changes(token=token)
        asked = propfind("d:getetag", "d:resourcetype")
        listed = self._wire.multistatus("PROPFIND", calendar.url, asked, depth="1")
        return Changes(token=_CTAG + ctag, changed=dict(self._members(calendar, listed)), complete=True)

    def _members(self, calendar: Calendar, page: Multistatus) -> Iterator[tuple[str, str]]:
        """(ref, etag) of the objects in an answer."""
        for one in page.responses:
            ref = _ref(calendar, one.path)
            if ref and one.status == 200 and f"{DAV}collection" not in one.kinds(f"{DAV}resourcetype"):
                yield ref, one.text(_ETAG)

    def _gone(self, calendar: Calendar, page: Multistatus) -> list[str]:
        return [ref for one in page.responses if one.status in (404, 410) and (ref := _ref(calendar, one.path))]

    # -- objects

    def _multiget(self, calendar: Calendar, refs: Sequence[str]) -> dict[str, Loaded]:
        answer = self._wire.ask("REPORT", calendar.url, multiget(calendar.path + ref for ref in refs), depth="1")
        found: dict[str, Loaded] = {}
        gone: set[str] = set()
        if answer.status == 207:
            page = self._wire.read(answer)
            gone = set(self._gone(calendar, page))
            for one in page.responses:
                ref = _ref(calendar, one.path)
                if ref and _DATA in one.properties:
                    found[ref] = _loaded((one.properties[_DATA].text or "").encode(), one.text(_ETAG))
        for ref in refs:
            if ref not in found and ref not in gone and (loaded := self._get(calendar, ref)):
                found[ref] = loaded
        return found

    def _get(self, calendar: Calendar, ref: str) -> Loaded | None:
        answer = self._wire.ask("GET", urljoin(calendar.url, ref))
        if answer.status in (404, 410):
            return None
        if answer.status != 200:
            return Loaded(trouble=f"the server answers {answer.status} for it")
        return _loaded(answer.body, answer.etag)


def _ref(calendar: Calendar, path: str) -> str:
    """The name of an object in its calendar; "" for the calendar itself and for what lies elsewhere."""
    return path[len(calendar.path) :] if path.startswith(calendar.path) and not path.endswith("/") else ""


def _loaded(data: bytes, version: str) -> Loaded:
    if len(data) > _LARGEST:
        return Loaded(version=version, trouble=f"it has more than {_LARGEST // 1_000_000} MB")
    return Loaded(data=data, version=version)


def _is_named(name: str, names: Sequence[str]) -> bool:
    return name.lower() in {one.lower() for one in names}
