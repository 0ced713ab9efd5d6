"""`create:` makes a customer, contact, lead, case, order, task or note."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config.nodes import ListNode, MapNode, Node, Scalar
from config.values import NAME
from rules.amounts import read_money
from rules.effect import Effect, Plan
from rules.extract import spoken
from rules.moments import Delay, parse_delay
from rules.reader import Reader
from rules.texts import TextLine, text_line

FIELDS: dict[str, tuple[str, ...]] = {
    "customer": ("name", "domain", "segment", "language", "country", "source"),
    "contact": ("name", "email", "title", "phone", "language", "country"),
    "lead": ("title", "source"),
    "case": ("title", "priority", "due"),
    "order": ("number", "total", "currency"),
    "task": ("title", "due"),
    "note": ("text",),
}
"""What each thing has of its own; any other name becomes a field of the record."""


def build_create(node: Node, reader: Reader) -> list[Effect]:
    """`create: lead`, `create: [lead, task]` or `create: {lead: {title: ...}}`."""
    if isinstance(node, MapNode):
        return [effect for key, value in node.entries for effect in _create(key, value, reader)]
    nodes = node.items if isinstance(node, ListNode) else (node,)
    scalars = [scalar for item in nodes if (scalar := reader.scalar(item, "`create`"))]
    return [effect for scalar in scalars for effect in _create(scalar, None, reader)]


def _create(key: Scalar, node: Node | None, reader: Reader) -> list[Effect]:
    what = key.text
    if what not in FIELDS:
        reader.unknown("thing to create", key, FIELDS)
        return []
    if isinstance(node, Scalar) and node.text.strip().lower() in ("", "yes"):
        node = None
    mapping = reader.mapping(node, f"`{what}`", '{title: "{{ mail.subject }}"}') if node is not None else None
    fields: dict[str, TextLine] = {}
    due: Delay | None = None
    for name, value in mapping.entries if mapping else ():
        if name.text == "due" and "due" in FIELDS[what]:
            scalar = reader.scalar(value, "`due`")
            due = reader.parsed(scalar, parse_delay, "E202") if scalar else None
        elif _is_field(name, what, reader) and (line := text_line(value, f"`{name.text}`", reader)):
            fields[name.text] = line

    def build(plan: Plan) -> Mapping[str, Any]:
        made: dict[str, Any] = {name: plan.line(line.source) for name, line in fields.items()}
        if due is not None:
            made["due_at"] = plan.due(due)
        if what == "order":
            _count(made, plan)
        return {"what": what, "fields": made}

    return [Effect(slot=f"create:{what}", verb="create", shown=f"create {what}", build=build)]


def _count(order: dict[str, Any], plan: Plan) -> None:
    """Turn the written total into `amount`, in minor units of `currency`. What is no money stays as it is written."""
    money = read_money(str(order.get("total", "")), spoken(plan.view))
    if money is None or money.amount < 0:
        return
    del order["total"]
    money = replace(money, currency=money.currency or str(order.get("currency", "")).strip().upper())
    order |= {"amount": money.minor, "currency": money.currency}


def _is_field(name: Scalar, what: str, reader: Reader) -> bool:
    """Refuse names that are hard to use and those one letter away from a known one."""
    known = FIELDS[what]
    near = difflib.get_close_matches(name.text.lower(), known, n=1, cutoff=0.75)
    if name.text not in known and near:
        reader.report("E101", f'unknown part "{name.text}" of `{what}`', name.place, f'did you mean "{near[0]}"?')
        return False
    if not NAME.fullmatch(name.text):
        reader.report(
            "E212", f'"{name.text}" cannot be the name of a field', name.place, "use letters, digits, - and _"
        )
        return False
    return True
