"""Reads `extract:` and takes its values out of a mail: schema.org data first, then patterns, then attachment names.

Pure. What is found but is not what `as` says goes on to the next way; the trace tells what was seen.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from config.nodes import MapNode, Node, Scalar
from rules.addresses import is_pattern
from rules.amounts import MACHINE, plain_number, read_money, read_number
from rules.condition import clip
from rules.decision import Extracted
from rules.patterns import Pattern, Searchable
from rules.reader import Reader, entries
from rules.text_conditions import compiled, written
from rules.text_match import GlobSet, glob_set
from rules.view import View
from rules.written_dates import read_day

KINDS = ("money", "date", "number", "address")
PARTS = ("jsonld", "regex", "attachment_name", "as", "required")
WAYS = ("jsonld", "regex", "attachment_name")
TAKEN = (
    *("mail", "contact", "customer", "owner", "rep", "company", "greeting", "lang", "today"),
    *("input", "meeting", "changed"),
)
LONGEST = 500
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z][A-Za-z0-9_:-]*)+")
_NAME = re.compile(r"[^\W\d]\w{0,59}")
_ADDRESS = re.compile(r"[^\s<>\"'(),:;\[\]]+@[^\s<>\"'(),:;\[\]]+")
_JINJA = ("and", "or", "not", "if", "else", "elif", "in", "is", "for", "true", "false", "none", "loop")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that a way found; `machine`: written by a program for programs."""

    way: str
    text: str
    machine: bool = False


