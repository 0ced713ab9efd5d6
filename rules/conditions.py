"""Reads `if:`. The table of every condition there is, and what this release does not have yet."""

from __future__ import annotations

from config.nodes import ListNode, MapNode, Node, Scalar
from rules.condition import Condition, all_of, any_of, none_of
from rules.customer_conditions import CUSTOMER
from rules.machine_conditions import MACHINE
from rules.mail_conditions import MAIL, Build
from rules.meeting_conditions import MEETING
from rules.needs import refuse
from rules.reader import Reader
from rules.time_conditions import TIME

CONDITIONS: dict[str, Build] = {**MAIL, **MACHINE, **CUSTOMER, **TIME, **MEETING}
GROUPS = {"all": all_of, "any": any_of, "none": none_of}
_OF_A_MAIL = frozenset({*MAIL, *MACHINE}) - {"language"}
"""`language` falls back to that of the contact."""


def read_conditions(node: Node, reader: Reader) -> list[Condition]:
    """The conditions of a mapping, which must all hold; faults go to the reader."""
    if not isinstance(node, MapNode):
        reader.report("E105", "`if` needs a mapping of conditions", node.place, "write for example {known: yes}")
        return []
    found: list[Condition] = []
    for key, value in node.entries:
        condition = _read_one(key, value, reader)
        if condition is not None:
            found.append(condition)
    return found


def _read_one(key: Scalar, value: Node, reader: Reader) -> Condition | None:
    name = key.text
    if name in GROUPS:
        return _read_group(name, value, reader)
    build = CONDITIONS.get(name)
    if build is None:
        reader.unknown("condition", key, (*CONDITIONS, *GROUPS))
        return None
    reader.chooses = reader.chooses or name in CUSTOMER
    for what, names in (("mail", _OF_A_MAIL), ("meeting", MEETING)):
        if name in names:
            near = 'did you mean "subject"? Or ' if name == "title" else ""
            refuse(what, f"`{name}`", key.place, reader, near)
    return build(name, value, reader)


def _read_group(name: str, node: Node, reader: Reader) -> Condition | None:
    nodes = node.items if isinstance(node, ListNode) else (node,)
    if not nodes or isinstance(node, Scalar):
        reader.report("E105", f"`{name}` needs a list of conditions", node.place, "write for example [{known: yes}]")
        return None
    members: list[Condition] = []
    for item in nodes:
        conditions = read_conditions(item, reader)
        if conditions:
            members.append(conditions[0] if len(conditions) == 1 else all_of("all", conditions))
    return GROUPS[name](name, members) if members else None
