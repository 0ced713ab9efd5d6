"""Blueprints: a rule with blanks in blueprints/NAME.yaml, and the rules that fill it in.

```
inputs:
  days: {default: 21}
  segment: {required: yes}
rule:
  when: {customer silent: "{{ input.days }} days"}
  if: {segment: "{{ input.segment }}"}
  then: {remind: {text: "Call {{ customer.name }}"}}
```
`- {name: gold-quiet, use: quiet, with: {segment: gold}}` becomes an ordinary rule before anything else looks at it, so
that whoever knows rules knows these. Every word of it keeps the place where it is written, and the other one beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from config.nodes import ListNode, MapNode, Node, Place, Scalar
from config.values import NAME
from rules.addresses import is_pattern
from rules.clock import GrammarError
from rules.moments import parse_date, parse_delay
from rules.reader import NO, YES, Reader, entries
from rules.schema import KEYS

FILE_KEYS = ("about", "inputs", "rule")
INPUT_KEYS = ("about", "as", "default", "required")
OWN_KEYS = ("name", "about", "mode", "was")
"""What a rule that uses a blueprint says itself, beside `use` and `with`."""
USE_KEYS = (*OWN_KEYS, "use", "with")
_BLANK = re.compile(r"\{\{-?\s*input\.(?P<name>\w+)\s*-?\}\}")
_LOOSE = re.compile(r"\{[{%][^}]*\binput\b[^}]*\}")
_INPUT = re.compile(r"[^\W\d]\w{0,59}")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Input:
    """One blank. `kind` is one of KINDS; without `default` every use has to fill it."""

    name: Scalar
    kind: str
    default: Node | None


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A rule with blanks; `place` is where its inputs begin."""

    name: str
    place: Place
    inputs: Mapping[str, Input]
    rule: MapNode

    def unused(self) -> list[Input]:
        """The inputs that stand nowhere in the rule."""
        used = {found["name"] for scalar in _scalars(self.rule) for found in _BLANK.finditer(scalar.text)}
        return [one for name, one in self.inputs.items() if name not in used]


# --- what a value may be


def _text(node: Node, reader: Reader, what: str) -> None:
    reader.scalar(node, what)


def _words(node: Node, reader: Reader, what: str) -> None:
    reader.scalars(node, what)


def _yes_no(node: Node, reader: Reader, what: str) -> None:
    reader.yes_no(node, what)


def _parsed(parse: Callable[[str], object], code: str) -> Callable[[Node, Reader, str], None]:
    def check(node: Node, reader: Reader, what: str) -> None:
        scalar = reader.scalar(node, what)
        if scalar is not None:
            reader.parsed(scalar, parse, code)

    return check


def _named(known: Callable[[Reader], Iterable[str]], what: str, code: str) -> Callable[[Node, Reader, str], None]:
    def check(node: Node, reader: Reader, label: str) -> None:
        for scalar in reader.scalars(node, label):
            if scalar.text not in set(known(reader)):
                reader.unknown(what, scalar, known(reader), code=code)

    return check


def _number(text: str) -> str:
    if _NUMBER.fullmatch(text.strip()):
        return text
    raise GrammarError(f'"{text}" is not a number', hint="write digits, for example 21")


def _address(text: str) -> str:
    if is_pattern(text):
        return text
    raise GrammarError(f'"{text}" is neither an address nor "@domain"', hint="write for example ana@vendas.example")


KINDS: dict[str, Callable[[Node, Reader, str], None]] = {
    "text": _text,
    "words": _words,
    "number": _parsed(_number, "E103"),
    "yes_no": _yes_no,
    "length": _parsed(parse_delay, "E202"),
    "date": _parsed(parse_date, "E203"),
    "address": _parsed(_address, "E205"),
    "stage": _named(lambda reader: reader.settings.stages.order, "stage", "E206"),
    "person": _named(lambda reader: ("owner", "sender", "admin", *reader.settings.team), "person", "E206"),
    "template": _named(lambda reader: reader.templates, "template", "E403"),
}
"""What `as` of an input may say: how a value of it is checked."""


def _kind_of(default: Node | None) -> str:
    """What an input without `as` takes: whatever its default is."""
    if isinstance(default, ListNode):
        return "words"
    text = default.text.strip() if isinstance(default, Scalar) and not default.quoted else ""
    return "number" if _NUMBER.fullmatch(text) else "yes_no" if text.lower() in (*YES, *NO) else "text"


# --- reading the files


def read_blueprints(roots: Iterable[MapNode], reader: Reader) -> dict[str, Blueprint]:
    """The blueprints by name; faults go to the reader. One with a fault in its rule is told by each use of it."""
    found = (_read(root, reader) for root in roots)
    return {one.name: one for one in found if one is not None}