Way = Callable[[View], Iterable[Candidate]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Extraction:
    """One named value of a rule. `written` is the line of the rule, for the trace; `kind` one of KINDS or ""."""

    name: str
    written: str
    ways: tuple[Way, ...]
    kind: str = ""
    required: bool = False
    reads_markup: bool = False

    def find(self, view: View) -> Extracted:
        """What the mail has, by the first way that gives a value of the right kind."""
        unread = ""
        for candidate in (one for way in self.ways for one in way(view)):
            text = " ".join(candidate.text.split())[:LONGEST]
            value = read_value(text, self.kind, MACHINE if candidate.machine else spoken(view)) if text else None
            if value is not None:
                return self._result(value, candidate.way)
            unread = unread or (text and f'"{clip(text, 60)}" ({candidate.way}), which is no {self.kind}')
        return self._result("", "", unread or "nothing")

    def _result(self, value: str, way: str, missed: str = "") -> Extracted:
        return Extracted(
            name=self.name,
            value=value,
            way=way,
            kind=self.kind,
            wanted=self.written,
            missed=missed,
            required=self.required,
        )


def spoken(view: View) -> str:
    """The language whose separators and days a mail uses: its own, its writer's, else the company's."""
    return view.language or view.office.settings.company.language


def read_value(text: str, kind: str, language: str) -> str | None:
    """The value of a text: money as written, a date as 2026-12-24, a number as 1250.5, an address in lower case.

    None if it is nothing of that kind. `language` may be MACHINE.
    """
    if kind == "money":
        money = read_money(text, language)
        return None if money is None else money.plain if language == MACHINE else text
    if kind == "date":
        day = read_day(text, "" if language == MACHINE else language)
        return day.isoformat() if day else None
    if kind == "number":
        number = read_number(text, language)
        return None if number is None else plain_number(number)
    return _address(text) if kind == "address" else text


def _address(text: str) -> str | None:
    """The one address in a text; None for none and for several."""
    found = {one.removeprefix("mailto:").rstrip(".").lower() for one in _ADDRESS.findall(text)}
    only = found.pop() if len(found) == 1 else ""
    return only if only and "*" not in only and not only.startswith("@") and is_pattern(only) else None


# --- reading the rule


def read_extract(node: Node, reader: Reader) -> tuple[Extraction, ...]:
    """The values of a rule; faults go to the reader."""
    mapping = reader.mapping(node, "`extract`", r"{number: {regex: 'order (\d+)', required: yes}}")
    if mapping is None:
        return ()
    if not mapping.entries:
        reader.report("E106", "`extract` names nothing", node.place, "write at least one value")
    found = (_read_one(key, value, reader) for key, value in mapping.entries)
    return tuple(one for one in found if one is not None)


def extracted_names(node: Node | None) -> Iterator[str]:
    """The names of an `extract`, as far as they can be names."""
    for key, _ in node.entries if isinstance(node, MapNode) else ():
        if _is_name(key.text):
            yield key.text


def _is_name(text: str) -> bool:
    free = text not in TAKEN and text.lower() not in _JINJA and not keyword.iskeyword(text)
    return free and _NAME.fullmatch(text) is not None and text.isidentifier() and not text.startswith("_")


def _read_one(key: Scalar, node: Node, reader: Reader) -> Extraction | None:
    if not _is_name(key.text):
        known = key.text in TAKEN
        message = f'"{key.text}" means something already' if known else f'"{key.text}" cannot be the name of a value'
        help = "choose another name" if known else "use letters, digits and _, a letter first"
        reader.report("E212", message, key.place, help)
        return None
    mapping = reader.mapping(node, f"`{key.text}`", r"{regex: 'order (\d+)', required: yes}")
    if mapping is None:
        return None
    parts = {part.text: value for part, value in entries(mapping, reader, PARTS, "part of a value")}
    if not any(way in parts for way in WAYS):
        help = r"add for example regex: 'order (\d+)', or jsonld: Order.orderNumber"
        reader.report("E102", f"`{key.text}` does not say where it is found", mapping.place, help)
        return None
    ways = [build(parts[way], reader) for way, build in _BUILD.items() if way in parts]
    kind = reader.scalar(parts["as"], "`as`") if "as" in parts else None
    return Extraction(
        name=key.text,
        written=written(node),
        ways=tuple(one for one in ways if one),
        kind=(reader.choice(kind, KINDS, "`as`") if kind else None) or "",
        reads_markup="jsonld" in parts,
        required=bool(reader.yes_no(parts["required"], "`required`")) if "required" in parts else False,
    )


def _jsonld(node: Node, reader: Reader) -> Way | None:
    paths = []
    for scalar in reader.scalars(node, "`jsonld`"):
        if _PATH.fullmatch(scalar.text):
            paths.append(scalar.text.lower())
        else:
            message = f'"{scalar.text}" is no path into schema.org data'
            reader.report("E417", message, scalar.place, "write type and name, for example Order.orderNumber")
    return lambda view: _from_markup(view.message.markup, paths)


def _from_markup(pairs: Sequence[tuple[str, str]], paths: Sequence[str]) -> Iterator[Candidate]:
    """The values of the paths; a price gets the currency that stands beside it."""
    for path in paths:
        for found, value in pairs:
            if found.lower() == path:
                beside = f"{path}currency", f"{path.rpartition('.')[0]}.pricecurrency"
                currency = next((other for name, other in pairs if name.lower() in beside), "")
                shown = f"{value} {currency}" if re.fullmatch(r"[A-Z]{3}", currency) and path != beside[1] else value
                yield Candidate("jsonld", shown if _is_price(path) else value, machine=True)


def _is_price(path: str) -> bool:
    last = path.rpartition(".")[2]
    return "price" in last or "total" in last or "value" in last


def _regex(node: Node, reader: Reader) -> Way | None:
    patterns = [one for one in (compiled(scalar, reader) for scalar in reader.scalars(node, "`regex`")) if one]
    return lambda view: _captured(patterns, view.text_pattern)


def _captured(patterns: Sequence[Pattern], text: Searchable) -> Iterator[Candidate]:
    for pattern in patterns:
        found = pattern.capture(text)
        if found is not None:
            yield Candidate("regex", found)


def _attachment_name(node: Node, reader: Reader) -> Way | None:
    """Globs, whose value is the name; or {regex: ...}, whose value is the first group."""
    if isinstance(node, MapNode):
        inner = [value for _, value in entries(node, reader, ("regex",), "part of `attachment_name`")]
        scalars = [scalar for value in inner for scalar in reader.scalars(value, "`regex`")]
        patterns = [one for one in (compiled(scalar, reader) for scalar in scalars) if one]
        return lambda view: _in_names(view, patterns)
    items = reader.items(node, "`attachment_name`")
    wanted = glob_set(item.text for item in items if item.wanted)
    unwanted = glob_set(item.text for item in items if not item.wanted)
    return lambda view: _names(view, wanted, unwanted)


def _in_names(view: View, patterns: Sequence[Pattern]) -> Iterator[Candidate]:
    for attachment in view.message.attachments:
        for found in _captured(patterns, Searchable(attachment.name)):
            yield Candidate("attachment_name", found.text)


def _names(view: View, wanted: GlobSet, unwanted: GlobSet) -> Iterator[Candidate]:
    for attachment in view.message.attachments:
        if attachment.name and (not wanted or wanted.fits(attachment.name)) and not unwanted.fits(attachment.name):
            yield Candidate("attachment_name", attachment.name)


_BUILD: dict[str, Callable[[Node, Reader], Way | None]] = {
    "jsonld": _jsonld,
    "regex": _regex,
    "attachment_name": _attachment_name,
}
