"""The words in which a JSON schema (draft 7, what editors know) says what may stand at a place of a file.

Editors read YAML with types, quietcrm reads text: `0351`, `no` and `12:30` are what they look like. So a text may be a
number or a truth value here, and a yes or no may be written in any way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Shape = dict[str, Any]
DRAFT = "http://json-schema.org/draft-07/schema#"
TEXT: Shape = {"type": ["string", "number", "boolean"]}
ANYTHING: Shape = {}
NOTHING: Shape = {"not": {}}
YES = ("yes", "true", "on")
NO = ("no", "false", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The office's own names, for completion. `segments` and `tags` are those in use: others are as good.

    inputs   blueprint -> the names of its inputs -> whether every use has to fill them
    """

    people: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    mailboxes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    auto_templates: tuple[str, ...] = ()
    sequences: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    inputs: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)


def caseless(pattern: str) -> str:
    """A pattern whose letters outside [ ] match in both cases: JSON schema has no flag for it."""
    return re.sub(r"(\\.|\[[^\]]*\])|([a-z])", lambda one: one[1] or f"[{one[2]}{one[2].upper()}]", pattern)


def like(*patterns: str) -> Shape:
    """A text that one of some patterns fits as a whole; case is ignored."""
    return {"type": "string", "pattern": f"^\\s*({'|'.join(caseless(one) for one in patterns)})\\s*$"}


def clock(*patterns: str) -> Shape:
    """The same for a time of day: an older reader of YAML takes 20:00 for a number."""
    return any_of(like(*patterns), {"type": "integer"})


def one_of(words: Iterable[str], *more: Shape) -> Shape:
    """One of some words, offered for completion; or what `more` allows."""
    known = list(dict.fromkeys(words))
    written = {"pattern": f"^\\s*({'|'.join(caseless(re.escape(word.lower())) for word in known)})\\s*$"}
    options = [{"enum": known}, {"type": "string", **written}, *_truths(known), *more] if known else [*more]
    return any_of(*options) if options else dict(TEXT)


def named(names: Iterable[str], *more: Shape) -> Shape:
    """One of some names of the office, or what `more` allows; case counts. Anything where neither is known."""
    known = list(dict.fromkeys(names))
    options = [*([{"enum": known}, *_numbers(known), *_truths(known)] if known else []), *more]
    return any_of(*options) if options else TEXT


def suggested(names: Iterable[str], other: Shape = TEXT) -> Shape:
    """Anything `other` allows, with some names offered."""
    known = list(dict.fromkeys(names))
    return any_of({"enum": known}, other) if known else other


def any_of(*shapes: Shape) -> Shape:
    """One of several shapes."""
    return shapes[0] if len(shapes) == 1 else {"anyOf": list(shapes)}


def many(shape: Shape) -> Shape:
    """One value, or a list of them."""
    return {"anyOf": [shape, {"type": "array", "items": shape, "minItems": 1}]}


def mapping(parts: Mapping[str, Shape], *, needs: Sequence[str] = (), others: Shape | None = None) -> Shape:
    """Named parts; without `others` no more than these."""
    shape: Shape = {"type": "object", "properties": dict(parts), "additionalProperties": others or False}
    return {**shape, "required": list(needs)} if needs else shape


def some(shape: Shape) -> Shape:
    """A mapping with at least one part."""
    return {**shape, "minProperties": 1}


def not_both(shape: Shape, one: str, other: str) -> Shape:
    """A mapping that has at most one of two parts."""
    return {**shape, "not": {"required": [one, other]}}


def told(shape: Shape, about: str, example: str = "") -> Shape:
    """A shape with what an editor shows about it."""
    text = about + (f"\n\n`{example}`" if example else "")
    inside = {"allOf": [shape]} if "$ref" in shape else shape  # what stands beside a reference is not read
    return {**inside, "description": text} if text else shape


def whole_number(least: int | None = None, most: int | None = None) -> Shape:
    """A whole number, or its digits as text."""
    bounds = {key: bound for key, bound in (("minimum", least), ("maximum", most)) if bound is not None}
    return {"anyOf": [{"type": "integer", **bounds}, {"type": "string", "pattern": r"^\s*[+-]?[0-9_]+\s*$"}]}


def _truths(words: list[str]) -> list[Shape]:
    """What an older reader of YAML makes of `on` and `no`."""
    found = [truth for truth, written in ((True, YES), (False, NO)) if {*written} & {word.lower() for word in words}]
    return [{"enum": found}] if found else []


def _numbers(names: list[str]) -> list[Shape]:
    return [{"type": "number"}] if any(re.fullmatch(r"[0-9_.]+", name) for name in names) else []


YES_NO: Shape = one_of((*YES[:1], *NO[:1], *YES[1:], *NO[1:]))
