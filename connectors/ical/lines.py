"""Lines and components of an iCalendar object (RFC 5545 3.1, 3.4), with bounds. What is broken stays where it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Component", "Line", "read_components"]

LONGEST_LINE = 1_000_000
DEPTH_LIMIT = 8
LINES_LIMIT = 200_000

_NAME = re.compile(r"[\w-]+", re.ASCII)
_PARAMETER = re.compile(r'\s*;\s*([\w-]+)\s*=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)', re.ASCII)
_CARET = {"^n": "\n", "^N": "\n", "^'": '"', "^^": "^"}
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Line:
    """One property: name in upper case, parameters by upper-case name, value as written."""

    name: str
    parameters: Mapping[str, str]
    value: str


@dataclass(slots=True)
class Component:
    """BEGIN to END. `closed` is False if its END never came; `bad` are lines that are none."""

    name: str
    lines: list[Line] = field(default_factory=list)
    inner: list[Component] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    closed: bool = False

    def first(self, name: str) -> Line | None:
        """The first property of this name."""
        return next((line for line in self.lines if line.name == name), None)

    def all(self, name: str) -> list[Line]:
        """Every property of this name."""
        return [line for line in self.lines if line.name == name]

    def value(self, name: str) -> str:
        """The value of the first property of this name, trimmed; "" if there is none."""
        line = self.first(name)
        return line.value.strip() if line else ""


def read_components(data: bytes) -> tuple[list[Component], list[str]]:
    """The outermost components, and what was odd. Never raises."""
    notes: list[str] = []
    builder = _Builder(notes)
    for text in _unfold(decode(data), notes):
        builder.take(text)
    return builder.finish(), list(dict.fromkeys(notes))


def decode(data: bytes) -> str:
    """The text: UTF-8 as the standard says, UTF-16 with its mark, else Windows-1252 as old programs write."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _unfold(text: str, notes: list[str]) -> Iterator[str]:
    """Content lines: a line that begins with white space goes on with the one before."""
    pieces: list[str] = []
    count = 0
    for line in re.split("\r\n|\n|\r", text):
        count += 1
        if count > LINES_LIMIT:
            notes.append(f"more than {LINES_LIMIT} lines: the rest was not read")
            break
        if line[:1] in (" ", "\t") and pieces:
            pieces.append(line[1:])
            continue
        if pieces:
            yield "".join(pieces)[:LONGEST_LINE]
        elif line.strip() and count > 1:
            notes.append("empty lines")
        pieces = [line] if line.strip() else []
    if pieces:
        yield "".join(pieces)[:LONGEST_LINE]


class _Builder:
    """Puts lines into components. An END closes the innermost component of its name and all left open in it."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes
        self.top: list[Component] = []
        self.open: list[Component] = []

    def take(self, text: str) -> None:
        line = parse_line(text)
        if line is None:
            self._refuse(text)
        elif line.name == "BEGIN":
            self._begin(line.value.strip().upper())
        elif line.name == "END":
            self._end(line.value.strip().upper())
        elif self.open:
            self.open[-1].lines.append(line)
        else:
            self._refuse(text)

    def finish(self) -> list[Component]:
        if self.open:
            self.notes.append(f"it ends within {self.open[-1].name}")
        return self.top

    def _begin(self, name: str) -> None:
        if name == "VEVENT" and self.open and self.open[-1].name in ("VEVENT", "VALARM"):
            while self.open and self.open[-1].name != "VCALENDAR":  # the END of the one before is missing
                self.open.pop()
        if len(self.open) >= DEPTH_LIMIT:
            self.notes.append(f"components nested deeper than {DEPTH_LIMIT}")
            return
        component = Component(name)
        (self.open[-1].inner if self.open else self.top).append(component)
        self.open.append(component)

    def _end(self, name: str) -> None:
        if not any(component.name == name for component in self.open):
            self.notes.append(f"END:{name[:40]} without its BEGIN")
            return
        while self.open:
            component = self.open.pop()
            if component.name == name:
                component.closed = True
                return

    def _refuse(self, text: str) -> None:
        if self.open:
            self.open[-1].bad.append(text[:80])
        self.notes.append(f'no property: "{_CONTROLS.sub("?", text[:40])}"')


def parse_line(text: str) -> Line | None:
    """NAME;PARAMETER=VALUE:VALUE, or None. White space around names is overlooked."""
    name = _NAME.match(text)
    if name is None:
        return None
    parameters: dict[str, str] = {}
    position = name.end()
    while found := _PARAMETER.match(text, position):
        parameters.setdefault(found[1].upper(), _unquote(found[2]))
        position = found.end()
    rest = text[position:].lstrip()
    if not rest.startswith(":"):
        return None
    return Line(name[0].upper(), parameters, _CONTROLS.sub("", rest[1:]))


def _unquote(value: str) -> str:
    """Without quotation marks; ^n, ^' and ^^ as RFC 6868 has them."""
    value = _CONTROLS.sub("", value.replace('"', "").strip())
    return re.sub(r"\^[nN'^]", lambda found: _CARET[found[0]], value) if "^" in value else value
