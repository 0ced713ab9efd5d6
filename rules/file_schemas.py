"""The JSON schemas of rules, rule tests, blueprints and sequences: put together from the tables of the checker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from config.shapes import (
    DRAFT,
    TEXT,
    YES_NO,
    Names,
    Shape,
    any_of,
    like,
    many,
    mapping,
    named,
    not_both,
    one_of,
    some,
    told,
)
from rules import actions, conditions, load, reference, shapes, trials
from rules.blueprints import FILE_KEYS as BLUEPRINT_KEYS
from rules.blueprints import KINDS, OWN_KEYS
from rules.conditions import GROUPS
from rules.expectations import EXPECT
from rules.ruleset import MODES
from rules.schema import KEYS
from rules.sequences import KEYS as SEQUENCE_KEYS
from rules.shapes import ref
from rules.steps import step_actions
from rules.trial_mail import KEYS as MAIL_KEYS

_NAME: Shape = any_of({"type": "number"}, like(r"\S{1,64}"))
_ALONE: Shape = {"if": {"required": ["ignore"]}, "then": {"maxProperties": 1}}
_BLANK: Shape = {"type": "string", "pattern": r"\{\{-?\s*input\."}


def rules_schema(names: Names) -> Shape:
    """The schema of a file of rules."""
    words = mapping({}, others=many(any_of(ref("list"), ref("word"))))
    rule = any_of(ref("rule"), *([ref("use")] if names.inputs else []))
    parts = {"words": words, "rules": {"type": "array", "items": rule}}
    return _schema("rules/*.yaml", mapping({key: parts[key] for key in load.FILE_KEYS}), names, use=_use(names))


def trial_schema(names: Names) -> Shape:
    """The schema of a file of rule tests."""
    trial = {
        "name": TEXT,
        "about": TEXT,
        "mail": any_of({"type": "string"}, mapping({name: shapes.MAIL.get(name, {}) for name in MAIL_KEYS})),
        "event": {},
        "at": shapes.MOMENT,
        "after": shapes.LENGTH,
        "expect": any_of(one_of(("nothing",)), mapping(_expected(names))),
    }
    customers = any_of(shapes.CUSTOMER, {"type": "array", "items": shapes.CUSTOMER})
    parts = {
        "about": TEXT,
        "now": shapes.NOW,
        "given": mapping({"customers": customers}),
        "tests": {
            "type": "array",
            "items": mapping({key: trial[key] for key in trials.TRIAL_KEYS}, needs=["name", "expect"]),
        },
    }
    root = mapping({key: parts[key] for key in trials.FILE_KEYS}, needs=["now", "tests"])
    return _schema("tests/*.yaml", root, names)


def blueprint_schema(names: Names) -> Shape:
    """The schema of a blueprint. Wherever a value stands, an input may."""
    one = {"about": TEXT, "as": one_of(KINDS), "default": many(TEXT), "required": YES_NO}
    parts = {"about": TEXT, "inputs": mapping({}, others=mapping(one)), "rule": ref("blank_rule")}
    schema = _schema("blueprints/*.yaml", mapping({key: parts[key] for key in BLUEPRINT_KEYS}, needs=["rule"]), names)
    own = {key: value for key, value in _rule_parts().items() if key not in ("name", "was", "use", "with")}
    blank = {"blank_rule": mapping(own, needs=["when", "then"]), **schema["definitions"]}
    return {**schema, "definitions": {name: _with_blanks(shape) for name, shape in blank.items()}}


def sequence_schema(names: Names) -> Shape:
    """The schema of a sequence."""
    actions_of = _grammar()["actions"]["properties"]
    done = {name: actions_of[name] for name in step_actions() if name in actions_of}
    mail = {"wait": shapes.LENGTH, "name": _NAME, "template": ref("template"), "reply": YES_NO, "attach": many(TEXT)}
    step = {**done, **mail, "late_after": shapes.LENGTH}
    parts: dict[str, Shape] = {
        **shapes.SEQUENCE,
        "name": _NAME,
        "about": TEXT,
        "steps": {"type": "array", "minItems": 1, "items": some(mapping(step))},
        "done": mapping({"after": shapes.LENGTH, **done}),
    }
    shown = {key: _told(parts.get(key, {}), reference.SEQUENCE, key) for key in SEQUENCE_KEYS}
    return _schema("sequences/*.yaml", mapping(shown, needs=["name", "steps"]), names)


def _schema(title: str, root: Shape, names: Names, **more: Shape) -> Shape:
    whole = {**shapes.definitions(names), **_grammar(), **more}
    return {"$schema": DRAFT, "title": title, **root, "definitions": whole}


def _grammar() -> dict[str, Shape]:
    """The definitions that the checker's own tables make."""
    asked = {
        name: _told(shapes.CONDITIONS.get(name, {}), reference.CONDITIONS, name)
        for name in (*conditions.CONDITIONS, *GROUPS)
    }
    done = {name: _told(shapes.ACTIONS.get(name, {}), reference.ACTIONS, name) for name in actions.ACTIONS}
    words = [name for name, (_, example) in reference.WHENS.items() if "{" not in example]
    longer = {name: shapes.WHENS.get(name, {}) for name in reference.WHENS if name not in words}
    when = any_of(ref("when_word"), *([{**some(mapping(longer)), "maxProperties": 1}] if longer else []))
    return {
        "conditions": mapping(asked),
        "actions": {**not_both(some(mapping(done)), "draft", "send"), **_ALONE},
        "when_word": one_of(words),
        "when": many(when),
        "rule": mapping(
            {key: value for key, value in _rule_parts().items() if key not in ("use", "with")},
            needs=["name", "when", "then"],
        ),
    }


