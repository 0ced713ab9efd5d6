"""Texts inside rules: "Call {{ customer.name }}". Names are checked when the rule is read."""

from __future__ import annotations

from dataclasses import dataclass

from config.nodes import Node
from rules.needs import check_names
from rules.reader import Reader
from rules.templates import STANDARD_NAMES, check_line


@dataclass(frozen=True, slots=True)
class TextLine:
    """A checked text; rendered by `Plan.line`."""

    source: str


def text_line(node: Node, what: str, reader: Reader) -> TextLine | None:
    """Read a text; what is wrong between {{ and }} becomes a problem at its own column."""
    scalar = reader.scalar(node, what)
    if scalar is None:
        return None
    problems, used = check_line(scalar, STANDARD_NAMES | reader.extracted)
    reader.problems.extend(problems)
    check_names(used, scalar.place, reader)
    return TextLine(scalar.text)