def _read(root: MapNode, reader: Reader) -> Blueprint | None:
    name = root.place.path.stem
    if not NAME.fullmatch(name):
        help = "rename the file: letters, digits and - without spaces"
        reader.report("E212", f'"{name}" cannot be the name of a blueprint', root.place, help)
    parts = {key.text: value for key, value in entries(root, reader, FILE_KEYS, "part of a blueprint")}
    if "about" in parts:
        reader.scalar(parts["about"], "`about`")
    inputs = _read_inputs(parts["inputs"], reader) if "inputs" in parts else {}
    if "rule" not in parts:
        reader.report("E102", "the blueprint has no `rule`", root.place, "add the line: rule:")
        return None
    rule = reader.mapping(parts["rule"], "`rule`", "{when: mail arrives, then: {tag: x}}")
    if rule is None:
        return None
    for key, _ in rule.entries:
        if key.text in ("name", "was", "use", "with"):
            help = f'take "{key.text}" and its value away'
            reader.report("E432", f"`{key.text}` belongs to the rule that uses the blueprint", key.place, help)
    for scalar in _scalars(rule):
        _check_blanks(scalar, inputs, reader)
    return Blueprint(name, parts.get("inputs", rule).place, inputs, rule)


def _read_inputs(node: Node, reader: Reader) -> dict[str, Input]:
    mapping = reader.mapping(node, "`inputs`", "{days: {default: 21}}")
    found: dict[str, Input] = {}
    for key, value in mapping.entries if mapping else ():
        if not _INPUT.fullmatch(key.text):
            help = "use letters, digits and _, a letter first"
            reader.report("E212", f'"{key.text}" cannot be the name of an input', key.place, help)
            continue
        found[key.text] = _read_input(key, value, reader)
    return found


def _read_input(key: Scalar, node: Node, reader: Reader) -> Input:
    mapping = reader.mapping(node, f"`{key.text}`", "{default: 21}, or {required: yes}")
    known = entries(mapping, reader, INPUT_KEYS, "part of an input") if mapping else ()
    parts = {part.text: (part, value) for part, value in known}
    if "about" in parts:
        reader.scalar(parts["about"][1], "`about`")
    default = parts["default"][1] if "default" in parts else None
    named = reader.scalar(parts["as"][1], "`as`") if "as" in parts else None
    kind = (reader.choice(named, KINDS, "`as`") if named else None) or _kind_of(default)
    if default is not None:
        KINDS[kind](default, reader, f"the default of `{key.text}`")
    required = reader.yes_no(parts["required"][1], "`required`") if "required" in parts else default is None
    if required and default is not None:
        help = "keep one of the two: a use need not fill what has a default"
        reader.report("E433", "`required` beside `default`", parts["required"][0].place, help)
    elif required is False and default is None:
        help = "give it a default: what a rule has where the use says nothing"
        reader.report("E102", f"`{key.text}` has no default, and no use need fill it", key.place, help)
    return Input(key, kind, default)


def _check_blanks(scalar: Scalar, inputs: Mapping[str, Input], reader: Reader) -> None:
    for found in _BLANK.finditer(scalar.text):
        if found["name"] not in inputs:
            spot = _spot(scalar, found.start("name"), len(found["name"]))
            reader.unknown("input", Scalar(found["name"], spot), inputs, code="E431")
    loose = _LOOSE.search(_BLANK.sub(lambda one: " " * len(one[0]), scalar.text))
    if loose:
        help = "write {{ input.NAME }} and nothing else between the braces"
        reader.report("E431", "an input stands alone between {{ and }}", _spot(scalar, loose.start(), 1), help)


