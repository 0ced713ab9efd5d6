"""Reads `then:`. The table of every action there is, and what this release does not have yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from config.nodes import ListNode, MapNode, Node, Scalar
from config.values import NAME
from rules.creations import build_create
from rules.effect import Effect, Plan
from rules.enrolling import build_start, build_stop
from rules.ladder import domain_customers
from rules.mailbox_actions import categories, flag, move
from rules.needs import check_action
from rules.planned import build_draft, build_remind, build_send
from rules.reader import Reader, entries
from rules.texts import TextLine, text_line

Build = Callable[[Node, Reader], list[Effect]]
LONGEST_LINE = 500
"""Characters of a line to a channel."""
LOG_WAYS = ("yes", "headers", "no")


def read_actions(node: Node, reader: Reader) -> list[Effect]:
    """The effects of a `then`; faults go to the reader."""
    mapping = reader.mapping(node, "`then`", "{tag: complaint}")
    if mapping is None:
        return []
    if not mapping.entries:
        reader.report("E106", "`then` does nothing", node.place, "write at least one action, for example {log: yes}")
    effects: list[Effect] = []
    for key, value in mapping.entries:
        if key.text in ACTIONS:
            check_action(key, reader)
            effects += ACTIONS[key.text](value, reader)
        else:
            reader.unknown("action", key, ACTIONS)
    _refuse_company(mapping, reader)
    _refuse_both(mapping, reader)
    return effects


def _refuse_company(then: MapNode, reader: Reader) -> None:
    """`ignore` ends everything and `log: no` keeps nothing, so nothing can be done beside them."""
    names = [key.text for key, _ in then.entries]
    log = then.get("log")
    drops = isinstance(log, Scalar) and log.text.strip().lower() in ("no", "false", "off")
    alone = "ignore" if "ignore" in names else "log" if drops else ""
    for key, _ in then.entries:
        if alone and key.text != alone:
            shown = "ignore" if alone == "ignore" else "log: no"
            help = f"take `{key.text}` away, or move it into a rule of its own"
            reader.report("E408", f"`{key.text}` beside `{shown}`, which leaves nothing to act on", key.place, help)


def _refuse_both(then: MapNode, reader: Reader) -> None:
    """`draft` and `send` claim the same slot, so the second of them would never happen."""
    both = [key for key, _ in then.entries if key.text in ("draft", "send")]
    if len({key.text for key in both}) > 1:
        message = f"`{both[1].text}` beside `{both[0].text}`: a rule prepares one mail"
        help = f"take `{both[1].text}` away, or move it into a rule of its own"
        reader.report("E408", message, both[1].place, help)


# --- single-answer slots


def _log(node: Node, reader: Reader) -> list[Effect]:
    scalar = reader.scalar(node, "`log`")
    aliases = {"true": "yes", "on": "yes", "false": "no", "off": "no"}
    word = aliases.get(scalar.text.strip().lower(), scalar.text) if scalar else ""
    how = reader.choice(Scalar(word, scalar.place), LOG_WAYS, "`log`") if scalar else None
    if how is None:
        return []
    return [Effect(slot="log", verb="log", shown=f"log: {how}", build=lambda _: {"how": how}, history=True)]


def _ignore(node: Node, reader: Reader) -> list[Effect]:
    scalar = reader.scalar(node, "`ignore`")
    if scalar is None:
        return []
    reason = scalar.text.strip()
    return [Effect(slot="ignore", verb="ignore", shown=f"ignore: {reason}", build=lambda _: {"reason": reason})]


def _file_under(node: Node, reader: Reader) -> list[Effect]:
    line = text_line(node, "`file_under`", reader)
    if line is None:
        return []

    def build(plan: Plan) -> Mapping[str, Any] | None:
        name = plan.line(line.source).strip()
        return {"customer": name, "customer_id": _customer_id(plan, name)} if name else None

    return [Effect(slot="file_under", verb="file_under", shown=f"file_under: {line.source}", build=build, history=True)]


def _customer_id(plan: Plan, name: str) -> int | None:
    """The customer of that name or address, if the directory has exactly one."""
    view = plan.view
    if "@" in name:
        contacts = view.directory.contacts.get(name.lower(), ())
        found = {one.customer_id for one in contacts} or set(
            domain_customers(name.rpartition("@")[2].lower(), view.directory, view.office)
        )
    else:
        found = {one.id for one in view.directory.customers.values() if one.name.casefold() == name.casefold()}
    return found.pop() if len(found) == 1 else None


def _stage(node: Node, reader: Reader) -> list[Effect]:
    back = False
    target: Node | None = node
    if isinstance(node, MapNode):
        target = None
        for key, value in entries(node, reader, ("to", "back"), "part of `stage`"):
            if key.text == "to":
                target = value
            else:
                back = bool(reader.yes_no(value, "`back`"))
        if target is None:
            reader.report("E102", "`stage` needs `to`", node.place, "write for example {to: lead, back: yes}")
    scalar = reader.scalar(target, "`stage`") if target else None
    stage = reader.defined(scalar, reader.settings.stages.order, "stage") if scalar else None
    if stage is None:
        return []
    args = {"to": stage, "back": back}
    return [Effect(slot="stage", verb="stage", shown=f"stage: {stage}", build=lambda _: args)]


def _segment(node: Node, reader: Reader) -> list[Effect]:
    line = text_line(node, "`segment`", reader)
    return [_text_effect("segment", "segment", line)] if line else []


def _text_effect(slot: str, verb: str, line: TextLine, *, additive: bool = False) -> Effect:
    def build(plan: Plan) -> Mapping[str, Any] | None:
        text = plan.line(line.source).strip()
        return {"tag" if verb in ("tag", "untag") else verb: text} if text else None

    return Effect(slot=slot, verb=verb, shown=f"{verb}: {line.source}", build=build, additive=additive)


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is among several. Taken from what is judged, so that every evaluation gives the same answer."""

    reps: tuple[str, ...]

    def pick(self, plan: Plan) -> str:
        """One of them, evenly over many mails."""
        message, occasion = plan.view.message, plan.view.occasion
        sender = message.sender.key if message.sender else ""
        named = occasion.event if occasion else f"{message.message_id}\0{sender}"
        return self.reps[crc32(named.encode("utf-8", "replace")) % len(self.reps)]


