"""A calendar file taken apart into one object per UID, as calendar servers keep them (RFC 4791 4.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from connectors.ical.lines import decode

__all__ = ["Pieces", "take_apart"]

_LINE_END = re.compile("\r\n|\n|\r")
_EDGES = frozenset({"BEGIN:VCALENDAR", "END:VCALENDAR"})
_ZONE = "BEGIN:VTIMEZONE"


@dataclass(slots=True)
class Pieces:
    """What a file holds.

    frame     lines that every object keeps: those of the calendar, its time zones
    by_uid    UID -> the lines of its components, in their order: events, tasks, diary entries and whatever else is
              no time zone; "" for those without one
    closed    the file goes on to its end (END:VCALENDAR, of the last calendar in it)
    """

    frame: list[str] = field(default_factory=list)
    by_uid: dict[str, list[str]] = field(default_factory=dict)
    closed: bool = False

    def object_of(self, uid: str) -> bytes:
        """The calendar with this UID alone."""
        return "".join(f"{line}\r\n" for line in (*self.frame, *self.by_uid[uid], "END:VCALENDAR")).encode()


def take_apart(data: bytes) -> Pieces:
    """Sort the components of a file by UID. Raises nothing; whether they can be read is the parser's business.

    Several calendars in one file count as one: their time zones are told apart by name anyway.
    """
    pieces = Pieces()
    for block in _blocks(_LINE_END.split(decode(data))):
        kind = _word(block[0])
        if kind in _EDGES:
            pieces.closed = kind == "END:VCALENDAR"
        if kind == "END:VCALENDAR":
            continue
        if kind.startswith("BEGIN:") and kind not in ("BEGIN:VCALENDAR", _ZONE):
            pieces.by_uid.setdefault(_uid(block), []).extend(block)
        elif kind != "BEGIN:VCALENDAR" or not pieces.frame:
            pieces.frame += block
    return pieces


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Components directly below the calendar, each as its lines; any other line by itself."""
    block: list[str] = []
    depth = 0
    for line in lines:
        word = _word(line)
        if not word:
            continue
        if word in _EDGES:
            yield from [block] if block else []  # one that was cut off
            yield [line]
            block, depth = [], 0
            continue
        depth += word.startswith("BEGIN:") - word.startswith("END:")
        block.append(line)
        if depth <= 0:
            yield block
            block, depth = [], 0
    yield from [block] if block else []


def _uid(block: list[str]) -> str:
    """The UID of a component itself, not of an alarm in it."""
    depth = 0
    for place, line in enumerate(block):
        word = _word(line)
        depth += word.startswith("BEGIN:") - word.startswith("END:")
        name, _, value = line.partition(":")
        if depth == 1 and name.partition(";")[0].upper() == "UID":
            return value + "".join(_folded(block[place + 1 :]))
    return ""


def _folded(lines: list[str]) -> Iterator[str]:
    """What goes on of the line before (RFC 5545 3.1)."""
    for line in lines:
        if not line.startswith((" ", "\t")):
            return
        yield line[1:]


def _word(line: str) -> str:
    return line.rstrip().upper()
