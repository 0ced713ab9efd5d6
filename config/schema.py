"""Looks into the settings models: which settings a place knows, with their examples. For messages and the reference."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from config.settings import Settings


def setting_name(name: str, field: FieldInfo) -> str:
    """The name of a field as people write it."""
    return field.alias or name


def settings_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields of a model by the name people write."""
    return {setting_name(name, field): field for name, field in model.model_fields.items()}


def annotation_at(loc: Sequence[str | int]) -> Any:
    """The type at a pydantic error location (fields, names, indices and union tags); None if there is none."""
    current: Any = Settings
    for part in loc:
        current = _step(current, part)
        if current is None:
            return None
    return current


def model_at(loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model at a location, or None if something else stands there."""
    found = _bare(annotation_at(loc))
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def field_at(loc: Sequence[str | int]) -> FieldInfo | None:
    """The setting at `loc`; for an item of a list, the list."""
    named = list(loc)
    while named and (isinstance(named[-1], int) or named[-1] == "[key]"):
        named.pop()
    # A union tag stands between a name and its fields, never last.
    model = model_at(named[:-1]) if named else None
    return settings_of(model).get(str(named[-1])) if model else None


def example_at(loc: Sequence[str | int]) -> str:
    """How the setting at `loc` might be written, from its field; "" if it has no example."""
    field = field_at(loc)
    return str(field.examples[0]) if field and field.examples else ""


def required_at(loc: Sequence[str | int]) -> bool:
    """True if the setting at `loc` has no default."""
    field = field_at(loc)
    return field is not None and field.is_required()


def words_at(loc: Sequence[str | int]) -> tuple[str, ...]:
    """The words allowed at `loc` if it is a choice, else ()."""
    found = _bare(annotation_at(loc))
    return tuple(str(word) for word in get_args(found)) if get_origin(found) is Literal else ()


def members(annotation: Any) -> tuple[type[BaseModel], ...]:
    """The models of a union told apart by `type`."""
    return tuple(one for one in get_args(_bare(annotation)) if isinstance(one, type) and issubclass(one, BaseModel))


def tag_of(model: type[BaseModel]) -> str:
    """The `type` by which a union knows this model, or ""."""
    field = model.model_fields.get("type")
    return str(get_args(field.annotation)[0]) if field else ""


def _bare(annotation: Any) -> Any:
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        options = [one for one in get_args(annotation) if one is not type(None)]
        return _bare(options[0]) if len(options) == 1 else annotation
    return annotation


def _step(annotation: Any, part: str | int) -> Any:
    found = _bare(annotation)
    if isinstance(found, type) and issubclass(found, BaseModel):
        field = settings_of(found).get(str(part))
        return field.annotation if field else None
    arguments = get_args(found)
    if get_origin(found) is dict:
        return arguments[1]
    if get_origin(found) is tuple:
        return arguments[0]
    return next((one for one in members(found) if tag_of(one) == part), None)
