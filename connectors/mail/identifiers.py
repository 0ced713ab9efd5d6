"""Message-IDs in Message-ID, In-Reply-To and References (RFC 5322, 3.6.4): no angle brackets, no white space."""

from __future__ import annotations

import re

from connectors.mail.words import decode_words, read_line

__all__ = ["merge_references", "parse_identifier", "parse_identifiers"]

REFERENCES_LIMIT = 200
LENGTH_LIMIT = 500
_BRACKETED = re.compile(r"<([^<>]{1,2000})>")
_SPACE = re.compile(r"\s+")


def parse_identifiers(value: bytes) -> list[str]:
    """All ids of a References or In-Reply-To value, in order. Words around them (old phrases) are ignored."""
    if not value:
        return []
    text = read_line(value)
    if "=?" in text:
        text = decode_words(text)
    found = _BRACKETED.findall(text)
    if not found:
        found = [word for word in text.replace(",", " ").split() if "@" in word and not word.startswith(('"', "("))]
    tidied = (_tidy(item) for item in found[: REFERENCES_LIMIT * 5])
    return [item for item in tidied if item]


def parse_identifier(value: bytes) -> str:
    """The id of a Message-ID field, "" if there is none. `<[x@y]>` of Exchange is x@y."""
    found = parse_identifiers(value)
    if found:
        return found[0]
    return _tidy(decode_words(read_line(value)).partition(" ")[0])


def _tidy(text: str) -> str:
    text = _SPACE.sub("", text).strip("<>")
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    return text[:LENGTH_LIMIT]


def merge_references(references: list[str], replied: list[str]) -> tuple[str, ...]:
    """References, then In-Reply-To, oldest first, no repeats. Of too many, the first and the newest stay."""
    merged = tuple(dict.fromkeys([*references, *replied]))
    if len(merged) > REFERENCES_LIMIT:
        return (merged[0], *merged[1 - REFERENCES_LIMIT :])
    return merged
