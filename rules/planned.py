"""`remind:`, `draft:` and `send:`: what happens later, unless somebody answers before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from config.nodes import ListNode, MapNode, Node, Scalar
from rules.addresses import is_pattern
from rules.clock import GrammarError
from rules.effect import REMINDER_LATE, Effect, Plan
from rules.enclosures import check_enclosures
from rules.moments import At, Delay, parse_at, parse_delay
from rules.needs import check_names, refuse
from rules.reader import Reader, entries
from rules.texts import TextLine, text_line

UNLESS = {"replied": "replied", "mail sent": "mail sent", "never": "", "no": ""}
WHO = ("owner", "sender", "admin")
_REMIND = ("who", "in", "at", "as", "unless", "text", "late_after")
_MAIL = ("template", "reply", "to", "attach", "in", "at", "unless", "late_after")


@dataclass(slots=True)
class _When:
    """The parts that all have. `unless` None = the default."""

    moment: Delay | At | None = None
    unless: str | None = None
    late: Delay | None = None


def build_remind(node: Node, reader: Reader) -> list[Effect]:
    """One reminder or a list of them."""
    nodes = node.items if isinstance(node, ListNode) else (node,)
    found = [
        _remind(item, "remind" if number == 1 else f"remind:{number}", reader) for number, item in enumerate(nodes, 1)
    ]
    return [effect for effect in found if effect]


def _remind(node: Node, slot: str, reader: Reader) -> Effect | None:
    mapping = reader.mapping(node, "`remind`", "{who: owner, in: 2 business days, text: Call}")
    if mapping is None:
        return None
    when, who, text, way = _When(), "owner", None, "mail"
    for key, value in entries(mapping, reader, _REMIND, "part of `remind`"):
        if key.text == "who":
            who = _who(value, reader)
        elif key.text == "text":
            text = text_line(value, "`text`", reader)
        elif key.text == "as":
            way = _as(value, reader)
        else:
            _read_when(key, value, when, mapping, reader)

    def build(plan: Plan) -> Mapping[str, Any]:
        due = plan.due(when.moment)
        return {
            "rep": plan.person(who),
            "who": who,
            "due_at": due,
            "late_after": plan.late(due, when.late or REMINDER_LATE),
            "unless": plan.ends_by_itself if when.unless is None else when.unless,
            "text": plan.line(text.source) if text else plan.title,
            "as": way,
        }

    shown = f"remind {who}" if way == "mail" else f"remind {who} as {way}"
    return Effect(slot=slot, verb="remind", shown=shown, build=build, apart=True)


def _who(node: Node, reader: Reader) -> str:
    scalar = reader.scalar(node, "`who`")
    known = (*WHO, *reader.settings.team)
    return (reader.defined(scalar, known, "person") if scalar else None) or "owner"


def _as(node: Node, reader: Reader) -> str:
    """What the reminder shall be. Where the rep's mailbox has no calendar or task list it is a mail at that time."""
    scalar = reader.scalar(node, "`as`")
    return (reader.choice(scalar, ("mail", "calendar", "task"), "`as`") if scalar else None) or "mail"


def build_draft(node: Node, reader: Reader) -> list[Effect]:
    """`draft: template` or `draft: {template, reply, to, in | at, unless, late_after}`."""
    return _read_mail("draft", node, reader)


def build_send(node: Node, reader: Reader) -> list[Effect]:
    """`send:` with the grammar of `draft:`. The template must be one of `send: auto_templates` (decision 24)."""
    return _read_mail("send", node, reader)


def _read_mail(verb: str, node: Node, reader: Reader) -> list[Effect]:
    if isinstance(node, Scalar):
        template = _template(verb, node, reader)
        return [_mail(verb, template, False, None, _When())] if template else []
    mapping = reader.mapping(node, f"`{verb}`", "{template: quote, reply: yes}")
    if mapping is None:
        return []
    return _mail_parts(verb, mapping, reader)