def _spot(scalar: Scalar, offset: int, span: int) -> Place:
    """The place of a part of a text, where the text stands on one line as it is written."""
    quotes = scalar.place.span - len(scalar.text)
    if quotes not in (0, 2):
        return scalar.place
    return replace(scalar.place, column=scalar.place.column + offset + quotes // 2, span=span)


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _scalars(item)
    else:
        for key, value in node.entries:
            yield key
            yield from _scalars(value)


# --- filling in


def written_out(root: MapNode, blueprints: Mapping[str, Blueprint], reader: Reader) -> MapNode:
    """A file of rules with each use of a blueprint written out as the rule that it means."""
    return MapNode(tuple((key, _rules(key, value, blueprints, reader)) for key, value in root.entries), root.place)


def _rules(key: Scalar, node: Node, blueprints: Mapping[str, Blueprint], reader: Reader) -> Node:
    if key.text != "rules" or not isinstance(node, ListNode):
        return node
    items = (_rule(item, blueprints, reader) for item in node.items)
    return ListNode(tuple(item for item in items if item is not None), node.place)


def _rule(node: Node, blueprints: Mapping[str, Blueprint], reader: Reader) -> Node | None:
    if not isinstance(node, MapNode):
        return node
    use = node.get("use")
    if use is None:
        if stray := node.key("with"):
            reader.report("E102", "`with` fills in a blueprint, and none is named", stray.place, "add `use`")
        return node
    name = reader.scalar(use, "`use`")
    blueprint = blueprints.get(name.text) if name else None
    if name is not None and blueprint is None:
        reader.unknown("blueprint", name, blueprints, code="E430")
    for key, _ in node.entries:
        if key.text not in USE_KEYS:
            _refuse_beside(key, reader)
    if name is None or blueprint is None:
        return None
    values = _values(node, name, blueprint, reader)
    return _filled(node, name, blueprint, values, reader) if values is not None else None


def _refuse_beside(key: Scalar, reader: Reader) -> None:
    if key.text not in KEYS:
        reader.unknown("part of a rule that uses a blueprint", key, USE_KEYS)
        return
    help = "write the rule out without `use`, or make it an input of the blueprint"
    reader.report("E432", f"`{key.text}` is said by the blueprint", key.place, help)


def _values(node: MapNode, use: Scalar, blueprint: Blueprint, reader: Reader) -> dict[str, Node] | None:
    """Input -> its value, from `with` or its default. None if something is wrong with them."""
    before = len(reader.problems)
    given = node.get("with")
    mapping = reader.mapping(given, "`with`", "{days: 30}") if given is not None else None
    values = {name: one.default for name, one in blueprint.inputs.items() if one.default is not None}
    for key, value in mapping.entries if mapping else ():
        if key.text in blueprint.inputs:
            one = blueprint.inputs[key.text]
            value = _beside(value, one.name.place)
            KINDS[one.kind](value, reader, f"`{key.text}`")
            values[key.text] = value
        else:
            reader.unknown("input", Scalar(key.text, replace(key.place, other=blueprint.place)), blueprint.inputs)
    if len(reader.problems) == before:  # else the misspelt one may be the missing one
        for name, one in blueprint.inputs.items():
            if name not in values:
                _missing(one, mapping, use, reader)
    return values if len(reader.problems) == before else None


def _missing(one: Input, given: MapNode | None, use: Scalar, reader: Reader) -> None:
    place = replace(given.place if given else use.place, other=one.name.place)
    example = "21" if one.kind == "number" else "..."
    help = f"add to `with`: {one.name.text}: {example}" if given else f"add with: {{{one.name.text}: {example}}}"
    reader.report("E102", f"the blueprint needs `{one.name.text}`", place, help)


def _filled(node: MapNode, use: Scalar, blueprint: Blueprint, values: Mapping[str, Node], reader: Reader) -> MapNode:
    own = {key.text: (key, value) for key, value in node.entries if key.text in OWN_KEYS}
    filling = _Filling(values, use.place, reader)
    rule = filling.mapping(blueprint.rule)
    rest = tuple(entry for entry in rule.entries if entry[0].text not in own)
    used = (Scalar("use", use.place), use)
    return MapNode((*own.values(), used, *rest), replace(blueprint.rule.place, other=use.place))


@dataclass(frozen=True, slots=True)
class _Filling:
    """Copies the nodes of a blueprint for one use of it."""

    values: Mapping[str, Node]
    use: Place
    reader: Reader

    def node(self, node: Node) -> Node:
        if isinstance(node, MapNode):
            return self.mapping(node)
        if isinstance(node, ListNode):
            return ListNode(tuple(one for item in node.items for one in self._items(item)), self._at(node.place))
        whole = _BLANK.fullmatch(node.text.strip())
        return self._value(whole["name"], node) if whole else self._text(node)

    def mapping(self, node: MapNode) -> MapNode:
        entries = tuple((self._text(key), self.node(value)) for key, value in node.entries)
        return MapNode(entries, self._at(node.place))

    def _items(self, item: Node) -> tuple[Node, ...]:
        """An item of a list; a list that fills a blank there becomes part of it."""
        filled = self.node(item)
        return filled.items if isinstance(item, Scalar) and isinstance(filled, ListNode) else (filled,)

    def _value(self, name: str, blank: Scalar) -> Node:
        value = self.values.get(name)
        if value is None:  # an unknown input, told where the blueprint was read
            return Scalar("", self._at(blank.place), blank.quoted)
        return _beside(value, blank.place)

    def _text(self, scalar: Scalar) -> Scalar:
        text = _BLANK.sub(lambda found: self._inside(found["name"], scalar), scalar.text)
        return Scalar(text, self._at(scalar.place), scalar.quoted)

    def _inside(self, name: str, scalar: Scalar) -> str:
        value = self.values.get(name)
        if isinstance(value, Scalar):
            return value.text
        if value is not None:
            place = replace(value.place, other=scalar.place)
            self.reader.report("E105", f"`{name}` stands inside a text here", place, "write one value, without [ ]")
        return ""

    def _at(self, place: Place) -> Place:
        return replace(place, other=self.use)


def _beside(node: Node, other: Place) -> Node:
    """A copy whose places name another one."""
    place = replace(node.place, other=other)
    if isinstance(node, Scalar):
        return replace(node, place=place)
    if isinstance(node, ListNode):
        return ListNode(tuple(_beside(item, other) for item in node.items), place)
    return MapNode(
        tuple(
            (replace(key, place=replace(key.place, other=other)), _beside(value, other)) for key, value in node.entries
        ),
        place,
    )
