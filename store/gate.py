"""What text may enter the store: no NUL and no lone surrogate, which PostgreSQL (and UTF-8) cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def storable(text: str) -> str:
    """The text itself, or with each NUL and lone surrogate replaced by U+FFFD. Mail was cleaned by the parser."""
    if "\0" in text:
        text = text.replace("\0", REPLACEMENT)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "".join(REPLACEMENT if "\ud800" <= sign <= "\udfff" else sign for sign in text)
    return text


def storable_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with every text in it made storable, inner lists and mappings included."""
    return {storable(name): _storable(value) for name, value in values.items()}


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return storable_values(value)
    if isinstance(value, (list, tuple)):
        return [_storable(one) for one in value]
    return value
