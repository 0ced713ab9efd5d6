"""Turns what pydantic says about the settings into problems with a place, plain words and a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Scalar, last_line
from config.remedy import removal
from config.schema import example_at, model_at, required_at, settings_of, words_at
from config.values import closest, did_you_mean, shorten

CODE = re.compile(r"[EW]\d{3}")
Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fault:
    """One pydantic error, found in the file: the node it is about, its key, and whether the walk reached it."""

    error: dict[str, Any]
    loc: Location
    key: Scalar | None
    node: Node
    reached: bool
    holder: Node
    lines: list[str]

    @property
    def name(self) -> str:
        """The last name of the location, as written."""
        return next((str(part) for part in reversed(self.loc) if isinstance(part, str) and part != "[key]"), "")

    @property
    def written(self) -> str:
        """The value as written, or ""."""
        return self.node.text if isinstance(self.node, Scalar) else ""

    def problem(self, code: str, message: str, help: str, *, at: Node | Scalar | None = None) -> Problem:
        """A problem at the node (or at `at`)."""
        place = (at or self.node).place
        return Problem(
            code=code,
            message=shorten(message),
            path=place.path,
            line=place.line,
            column=place.column,
            span=place.span,
            help=help,
        )


def explain_errors(error: ValidationError, root: Node, lines: list[str]) -> list[Problem]:
    """One problem for each fault in the settings; faults of values filled in from `poll` are told there only."""
    faults = [_find(dict(one), root, lines) for one in error.errors(include_url=False)]
    misspelt = {_meant(fault) for fault in faults if fault.error["type"] == "extra_forbidden"}
    return [
        _explain(fault)
        for fault in faults
        if (fault.reached or fault.error["type"] in AT_THE_HOLDER)
        and not (fault.error["type"] == "missing" and fault.loc in misspelt)
    ]


def _meant(fault: Fault) -> Location:
    """The location an unknown setting was probably meant for: told as a misspelling, not as missing too."""
    model = model_at(fault.loc[:-1])
    return (*fault.loc[:-1], closest(fault.name, settings_of(model)) if model else "")


AT_THE_HOLDER = ("missing", "union_tag_not_found")


def _find(error: dict[str, Any], root: Node, lines: list[str]) -> Fault:
    """Walks the location through the nodes; parts that exist only in the model (union tags) are passed over."""
    node, holder, key, reached = root, root, None, True
    loc: Location = tuple(error["loc"])
    for part in loc:
        if part == "[key]":
            return Fault(error, loc, key, key or node, True, holder, lines)
        step = _child(node, part)
        reached = step is not None or (isinstance(part, int) and isinstance(node, Scalar))
        if step is not None:
            key, holder, node = step[0] or key, node, step[1]
    return Fault(error, loc, key, node, reached or _is_tag(loc), holder, lines)


def _child(node: Node, part: str | int) -> tuple[Scalar | None, Node] | None:
    if isinstance(node, MapNode) and isinstance(part, str):
        value = node.get(part)
        return None if value is None else (node.key(part), value)
    if isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
        return None, node.items[part]
    return None


def _is_tag(loc: Location) -> bool:
    """True if the location ends in a union tag: the fault is about the whole mapping."""
    return len(loc) > 2 and model_at(loc) is not None and model_at(loc[:-1]) is None


def _explain(fault: Fault) -> Problem:
    kind = str(fault.error["type"])
    if CODE.fullmatch(kind) and not _empty(fault):
        context = fault.error.get("ctx", {})
        vague = kind in ("E202", "E203") and not any(char.isdigit() for char in fault.written)
        help = _write_example(fault) if vague else str(context.get("help", ""))
        return fault.problem(kind, str(context.get("message", "")), help)
    if kind == "extra_forbidden":
        return _unknown(fault)
    if _empty(fault):
        return _nothing_written(fault)
    for kinds, explain in EXPLANATIONS:
        if kind in kinds:
            return explain(fault)
    return fault.problem("E199", f"{fault.name}: {fault.error['msg']}", _write_example(fault))


def _empty(fault: Fault) -> bool:
    return fault.reached and isinstance(fault.node, Scalar) and not fault.node.text and not fault.node.quoted


def _nothing_written(fault: Fault) -> Problem:
    example, key = example_at(fault.loc), fault.key
    if key is None or not example:
        return fault.problem("E106", "a value is missing here", "remove this line")
    problem = fault.problem("E106", f"{key.text} has no value", f"write: {key.text}: {example}", at=key)
    if not required_at(fault.loc) and last_line(fault.node) == key.place.line:
        advice = removal(fault.lines, key, key.place.line)
        return replace(problem, help=f"{advice}, or give it a value like {example}")
    return replace(problem, span=problem.span + 1)


def _unknown(fault: Fault) -> Problem:
    model = model_at(fault.loc[:-1])
    known = list(settings_of(model)) if model else []
    key = fault.key
    near = closest(fault.name, known)
    taken = isinstance(fault.holder, MapNode) and fault.holder.key(near) is not None
    help = f'did you mean "{near}"?' if near and not taken else ""
    if not help and key is not None:
        help = removal(fault.lines, key, last_line(fault.node))
        help += f"; known here: {', '.join(known)}" if 0 < len(known) <= 14 else ""
    return fault.problem("E101", f'unknown setting "{fault.name}"', help, at=key)


def _missing(fault: Fault) -> Problem:
    name = "type" if fault.error["type"] == "union_tag_not_found" else fault.name
    holder = f" in {fault.key.text}" if fault.key is not None else ""
    example = example_at(fault.loc) if name == fault.name else _first_tag(fault)
    help = f"add: {name}: {example}" if example else f"add {name}"
    return fault.problem("E102", f"{name} is missing{holder}", help)


def _first_tag(fault: Fault) -> str:
    if fault.loc[:1] == ("senders",):
        return "smtp"
    return "maildir" if isinstance(fault.node, MapNode) and fault.node.key("path") else "imap"


def _not_a_number(fault: Fault) -> Problem:
    return fault.problem("E103", f'{fault.name}: "{fault.written}" is not a whole number', _write_example(fault))


def _neither_yes_nor_no(fault: Fault) -> Problem:
    return fault.problem("E103", f'{fault.name}: "{fault.written}" is neither yes nor no', "write: yes")


def _not_one_of(fault: Fault) -> Problem:
    words = words_at(fault.loc)
    help = did_you_mean(fault.written, words, f"write: {words[0]}" if words else "")
    return fault.problem("E104", f'{fault.name}: "{fault.written}" is not one of {", ".join(words)}', help)


def _unknown_tag(fault: Fault) -> Problem:
    tags = re.findall(r"'([^']*)'", str(fault.error.get("ctx", {}).get("expected_tags", "")))
    kind = fault.node.get("type") if isinstance(fault.node, MapNode) else None
    word = kind.text if isinstance(kind, Scalar) else ""
    offered = [tag for tag in tags if tag != "memory"]
    help = did_you_mean(word, offered, f"write: {offered[0]}")
    return fault.problem("E104", f'type: "{word}" is not one of {", ".join(offered)}', help, at=kind)


def _out_of_range(fault: Fault) -> Problem:
    context = fault.error.get("ctx", {})
    limits = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    bound = next((f"{words} {context[key]}" for key, words in limits.items() if key in context), "in range")
    return fault.problem("E201", f"{fault.name} must be {bound}, not {fault.written}", _write_example(fault))


def _wants_mapping(fault: Fault) -> Problem:
    return fault.problem(
        "E105", f"{fault.name or 'the file'} wants settings of its own below it", _write_example(fault)
    )


def _wants_list(fault: Fault) -> Problem:
    help = f"write: [{fault.written}]" if isinstance(fault.node, Scalar) else _write_example(fault)
    return fault.problem("E105", f"{fault.name} wants a list", help)


def _wants_text(fault: Fault) -> Problem:
    return fault.problem("E105", f"{fault.name} wants one text, not a list or a mapping", _write_example(fault))


def _too_short(fault: Fault) -> Problem:
    return fault.problem("E102", f"{fault.name} is empty", _write_example(fault))


def _write_example(fault: Fault) -> str:
    example = example_at(fault.loc)
    if not example:
        return "see docs/reference/settings.md"
    flow = isinstance(fault.node, Scalar) or fault.node.place.span > 1
    return f"write: {example}" if flow else f"write it like this: {fault.name}: {example}"


EXPLANATIONS: tuple[tuple[tuple[str, ...], Callable[[Fault], Problem]], ...] = (
    (AT_THE_HOLDER, _missing),
    (("int_parsing", "int_type", "int_from_float", "int_parsing_size"), _not_a_number),
    (("bool_parsing", "bool_type"), _neither_yes_nor_no),
    (("literal_error",), _not_one_of),
    (("union_tag_invalid",), _unknown_tag),
    (("greater_than_equal", "greater_than", "less_than_equal", "less_than"), _out_of_range),
    (("model_type", "dict_type", "model_attributes_type"), _wants_mapping),
    (("tuple_type", "list_type"), _wants_list),
    (("string_type", "path_type"), _wants_text),
    (("too_short", "string_too_short"), _too_short),
)