def _mail_parts(verb: str, mapping: MapNode, reader: Reader) -> list[Effect]:
    when, template, reply, to = _When(), None, False, None
    attach: tuple[Scalar, ...] = ()
    for key, value in entries(mapping, reader, _MAIL, f"part of `{verb}`"):
        if key.text == "template":
            template = _template(verb, value, reader)
        elif key.text == "reply":
            reply = bool(reader.yes_no(value, "`reply`"))
            if reply:
                refuse("mail", "`reply: yes`", value.place, reader)
        elif key.text == "to":
            to = _recipient(value, reader)
        elif key.text == "attach":
            attach = tuple(reader.scalars(value, "`attach`"))
        else:
            _read_when(key, value, when, mapping, reader)
    if mapping.key("template") is None:
        reader.report(
            "E102", f"`{verb}` needs a template", mapping.place, "write for example {template: quote, reply: yes}"
        )
    if template and attach and reader.office:
        languages = reader.template_languages.get(template, ())
        reader.problems += check_enclosures(attach, languages, reader.office, gone=reader.older)
    names = tuple(one.text for one in attach)
    return [_mail(verb, template, reply, to, when, names)] if template else []


def _template(verb: str, node: Node, reader: Reader) -> str | None:
    scalar = reader.scalar(node, f"`{verb}`")
    if scalar is None:
        return None
    if scalar.text not in reader.templates:
        reader.unknown("template", scalar, reader.templates, code="E403")
        return None
    if missing := sorted(reader.template_needs.get(scalar.text, frozenset()) - reader.extracted):
        message = f'the template "{scalar.text}" writes {{{{ {missing[0]} }}}}, which this rule does not extract'
        help = f"add to `extract` of this rule: {missing[0]}, or give the template a fallback"
        reader.report("E418", message, scalar.place, help)
        return None
    check_names(reader.template_names.get(scalar.text, ()), scalar.place, reader)
    if verb == "send" and scalar.text not in reader.settings.send.auto_templates:
        name = scalar.text
        help = f'add "{name}" to `send: auto_templates` in quietcrm.yaml, or write `draft: {name}`'
        reader.report("E414", f'the template "{name}" may not leave by itself', scalar.place, help)
        return None
    return scalar.text


def _recipient(node: Node, reader: Reader) -> TextLine | None:
    line = text_line(node, "`to`", reader)
    if line and isinstance(node, Scalar) and "{" not in line.source:
        address = line.source
        if not is_pattern(address) or "*" in address or address.startswith("@"):
            help = 'write an address, or for example "{{ contact.email }}"'
            reader.report("E205", f'"{address}" is not a mail address', node.place, help)
    return line


def _mail(
    verb: str, template: str, reply: bool, to: TextLine | None, when: _When, attach: tuple[str, ...] = ()
) -> Effect:
    def build(plan: Plan) -> Mapping[str, Any] | None:
        recipient = plan.line(to.source).strip() if to else plan.recipient()
        if "@" not in recipient:
            return None
        due = plan.due(when.moment)
        later = "replied" if when.moment is not None else ""
        return {
            "template": template,
            "reply": reply,
            "to": recipient,
            "rep": plan.person("owner"),
            "due_at": due,
            "late_after": plan.mail_late(due, when.late),
            "unless": later if when.unless is None else when.unless,
            "values": {**plan.of_the_occasion, **plan.given},
            "attach": list(attach),
        }

    return Effect(slot="draft", verb=verb, shown=f"{verb} {template}", build=build)


def _read_when(key: Scalar, node: Node, when: _When, mapping: MapNode, reader: Reader) -> None:
    """`in`, `at`, `unless` and `late_after`."""
    scalar = reader.scalar(node, f"`{key.text}`")
    if scalar is None:
        return
    if key.text == "unless":
        word = reader.choice(scalar, UNLESS, "`unless`")
        when.unless = UNLESS[word] if word else None
    elif key.text == "late_after":
        when.late = reader.parsed(scalar, parse_delay, "E202")
    elif key.text == "at" and mapping.key("in"):
        reader.report("E413", "`at` beside `in`", key.place, "keep one of the two")
    else:
        when.moment = _moment(key.text, scalar, reader)


def _moment(name: str, scalar: Scalar, reader: Reader) -> Delay | At | None:
    if name == "in" and _is_understood(parse_at, scalar.text):
        reader.report("E203", f'"{scalar.text}" is no length of time', scalar.place, f"write `at: {scalar.text}`")
        return None
    if name == "at" and _is_understood(parse_delay, scalar.text):
        reader.report("E203", f'"{scalar.text}" is no point in time', scalar.place, f"write `in: {scalar.text}`")
        return None
    if name == "in":
        return reader.parsed(scalar, parse_delay, "E202")
    return reader.parsed(scalar, parse_at, "E203")


def _is_understood(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except GrammarError:
        return False
    return True
