"""The JSON schema of quietcrm.yaml, walked out of the settings models: a new setting is in it by being there."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config import values
from config.office import HOUR_SETTINGS, WEEKDAYS, Hours, _check_holidays, _parse_intervals
from config.schema import members, settings_of, tag_of
from config.secrets import KINDS
from config.settings import Settings, _check_store
from config.shapes import (
    ANYTHING,
    DRAFT,
    TEXT,
    YES_NO,
    Names,
    Shape,
    any_of,
    clock,
    like,
    many,
    mapping,
    named,
    one_of,
    told,
    whole_number,
)

CLOCK = r"([01]?[0-9]|2[0-4]):[0-5][0-9]"
DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
LENGTH = rf"[0-9]{{1,6}}\s*({'|'.join(sorted({*values.SECONDS, *values.SHORT}, key=len, reverse=True))})s?"
ADDRESS = r"\S+@\S+"
SECRET: Shape = any_of(*(mapping({kind: TEXT}, needs=[kind]) for kind in KINDS))
HOURS = many(like(rf"{CLOCK}\s*-\s*{CLOCK}", "closed", "no"))
WEEKDAY = "|".join(WEEKDAYS)

VALUES: dict[Callable[..., Any], Callable[[], Shape]] = {
    values.parse_length: lambda: like(LENGTH),
    values.parse_since: lambda: like(LENGTH, DAY),
    values.parse_date: lambda: like(DAY),
    values.parse_clock: lambda: clock(CLOCK),
    values.parse_zone: lambda: named(sorted(values.zone_names())),
    values.parse_mail: lambda: like(ADDRESS),
    values.parse_pattern: lambda: like(r"\S*@\S+"),
    values.parse_name: lambda: any_of(like(r"\S{1,64}"), {"type": ["number", "boolean"]}),
    values.parse_language: lambda: any_of(like(r"[A-Za-z]{2,3}(-[A-Za-z]{2,4})?"), {"type": "boolean"}),
    values.parse_secret: lambda: SECRET,
    _check_store: lambda: like(r"(sqlite|postgresql)\S*:\S+"),
    _check_holidays: lambda: any_of(like(r"[A-Za-z]{2,3}(-.+)?"), {"type": "boolean"}),
    _parse_intervals: lambda: HOURS,
}
"""How a value is written, by the function that reads it. A reader that is not here allows what its type allows."""

OWN: dict[str, Callable[[Names], Iterable[str]]] = {
    "rep": lambda names: names.people,
    "shared": lambda names: names.people,
    "admin": lambda names: names.people,
    "auto_templates": lambda names: names.templates,
}
"""Settings whose texts are names of the office."""


def settings_schema(names: Names) -> Shape:
    """The schema of quietcrm.yaml with the office's own names in it."""
    return {"$schema": DRAFT, "title": "quietcrm.yaml", **_model(Settings, names)}


def _model(model: type[BaseModel], names: Names) -> Shape:
    fields = settings_of(model)
    if model is Hours:
        return _hours(fields, names)
    parts = {name: _field(name, field, names) for name, field in fields.items()}
    return mapping(parts, needs=[name for name, field in fields.items() if field.is_required()])


def _hours(fields: dict[str, FieldInfo], names: Names) -> Shape:
    """Weekdays and ranges of them are settings of `hours` themselves."""
    days = dict.fromkeys(("mon-fri", *WEEKDAYS), HOURS)
    rest = {name: _field(name, fields[name], names) for name in HOUR_SETTINGS}
    ranges = {like(f"({WEEKDAY})( *- *({WEEKDAY}))?")["pattern"]: HOURS}
    return {**mapping({**days, **rest}), "patternProperties": ranges}


def _field(name: str, field: FieldInfo, names: Names) -> Shape:
    shape = _shape(field.annotation, field.metadata, names)
    if name in OWN and shape != YES_NO:
        own = named(OWN[name](names)) if OWN[name](names) else TEXT
        shape = many(own) if "anyOf" in shape and {"type": "array"}.items() <= shape["anyOf"][-1].items() else own
    example = str(field.examples[0]) if field.examples else ""
    return told(shape, field.description or "", f"{name}: {example}" if example else "")


def _shape(annotation: Any, metadata: Iterable[Any], names: Names) -> Shape:
    functions = [getattr(one, "func", None) for one in metadata]
    if get_origin(annotation) is Annotated:
        base, *more = get_args(annotation)
        return _shape(base, [*more, *metadata], names)
    read = next((VALUES[one] for one in functions if one in VALUES), None)
    if read is not None:
        return read()
    shape = _plain(annotation, list(metadata), names)
    return any_of(shape["items"], shape) if values.one_or_many in functions and "items" in shape else shape


def _plain(annotation: Any, metadata: list[Any], names: Names) -> Shape:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _model(annotation, names)
    if get_origin(annotation) in (Union, types.UnionType):
        options = [one for one in get_args(annotation) if one is not type(None)]
        if kinds := [one for one in members(annotation) if tag_of(one)]:
            return _kinds(kinds, names)
        return any_of(*(_shape(one, [], names) for one in options))
    if get_origin(annotation) is Literal:
        return one_of(map(str, get_args(annotation)))
    if get_origin(annotation) is dict:
        return {"type": "object", "additionalProperties": _shape(get_args(annotation)[1], [], names)}
    if get_origin(annotation) is tuple:
        return {"type": "array", "items": _shape(get_args(annotation)[0], [], names)}
    return _SIMPLE.get(annotation, partial(dict, ANYTHING))() if annotation is not int else _integer(metadata)


_SIMPLE: dict[Any, Callable[[], Shape]] = {
    bool: lambda: YES_NO,
    str: lambda: TEXT,
    Path: lambda: TEXT,
    float: lambda: {"type": ["number", "string"]},
}


def _integer(metadata: list[Any]) -> Shape:
    bounds = {key: getattr(one, key) for one in metadata for key in ("ge", "le") if hasattr(one, key)}
    return whole_number(bounds.get("ge"), bounds.get("le"))


def _kinds(kinds: list[type[BaseModel]], names: Names) -> Shape:
    """Told apart by `type`, so that an editor speaks of the settings of that kind alone."""
    tags = [tag_of(kind) for kind in kinds]
    whole: Shape = {"type": "object", "required": ["type"], "properties": {"type": one_of(tags)}}
    choices = [
        {"if": {"properties": {"type": {"const": tag}}, "required": ["type"]}, "then": _model(kind, names)}
        for tag, kind in zip(tags, kinds, strict=True)
    ]
    return {**whole, "allOf": choices}
