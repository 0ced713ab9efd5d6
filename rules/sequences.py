"""Reads sequences/*.yaml; every fault is named with its place.

A version that somebody is still in is read again from what the store kept of it (`read_version`), by the same reader.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Place, Scalar, plain
from config.values import NAME
from rules.clock import parse_weekdays
from rules.hours import check_holiday_code
from rules.moments import parse_delay
from rules.once import SCOPES, Once, read_once
from rules.pacing import HOURS, Pace, parse_gap
from rules.reader import Reader, entries
from rules.rule_files import read_roots
from rules.sequence import (
    ALWAYS,
    LAST_WORD,
    MODES,
    NEXT,
    REPLIED,
    SIGNS,
    STOP,
    UNSTATED_AWAY,
    Sequence,
    StopWhen,
)
from rules.steps import check_ends_itself, read_effects, read_steps

KEYS = ("name", "about", "basis", "mode", "enter", "steps", "stop_when", "out_of_office", "send", "drafts", "done")
_MISSING = frozenset(("meeting", "changed"))
"""What a step never has at hand."""
BASES = ("customer", "consent", "contract", "request")


@dataclass(slots=True)
class _Draft:
    """A sequence in the making."""

    parts: dict[str, Any] = field(default_factory=dict)
    done_stage: Scalar | None = None


# --- files -----------------------------------------------------------------------------------------------------------


def sequence_files(directory: Path, problems: list[Problem]) -> list[MapNode]:
    """The roots of sequences/*.yaml in name order; what is no mapping becomes a problem."""
    return list(read_roots(directory / "sequences", problems, "steps:"))


def sequence_names(directory: Path) -> frozenset[str]:
    """The names of all files, faulty ones too: a rule that starts one is not to blame for its faults."""
    roots = sequence_files(directory, [])
    named = (root.get("name") for root in roots)
    stems = {path.stem for path in (directory / "sequences").glob("*.yaml") if not path.name.startswith(".")}
    texts = {name.text for name in named if isinstance(name, Scalar)}
    return frozenset(texts | (stems if len(texts) < len(stems) else set()))


def read_sequences(roots: Several[MapNode], reader: Reader) -> dict[str, Sequence]:
    """The sequences by name; faults go to the reader."""
    reader = replace(reader, extracted=frozenset(), missing=_MISSING)
    found: dict[str, Sequence] = {}
    names: dict[str, Scalar] = {}
    for root in roots:
        before = len(reader.problems)
        sequence = read_sequence(root, reader)
        name = root.get("name")
        if sequence is None or not isinstance(name, Scalar):
            continue
        first = names.setdefault(sequence.name, name)
        if first is not name:
            where = f"{first.place.path.name}:{first.place.line}"
            message = f'a sequence "{sequence.name}" is in {where} already'
            reader.report("E441", message, name.place, f'rename to "{sequence.name}-2"')
        elif len(reader.problems) == before:
            found[sequence.name] = sequence
    return found


def read_version(name: str, version: str, content: Mapping[str, Any], reader: Reader) -> Sequence | None:
    """A version that the store kept, checked against the office as it is now; faults go to the reader."""
    place = Place(Path(f"sequences/{name} ({version})"), 1, 1)
    node = _nodes(content, place)
    assert isinstance(node, MapNode)
    before = len(reader.problems)
    found = read_sequence(node, replace(reader, missing=_MISSING))
    return found if len(reader.problems) == before else None


def _nodes(value: Any, place: Place) -> Node:
    if isinstance(value, Mapping):
        return MapNode(tuple((Scalar(name, place), _nodes(one, place)) for name, one in value.items()), place)
    if isinstance(value, list):
        return ListNode(tuple(_nodes(one, place) for one in value), place)
    return Scalar(str(value), place)


# --- one sequence ----------------------------------------------------------------------------------------------------


def read_sequence(root: MapNode, reader: Reader) -> Sequence | None:
    """Check one sequence. None if it has no usable name; faults go to the reader."""
    name = _name(root, reader)
    draft = _Draft()
    for key, value in entries(root, reader, KEYS, "part of a sequence"):
        if key.text == "about":
            draft.parts["about"] = scalar.text.strip() if (scalar := reader.scalar(value, "`about`")) else ""
        elif key.text not in ("name", "steps"):
            _PARTS[key.text](value, draft, reader)
    mode = draft.parts.get("mode", "draft")
    draft.parts["steps"] = read_steps(root, mode, reader)
    _check_done(root, draft, reader)
    check_ends_itself(root, draft.parts.get("stop_when", StopWhen()), reader)
    if name is None:
        return None
    content = plain(root)
    assert isinstance(content, dict)
    place = f"{name.place.path.parent.name}/{name.place.path.name}:{root.place.line}"
    return Sequence(name=name.text, place=place, content=content, version=_version(content), **draft.parts)


def _version(content: Mapping[str, Any]) -> str:
    said = {name: value for name, value in content.items() if name not in ("name", "about")}
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:12]


def _name(root: MapNode, reader: Reader) -> Scalar | None:
    value = root.get("name")
    if value is None:
        reader.report("E102", "a sequence needs a name", root.place, f"add: name: {root.place.path.stem}")
        return None
    scalar = reader.scalar(value, "`name`")
    if scalar and (not NAME.fullmatch(scalar.text) or scalar.text in ("all", "any")):
        help = 'use letters, digits and - without spaces, and neither "all" nor "any"'
        reader.report("E212", f'"{scalar.text}" cannot be the name of a sequence', scalar.place, help)
        return None
    return scalar


def _word(what: str, target: str, known: tuple[str, ...]) -> Any:
    def read(node: Node, draft: _Draft, reader: Reader) -> None:
        scalar = reader.scalar(node, f"`{what}`")
        word = reader.choice(scalar, known, f"`{what}`") if scalar else None
        if word:
            draft.parts[target] = word

    return read


def _enter(node: Node, draft: _Draft, reader: Reader) -> None:
    mapping = reader.mapping(node, "`enter`", "{once_per: deal, exclusive: yes}")
    for key, value in entries(mapping, reader, ("once_per", "exclusive"), "part of `enter`") if mapping else ():
        if key.text == "exclusive":
            draft.parts["exclusive"] = reader.yes_no(value, "`exclusive`") is not False
        elif once := _once(value, reader):
            draft.parts["once"] = once


def _once(node: Node, reader: Reader) -> Once | None:
    """`deal`, `contact every 90 days`: the grammar of `once` in rules without its `per`."""
    scalar = reader.scalar(node, "`once_per`")
    if scalar is None:
        return None
    scopes = [one for one in SCOPES if one not in ("mail", "thread")]
    first = scalar.text.lower().split()[0]
    if reader.choice(Scalar(first, replace(scalar.place, span=len(first))), scopes, "`once_per`") is None:
        return None
    if first == scalar.text.strip().lower():
        return Once(first, None, f"per {first}")
    return read_once(Scalar(f"per {scalar.text}", scalar.place), reader)


def _stop_when(node: Node, draft: _Draft, reader: Reader) -> None:
    items = node.items if isinstance(node, ListNode) else (node,)
    signs: set[str] = set(ALWAYS)
    listed: dict[str, set[str]] = {"tag": set(), "stage": set()}
    for item in items:
        if isinstance(item, MapNode):
            for key, value in entries(item, reader, listed, "sign in `stop_when`"):
                texts = reader.scalars(value, f"`{key.text}`")
                if key.text == "stage":
                    texts = [one for one in texts if reader.defined(one, reader.settings.stages.order, "stage")]
                listed[key.text] |= {one.text.strip() for one in texts}
            continue
        scalar = reader.scalar(item, "`stop_when`")
        text = Scalar(" ".join(scalar.text.lower().split()), scalar.place) if scalar else None
        word = reader.choice(text, SIGNS, "`stop_when`") if text else None
        signs |= {word} if word else set()
    draft.parts["stop_when"] = StopWhen(
        signs=frozenset(signs), tags=frozenset(listed["tag"]), stages=frozenset(listed["stage"])
    )


def _out_of_office(node: Node, draft: _Draft, reader: Reader) -> None:
    mapping = reader.mapping(node, "`out_of_office`", "{pause_until: their_return, else: 5 business days}")
    known = ("pause_until", "else")
    for key, value in entries(mapping, reader, known, "part of `out_of_office`") if mapping else ():
        scalar = reader.scalar(value, f"`{key.text}`")
        if scalar and key.text == "pause_until":
            reader.choice(scalar, ("their_return",), "`pause_until`")
        elif scalar:
            draft.parts["away"] = reader.parsed(scalar, parse_delay, "E202") or UNSTATED_AWAY


def _send(node: Node, draft: _Draft, reader: Reader) -> None:
    mapping = reader.mapping(node, "`send`", "{hours: customer, days: mon-fri, per_day: 40, gap: 2-6 minutes}")
    parts: dict[str, Any] = {}
    for key, value in entries(mapping, reader, PACE, "part of `send`") if mapping else ():
        found = PACE[key.text](value, reader)
        if found is not None:
            parts[key.text] = found
    draft.parts["pace"] = Pace(**parts)


def _pace_hours(node: Node, reader: Reader) -> str | None:
    scalar = reader.scalar(node, "`hours`")
    return reader.choice(scalar, HOURS, "`hours`") if scalar else None


def _pace_days(node: Node, reader: Reader) -> tuple[int, ...] | None:
    found: set[int] = set()
    for scalar in reader.scalars(node, "`days`"):
        found |= set(reader.parsed(scalar, parse_weekdays, "E203") or ())
    return tuple(sorted(found)) or None


def _pace_holidays(node: Node, reader: Reader) -> tuple[str, ...] | None:
    scalars = reader.scalars(node, "`holidays`") if not isinstance(node, ListNode) or node.items else []
    if len(scalars) == 1 and scalars[0].text.strip().lower() in ("none", "no"):
        return ()
    known = reader.settings.hours.holidays  # checked already, and the calendars take memory

    def checked(code: str) -> str:
        if code not in known:
            check_holiday_code(code)
        return code

    return tuple(one for scalar in scalars if (one := reader.parsed(scalar, checked, "E209")))


def _pace_per_day(node: Node, reader: Reader) -> int | None:
    scalar = reader.scalar(node, "`per_day`")
    if scalar is None:
        return None
    if scalar.text.strip().isdecimal() and 0 < int(scalar.text) <= 100_000:
        return int(scalar.text)
    reader.report("E201", f'`per_day` is a number from 1 to 100000, not "{scalar.text}"', scalar.place, "write: 40")
    return None


def _pace_gap(node: Node, reader: Reader) -> Any:
    scalar = reader.scalar(node, "`gap`")
    return reader.parsed(scalar, parse_gap, "E202") if scalar else None


PACE: dict[str, Any] = {
    "hours": _pace_hours,
    "days": _pace_days,
    "holidays": _pace_holidays,
    "per_day": _pace_per_day,
    "gap": _pace_gap,
}


def _drafts(node: Node, draft: _Draft, reader: Reader) -> None:
    mapping = reader.mapping(node, "`drafts`", "{declined: stop, expired: next}")
    for key, value in entries(mapping, reader, ("declined", "expired"), "part of `drafts`") if mapping else ():
        _word(key.text, key.text, (STOP, NEXT))(value, draft, reader)


def _done(node: Node, draft: _Draft, reader: Reader) -> None:
    mapping = reader.mapping(node, "`done`", "{stage: lost, after: 5 business days}")
    if mapping is None:
        return
    rest = []
    for key, value in mapping.entries:
        if key.text != "after":
            rest.append((key, value))
        elif scalar := reader.scalar(value, "`after`"):
            draft.parts["done_after"] = reader.parsed(scalar, parse_delay, "E202") or LAST_WORD
    stage = mapping.get("stage")
    draft.done_stage = stage if isinstance(stage, Scalar) else None
    draft.parts["done"] = read_effects(MapNode(tuple(rest), mapping.place), reader, "part of `done`", ("after",))


_PARTS: dict[str, Any] = {
    "mode": _word("mode", "mode", MODES),
    "basis": _word("basis", "basis", BASES),
    "enter": _enter,
    "stop_when": _stop_when,
    "out_of_office": _out_of_office,
    "send": _send,
    "drafts": _drafts,
    "done": _done,
}


# --- together --------------------------------------------------------------------------------------------------------


def _check_done(root: MapNode, draft: _Draft, reader: Reader) -> None:
    """Whoever answered must not be lost for it."""
    stage = draft.done_stage
    signs = draft.parts.get("stop_when", StopWhen()).signs
    if stage is not None and stage.text == reader.settings.stages.lost and REPLIED not in signs:
        node = root.get("stop_when")
        help = "add replied to `stop_when`, or take the stage out of `done`"
        message = f"customers who answer would become {stage.text}: nothing stops the sequence then"
        reader.report("E444", message, node.place if node else stage.place, help)
