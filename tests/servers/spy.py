"""Watches, through the whole suite, what quietcrm lets out: no invitation and no cancellation to anybody, and no write
to an item of a calendar that is not its own.

Mail is looked at where it is put on the wire by SMTP, where every outgoing mail is rendered, and where the SMTP sink
takes it, also from a daemon in another process. Calendars in files, in memory and on CalDAV servers are watched
where we write; those of Microsoft 365 and Exchange where the test servers carry it out. `conftest` fails the
test in which something was seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from connectors import outgoing
from connectors.caldav.wire import Answer, Wire
from connectors.calendar_files import CalendarFiles
from connectors.calendar_objects import Folder
from connectors.calendar_shelf import WritableShelf
from connectors.calendars import OWN_UID
from connectors.memory_calendars import MemoryCalendars
from connectors.smtp.line import Line

__all__ = ["expected", "found", "install", "look_at_mail", "wrote"]

found: list[str] = []
"""What should not have happened, in this test."""
_READING = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"})
_SCHEDULING = re.compile(
    rb"^content-type:\s*text/calendar\b|^begin:vcalendar\b|^method:(request|cancel|reply|counter|add|publish)\b",
    re.IGNORECASE | re.MULTILINE,
)
_UIDS = re.compile(rb"^UID:(.*?)\s*$", re.MULTILINE)
_PEOPLE = re.compile(rb"^(ATTENDEE|ORGANIZER|METHOD)\b.*$", re.MULTILINE)


def wrote(where: str, *, ours: bool, people: Iterable[str] = ()) -> None:
    """A calendar carried out a write. `ours`: the item has our mark; `people`: who would hear of it."""
    if not ours:
        found.append(f"{where}: written to an item that is not ours")
    if invited := list(people):
        found.append(f"{where}: {', '.join(invited)} would hear of it")


def look_at_mail(raw: bytes, where: str) -> None:
    """A mail of ours on its way to somebody."""
    if seen := _SCHEDULING.search(raw):
        found.append(f"{where}: a mail with {seen[0].decode()}")


@contextmanager
def expected() -> Iterator[list[str]]:
    """For tests of the spy itself: what was seen inside, and is forgotten behind."""
    before = list(found)
    seen: list[str] = []
    yield seen
    seen += found[len(before) :]
    found[:] = before


def install() -> None:
    """Watch this process. Before any module that takes `render` by name."""
    Wire._once = _watched_wire(Wire._once)  # type: ignore[method-assign]
    Line.send = _watched_line(Line.send)  # type: ignore[method-assign]
    outgoing.render = _watched_render(outgoing.render)
    for shelf in (MemoryCalendars, CalendarFiles):
        shelf.write = _watched_write(shelf.write)  # type: ignore[method-assign]
        shelf.delete = _watched_delete(shelf.delete)  # type: ignore[method-assign]


def _watched_wire(once: Callable[..., Answer]) -> Callable[..., Answer]:
    def watched(self: Wire, method: str, url: str, body: bytes, headers: Any) -> Answer:
        if method not in _READING:
            _look_at_request(method, url, body, headers)
            # What lies there now has to be ours too, whatever its address says. A refused look says nothing.
            there = once(self, "GET", url, b"", {}) if not url.rpartition("/")[2].startswith(OWN_UID) else None
            if there is not None and there.status == 200:
                _look_at_item(f"{method} {url}, before", there.body)
        return once(self, method, url, body, headers)

    return watched


def _look_at_request(method: str, url: str, body: bytes, headers: Any) -> None:
    if method not in ("PUT", "DELETE"):
        found.append(f"{method} {url}: neither lays nor removes an item")
    if not {"If-Match", "If-None-Match"} & set(headers):
        found.append(f"{method} {url}: whatever lies there")
    if method == "PUT":
        _look_at_item(f"PUT {url}", body)


def _look_at_item(where: str, data: bytes) -> None:
    uids, people = _UIDS.findall(data), [one[0] for one in _PEOPLE.finditer(data)]
    ours = bool(uids) and all(uid.startswith(OWN_UID.encode()) for uid in uids)
    wrote(where, ours=ours, people=[one.decode("utf-8", "replace") for one in people])


def _watched_write(write: Callable[..., str | None]) -> Callable[..., str | None]:
    def watched(self: WritableShelf, folder: Folder, ref: str, data: bytes, version: str) -> str | None:
        _look_at_item(f"written to {folder.name}/{ref}", data)
        _look_at_shelf(self, folder, ref, version)
        return write(self, folder, ref, data, version)

    return watched


def _watched_delete(delete: Callable[..., bool]) -> Callable[..., bool]:
    def watched(self: WritableShelf, folder: Folder, ref: str, version: str) -> bool:
        _look_at_shelf(self, folder, ref, version)
        return delete(self, folder, ref, version)

    return watched


def _look_at_shelf(shelf: WritableShelf, folder: Folder, ref: str, version: str) -> None:
    """What lies there, if it is what is to be written over."""
    there = shelf.load(folder, [ref]).get(ref)
    if there is not None and there.version == version:
        _look_at_item(f"written over {folder.name}/{ref}", there.data)


def _watched_line(send: Callable[..., None]) -> Callable[..., None]:
    def watched(self: Line, data: bytes) -> None:
        look_at_mail(data, "SMTP")
        send(self, data)

    return watched


def _watched_render(render: Callable[..., bytes]) -> Callable[..., bytes]:
    def watched(*args: Any, **named: Any) -> bytes:
        raw = render(*args, **named)
        look_at_mail(raw, "rendered")
        return raw

    return watched