def _owner(node: Node, reader: Reader) -> list[Effect]:
    if not isinstance(node, MapNode):
        scalar = reader.scalar(node, "`owner`")
        rep = reader.defined(scalar, reader.settings.team, "person") if scalar else None
        return [Effect(slot="owner", verb="owner", shown=f"owner: {rep}", build=lambda _: {"rep": rep})] if rep else []
    reps: list[str] = []
    for _, value in entries(node, reader, ("round_robin",), "part of `owner`"):
        for scalar in reader.scalars(value, "`round_robin`"):
            rep = reader.defined(scalar, reader.settings.team, "person")
            reps += [rep] if rep else []
    if not reps:
        return []
    turn = Turn(tuple(reps))
    shown = f"owner: one of {', '.join(reps)}"
    return [
        Effect(
            slot="owner",
            verb="owner",
            shown=shown,
            build=lambda plan: {"rep": turn.pick(plan), "round_robin": list(turn.reps)},
        )
    ]


_OWN_ACTIONS = {"stage": "stage", "owner": "owner", "segment": "segment", "tag": "tag", "tags": "tag"}


def _set(node: Node, reader: Reader) -> list[Effect]:
    mapping = reader.mapping(node, "`set`", "{contract: gold}")
    return [effect for key, value in mapping.entries for effect in _set_one(key, value, reader)] if mapping else []


def _set_one(key: Scalar, value: Node, reader: Reader) -> list[Effect]:
    target = "contact" if key.text.startswith("contact.") else "customer"
    name = key.text.removeprefix("contact.").removeprefix("customer.")
    if name in _OWN_ACTIONS:
        action = _OWN_ACTIONS[name]
        reader.report("E101", f'`set` cannot change "{name}"', key.place, f"use the action `{action}`")
        return []
    if not NAME.fullmatch(name):
        help = "use letters, digits, - and _"
        reader.report("E212", f'"{key.text}" cannot be the name of a field', key.place, help)
        return []
    line = text_line(value, f"`{key.text}`", reader)
    if line is None:
        return []
    return [
        Effect(
            slot=f"set:{'contact.' if target == 'contact' else ''}{name}",
            verb="set",
            shown=f"set {key.text}: {line.source}",
            build=lambda plan: {"target": target, "field": name, "value": plan.line(line.source)},
        )
    ]


# --- additive


def _tags(verb: str) -> Build:
    def build(node: Node, reader: Reader) -> list[Effect]:
        nodes = node.items if isinstance(node, ListNode) else (node,)
        lines = [line for item in nodes if (line := text_line(item, f"`{verb}`", reader))]
        return [_text_effect(f"tag:{line.source}", verb, line, additive=True) for line in lines]

    return build


def _notify(node: Node, reader: Reader) -> list[Effect]:
    """One line to a channel, or a list of them."""
    nodes = node.items if isinstance(node, ListNode) else (node,)
    found = [_notification(item, number, reader) for number, item in enumerate(nodes, 1)]
    return [effect for effect in found if effect]


def _notification(node: Node, number: int, reader: Reader) -> Effect | None:
    mapping = reader.mapping(node, "`notify`", '{channel: oncall, text: "{{ mail.subject }}"}')
    if mapping is None:
        return None
    channel: str | None = None
    text = TextLine("{{ customer.name }}: {{ mail.subject }}")
    for key, value in entries(mapping, reader, ("channel", "text"), "part of `notify`"):
        if key.text == "text":
            text = text_line(value, "`text`", reader) or text
        elif scalar := reader.scalar(value, "`channel`"):
            channel = reader.defined(scalar, reader.settings.channels, "channel")
    if mapping.get("channel") is None:
        reader.report("E102", "`notify` needs a channel", mapping.place, "add for example channel: oncall")
    if channel is None:
        return None
    name = channel

    def build(plan: Plan) -> Mapping[str, Any] | None:
        line = plan.line(text.source).strip(" :")[:LONGEST_LINE]
        return {"channel": name, "text": line} if line else None

    slot = f"notify:{name}" if number == 1 else f"notify:{name}:{number}"
    return Effect(slot=slot, verb="notify", shown=f"notify {name}: {text.source}", build=build, apart=True)


ACTIONS: dict[str, Build] = {
    "log": _log,
    "ignore": _ignore,
    "file_under": _file_under,
    "create": build_create,
    "set": _set,
    "tag": _tags("tag"),
    "untag": _tags("untag"),
    "segment": _segment,
    "stage": _stage,
    "owner": _owner,
    "remind": build_remind,
    "draft": build_draft,
    "send": build_send,
    "category": categories("category"),
    "uncategory": categories("uncategory"),
    "flag": flag,
    "move": move,
    "notify": _notify,
    "start": build_start,
    "stop": build_stop,
}
"""Actions by name."""