def _rule_parts() -> dict[str, Shape]:
    parts: dict[str, Shape] = {
        "name": _NAME,
        "about": TEXT,
        "mode": one_of(MODES),
        "when": ref("when"),
        "if": ref("conditions"),
        "extract": some(mapping({}, others=shapes.VALUE)),
        "then": ref("actions"),
        "once": shapes.ONCE,
        "stop": YES_NO,
        "was": _NAME,
        "use": TEXT,
        "with": {"type": "object"},
    }
    return {key: _told(parts.get(key, {}), reference.PARTS, key) for key in KEYS}


def _use(names: Names) -> Shape:
    """A rule that fills in a blueprint: what `with` takes depends on which one."""
    parts = _rule_parts()
    own = {key: parts[key] for key in (*OWN_KEYS, "with")} | {"use": named(names.inputs)}
    choices = [_filled(blueprint, inputs) for blueprint, inputs in names.inputs.items()]
    return {**mapping(own, needs=["name", "use"]), "allOf": choices} if choices else {"not": {}}


def _filled(blueprint: str, inputs: Mapping[str, bool]) -> Shape:
    needed = [name for name, required in inputs.items() if required]
    given = mapping(dict.fromkeys(inputs, many(TEXT)), needs=needed)
    then: Shape = {"properties": {"with": given}, **({"required": ["with"]} if needed else {})}
    return {"if": {"properties": {"use": {"const": blueprint}}}, "then": then}


def _expected(names: Names) -> dict[str, Shape]:
    """Lines of `expect`; of an action, one of its values or `yes` or some of its parts."""
    known: dict[str, Any] = {
        "rules": any_of(many(named(names.rules)), {"type": "array", "maxItems": 0}),
        "log": one_of(actions.LOG_WAYS),
        "customer": many(TEXT),
        "extract": mapping({}, others=TEXT),
        "not": many(TEXT),
    }
    value = any_of(many(TEXT), {"type": "object"})
    return {**dict.fromkeys((*actions.ACTIONS, *EXPECT), value), **known}


def _told(shape: Shape, table: Mapping[str, tuple[str, str]], name: str) -> Shape:
    about, example = table.get(name, ("", ""))
    return told(shape, about, example)


def _with_blanks(shape: Shape) -> Shape:
    """The same, with a blank allowed for each value inside."""
    return {key: _PLACES[key](value) if key in _PLACES else value for key, value in shape.items()}


def _or_blank(shape: Any) -> Any:
    return {"anyOf": [_with_blanks(shape), _BLANK]} if isinstance(shape, dict) else shape


def _each(shapes_: Iterable[Any]) -> list[Any]:
    return [_with_blanks(one) for one in shapes_]


_PLACES: dict[str, Any] = {
    "properties": lambda parts: {name: _or_blank(part) for name, part in parts.items()},
    "additionalProperties": _or_blank,
    "items": _or_blank,
    "anyOf": _each,
    "allOf": _each,
}
