"""Reads one rule: its keys, when it runs, and what belongs to a later release."""

from __future__ import annotations

import hashlib
from pathlib import Path

from config.nodes import MapNode, Scalar, plain
from config.values import NAME, closest
from rules.actions import read_actions
from rules.condition import Condition, best_keys
from rules.conditions import read_conditions
from rules.effect import Effect
from rules.extract import extracted_names, read_extract
from rules.needs import missing, refuse, strikes_for_nobody
from rules.once import read_once
from rules.reader import Reader
from rules.ruleset import MODES, Rule
from rules.triggers import EVENTS, MAIL, Trigger, read_when

KEYS = ("name", "about", "mode", "when", "if", "extract", "then", "once", "stop", "was", "use", "with")


def read_rule(node: MapNode, reader: Reader) -> Rule | None:
    """Check one rule. None if it has no usable name; faults go to the reader."""
    name = _name(node, reader)
    mode = _mode(node, reader)
    _check_keys(node, reader)
    triggers = _when(node, reader)
    reader.missing, reader.chooses = missing(triggers), False
    conditions = read_conditions(found, reader) if (found := node.get("if")) else []
    extract = read_extract(found, reader) if (found := node.get("extract")) else ()
    if extracting := node.key("extract"):
        refuse("mail", "`extract`", extracting.place, reader)
    office_wide = strikes_for_nobody(triggers, chooses=reader.chooses)
    reader.missing |= {"customer"} if office_wide else frozenset()
    reader.extracted = frozenset(one.name for one in extract) | frozenset(extracted_names(node.get("extract")))
    effects = _then(node, reader)
    if name is None:
        return None
    ignore = next((effect for effect in effects if effect.verb == "ignore"), None)
    if ignore and len(effects) == 1 and mode == "on" and node.get("if") is None:
        help = 'say which with `if`; if every mail is meant, write if: {from: "*@*"}'
        reader.report("W401", "this rule keeps every mail out of the history", name.place, help, warning=True)
    return Rule(
        name=name.text,
        about=_text(node, "about"),
        mode=mode,
        place=_where(name),
        triggers=triggers,
        directions=frozenset(MAIL[one.word] for one in triggers if one.word in MAIL),
        events=frozenset(one.word for one in triggers if one.word in EVENTS),
        waits=frozenset(one.words for one in triggers if one.word not in MAIL and one.word not in EVENTS),
        office_wide=office_wide,
        conditions=tuple(conditions),
        asks=tuple(one.holds for one in sorted(conditions, key=lambda one: one.cost)),
        effects=tuple(effect for effect in effects if effect.verb != "ignore"),
        kinds=_kinds(conditions),
        ignore=ignore.shown.removeprefix("ignore: ") if ignore else "",
        once=read_once(found, reader) if (found := node.get("once")) else None,
        stop=_stop(node, reader),
        was=_text(node, "was"),
        blueprint=_text(node, "use"),
        extract=extract,
        reads_markup=any(one.reads_markup for one in conditions) or any(one.reads_markup for one in extract),
        fingerprint=_fingerprint(node),
        keys=best_keys(conditions),
    )


def _kinds(conditions: list[Condition]) -> frozenset[str]:
    return frozenset().union(*(one.kinds for one in conditions))


def _where(name: Scalar) -> str:
    path: Path = name.place.path
    return f"{path.parent.name}/{path.name}:{name.place.line}"


def _text(node: MapNode, key: str) -> str:
    value = node.get(key)
    return value.text.strip() if isinstance(value, Scalar) else ""


_NOT_SAID = ("name", "about", "mode", "was", "use")
"""Parts that change nothing of what a rule does."""


def _fingerprint(node: MapNode) -> str:
    said = [(key.text, plain(value)) for key, value in node.entries if key.text not in _NOT_SAID]
    return hashlib.sha256(repr(sorted(said, key=lambda one: one[0])).encode("utf-8", "replace")).hexdigest()[:16]


def _name(node: MapNode, reader: Reader) -> Scalar | None:
    value = node.get("name")
    if value is None:
        reader.report("E102", "a rule needs a name", node.place, "add: name: my-rule")
        return None
    scalar = reader.scalar(value, "`name`")
    if scalar and not NAME.fullmatch(scalar.text):
        help = "use letters, digits and - without spaces"
        reader.report("E212", f'"{scalar.text}" cannot be the name of a rule', scalar.place, help)
        return None
    return scalar


def _mode(node: MapNode, reader: Reader) -> str:
    value = node.get("mode")
    scalar = reader.scalar(value, "`mode`") if value else None
    if scalar is None:
        return "on"
    word = {"yes": "on", "true": "on", "no": "off", "false": "off"}.get(scalar.text.lower(), scalar.text)
    return reader.choice(Scalar(word, scalar.place), MODES, "`mode`") or "on"


def _check_keys(node: MapNode, reader: Reader) -> None:
    for key, value in node.entries:
        if key.text not in KEYS:
            reader.unknown("part of a rule", key, KEYS)
        elif key.text in ("about", "was"):
            reader.scalar(value, f"`{key.text}`")


def _is_misspelt(part: str, node: MapNode) -> bool:
    """Whether a part that is missing stands there under a name much like it, which is told already."""
    return any(key.text not in KEYS and closest(key.text, KEYS) == part for key, _ in node.entries)


def _when(node: MapNode, reader: Reader) -> tuple[Trigger, ...]:
    value = node.get("when")
    if value is None:
        if not _is_misspelt("when", node):
            reader.report("E102", "the rule does not say when it runs", node.place, "add: when: mail arrives")
        return ()
    return read_when(value, reader)


def _then(node: MapNode, reader: Reader) -> list[Effect]:
    value = node.get("then")
    if value is None:
        if not _is_misspelt("then", node):
            reader.report("E102", "the rule does nothing: it has no `then`", node.place, "add: then: {log: yes}")
        return []
    return read_actions(value, reader)


def _stop(node: MapNode, reader: Reader) -> bool:
    value = node.get("stop")
    return bool(reader.yes_no(value, "`stop`")) if value else False
