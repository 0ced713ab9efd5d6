"""Our own items as iCalendar objects: no attendee, no organizer, so that there is nobody to invite (RFC 5545)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from connectors.calendars import OWN_CATEGORY, OWN_UID, ItemKind, OwnItem, When

__all__ = ["is_own_uid", "render_item"]

_UID = re.compile(re.escape(OWN_UID) + r"[A-Za-z0-9._-]{1,100}")
_ESCAPED = {"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n"}
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f\u2028\u2029]")


def is_own_uid(uid: str) -> bool:
    """Whether an item with this UID may be ours: our beginning, and nothing that could become a path."""
    return _UID.fullmatch(uid) is not None


def render_item(item: OwnItem, now: datetime) -> bytes:
    """The object to lay into a calendar. Times go out in UTC: one meeting in one place needs no zone."""
    name = "VTODO" if item.kind is ItemKind.TASK else "VEVENT"
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//quietcrm//quietcrm//EN",
        f"BEGIN:{name}",
        f"UID:{item.uid}",
        f"DTSTAMP:{_utc(now)}",
        f"SEQUENCE:{item.sequence}",
        *_times(item),
        f"SUMMARY:{_text(item.summary)}",
        *([f"DESCRIPTION:{_text(item.text)}"] if item.text else ()),
        f"CATEGORIES:{OWN_CATEGORY}",
        *_state(item, now),
        *_alarm(item),
        f"END:{name}",
        "END:VCALENDAR",
    ]
    return "".join(piece + "\r\n" for line in lines for piece in _fold(line)).encode()


def _times(item: OwnItem) -> Iterator[str]:
    if item.start is None:
        return
    if item.kind is ItemKind.TASK:
        yield _stamp("DUE", item.start)
        return
    yield _stamp("DTSTART", item.start)
    if item.end is not None and item.end != item.start:
        yield _stamp("DTEND", item.end)


def _state(item: OwnItem, now: datetime) -> Iterator[str]:
    if item.kind is ItemKind.EVENT:
        yield "TRANSP:TRANSPARENT"  # a reminder keeps nobody from being invited at that time
    elif item.done:
        yield from ("STATUS:COMPLETED", "PERCENT-COMPLETE:100", f"COMPLETED:{_utc(now)}")
    else:
        yield "STATUS:NEEDS-ACTION"


def _alarm(item: OwnItem) -> Iterator[str]:
    if item.alarm is None or item.start is None or item.done:
        return
    related = ";RELATED=END" if item.kind is ItemKind.TASK else ""
    yield "BEGIN:VALARM"
    yield "ACTION:DISPLAY"
    yield f"DESCRIPTION:{_text(item.summary)}"
    yield f"TRIGGER{related}:{_before(item.alarm)}"
    yield "END:VALARM"


def _before(length: timedelta) -> str:
    seconds = max(int(length.total_seconds()), 0)
    return f"-PT{seconds // 60}M" if seconds else "PT0S"


def _stamp(name: str, when: When) -> str:
    return f"{name}:{_utc(when)}" if isinstance(when, datetime) else f"{name};VALUE=DATE:{_day(when)}"


def _utc(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _day(when: date) -> str:
    return when.strftime("%Y%m%d")


def _text(value: str) -> str:
    plain = _CONTROLS.sub(" ", value.replace("\r\n", "\n").replace("\r", "\n"))
    return re.sub(r"[\\;,\n]", lambda found: _ESCAPED[found[0]], plain)


def _fold(line: str) -> Iterator[str]:
    """At most 75 bytes a line, no character torn (RFC 5545 3.1)."""
    piece = ""
    size = 0
    for character in line:
        width = len(character.encode())
        if size + width > 75:
            yield piece
            piece, size = " ", 1
        piece += character
        size += width
    yield piece
