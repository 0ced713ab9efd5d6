"""Reads the steps of a sequence, and the actions of rules that they and `done` have."""

from __future__ import annotations

from collections.abc import Iterator

from config.nodes import ListNode, MapNode, Node, Scalar
from config.values import NAME
from rules.actions import ACTIONS
from rules.effect import MAIL_LATE, Effect
from rules.enclosures import check_enclosures
from rules.moments import Delay, parse_delay
from rules.needs import check_names
from rules.reader import Reader
from rules.sequence import Step, StepMail, StopWhen

STEP_KEYS = ("wait", "name", "template", "reply", "attach", "late_after")
_NO_ACTION = ("log", "ignore", "file_under", "draft", "send", "category", "uncategory", "move", "flag", "start", "stop")
"""Actions on a mail at hand, of which a step has none, and those a step says in its own way."""
_EXAMPLE = "{wait: 3 business days, template: reminder, reply: yes}"


def step_actions() -> tuple[str, ...]:
    """The actions of rules that a step and `done` may have."""
    return tuple(name for name in ACTIONS if name not in _NO_ACTION)


def read_steps(root: MapNode, mode: str, reader: Reader) -> tuple[Step, ...]:
    """The steps of a sequence file in their order, those with faults left out; every fault goes to `reader`."""
    value = root.get("steps")
    if value is None:
        if root.key("steps") is None:
            reader.report("E102", "the sequence has no `steps`", root.place, f"add: steps: [{_EXAMPLE}]")
        return ()
    if not isinstance(value, ListNode) or not value.items:
        reader.report("E105", "`steps` needs a list of steps", value.place, f"write for example - {_EXAMPLE}")
        return ()
    names: dict[str, Scalar] = {}
    found = [_step(number, item, mode, names, reader) for number, item in enumerate(value.items, 1)]
    return tuple(step for step in found if step)


def _step(number: int, node: Node, mode: str, names: dict[str, Scalar], reader: Reader) -> Step | None:
    mapping = reader.mapping(node, "a step", _EXAMPLE)
    if mapping is None:
        return None
    before = len(reader.problems)
    own = MapNode(tuple(entry for entry in mapping.entries if entry[0].text in STEP_KEYS), mapping.place)
    rest = MapNode(tuple(entry for entry in mapping.entries if entry[0].text not in STEP_KEYS), mapping.place)
    parts = {key.text: value for key, value in own.entries}
    wait = _length("wait", parts.get("wait"), reader)
    late = _length("late_after", parts.get("late_after"), reader)
    mail = _mail(own, mode, reader)
    effects = read_effects(rest, reader, "part of a step", STEP_KEYS)
    name = _step_name(parts.get("name"), names, reader)
    if number > 1 and "wait" not in parts:
        reader.report("E102", "only the first step comes at once", mapping.place, "add: wait: 3 business days")
    if len(reader.problems) == before and not mail and not effects:
        message, help = "this step does nothing", "add a template, or remind: {who: owner, text: Call}"
        reader.report("E443", message, mapping.place, help)
    return Step(number=number, name=name, wait=wait, mail=mail, effects=effects, late_after=late or MAIL_LATE)


def _length(name: str, node: Node | None, reader: Reader) -> Delay | None:
    scalar = reader.scalar(node, f"`{name}`") if node is not None else None
    return reader.parsed(scalar, parse_delay, "E202") if scalar else None


def _step_name(node: Node | None, names: dict[str, Scalar], reader: Reader) -> str:
    scalar = reader.scalar(node, "`name`") if node is not None else None
    if scalar is None:
        return ""
    if not NAME.fullmatch(scalar.text):
        help = "use letters, digits and - without spaces"
        reader.report("E212", f'"{scalar.text}" cannot be the name of a step', scalar.place, help)
    elif names.setdefault(scalar.text, scalar) is not scalar:
        first = names[scalar.text].place.line
        message = f'a step "{scalar.text}" is in line {first} already'
        reader.report("E441", message, scalar.place, f'rename to "{scalar.text}-2"')
    return scalar.text


def _mail(own: MapNode, mode: str, reader: Reader) -> StepMail | None:
    parts = {key.text: value for key, value in own.entries}
    reply = bool(reader.yes_no(parts["reply"], "`reply`")) if "reply" in parts else False
    attach = tuple(reader.scalars(parts["attach"], "`attach`")) if "attach" in parts else ()
    if "template" not in parts:
        for name in ("reply", "attach"):
            if name in parts:
                help = f"add: template: reminder, or take `{name}` away"
                reader.report("E102", f"`{name}` needs a template", own.place, help)
        return None
    scalar = reader.scalar(parts["template"], "`template`")
    if scalar is None or not _may_use(scalar, mode, reader):
        return None
    if attach and reader.office:
        languages = reader.template_languages.get(scalar.text, ())
        reader.problems += check_enclosures(attach, languages, reader.office, gone=reader.older)
    return StepMail(template=scalar.text, reply=reply, attach=tuple(one.text for one in attach))


def _may_use(template: Scalar, mode: str, reader: Reader) -> bool:
    if template.text not in reader.templates:
        reader.unknown("template", template, reader.templates, code="E403")
        return False
    if missing := sorted(reader.template_needs.get(template.text, frozenset())):
        message = (
            f'the template "{template.text}" writes {{{{ {missing[0]} }}}}, which only a rule can take out of a mail'
        )
        reader.report("E418", message, template.place, "write it with | or(...), or use another template here")
        return False
    check_names(reader.template_names.get(template.text, ()), template.place, reader)
    if mode == "auto" and template.text not in reader.settings.send.auto_templates:
        help = f'add "{template.text}" to `send: auto_templates` in quietcrm.yaml, or write `mode: ask`'
        reader.report("E414", f'the template "{template.text}" may not leave by itself', template.place, help)
        return False
    return True


def read_effects(node: MapNode, reader: Reader, what: str, beside: tuple[str, ...]) -> tuple[Effect, ...]:
    """The actions of rules in a step or in `done`."""
    found: list[Effect] = []
    allowed = step_actions()
    for key, value in node.entries:
        if key.text not in allowed:
            reader.unknown(what, key, (*beside, *allowed))
        else:
            found += ACTIONS[key.text](value, reader)
    return tuple(found)


def check_ends_itself(root: MapNode, stop: StopWhen, reader: Reader) -> None:
    """A step that changes what ends the sequence makes those behind it unreachable."""
    nodes = root.get("steps")
    items = nodes.items if isinstance(nodes, ListNode) else ()
    for index, item in enumerate(items[:-1]):
        for key, what in _self_made(item, stop) if isinstance(item, MapNode) else ():
            message = f"this step itself ends the sequence ({what}), so step {index + 2} is never reached"
            reader.report("E443", message, key.place, "make it the last step, or change `stop_when`")


def _self_made(step: MapNode, stop: StopWhen) -> Iterator[tuple[Scalar, str]]:
    for key, value in step.entries:
        texts = {one.text.strip() for one in _scalars(value)}
        if key.text == "stage" and texts & stop.stages:
            yield key, f"stage {min(texts & stop.stages)}"
        elif key.text == "tag" and texts & stop.tags:
            yield key, f"tag {min(texts & stop.tags)}"


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _scalars(item)
    else:
        for _, value in node.entries:
            yield from _scalars(value)
