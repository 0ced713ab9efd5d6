"""Lines of `expect` about actions: `create`, `draft`, `remind`, `tag` ... Each is a subset of what comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from config.nodes import MapNode, Node, Scalar
from rules.creations import FIELDS
from rules.decision import Action
from rules.expectation import Build, Came, Expectation, same, shown_node
from rules.explain import action_line
from rules.mailbox_actions import parse_day
from rules.moments import parse_delay
from rules.office import office_of
from rules.planned import UNLESS, WHO
from rules.reader import YES, Reader, entries
from rules.trial_clock import parse_moment

MAIL_PARTS = ("template", "reply", "to", "in", "at", "unless")
REMIND_PARTS = ("who", "text", "in", "at", "unless")
Test = Callable[[Came, Action], bool]
_ANY_DAY = datetime.fromisoformat("2026-11-20T12:00:00+00:00")


def _line(key: Scalar, node: Node, tests: list[Test]) -> Expectation:
    """Holds if for each test an action of that verb passes it."""
    verb = key.text

    def met(came: Came) -> bool:
        return all(any(test(came, action) for action in came.actions(verb)) for test in tests)

    def shown(came: Came) -> str:
        return "; ".join(action_line(one, came.zone) for one in came.actions(verb)) or "none"

    return Expectation(key=verb, wanted=shown_node(node), place=node.place, met=met, came=shown, verb=verb)


def plain_action(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """`tag: vip`: one of the action's values is that; `yes`: there is such an action."""
    scalars = reader.scalars(node, f"`{key.text}`")
    return _line(key, node, [_has_value(scalar.text) for scalar in scalars]) if scalars else None


def _has_value(word: str) -> Test:
    if word.strip().lower() in YES:
        return lambda _came, _action: True
    return lambda _came, action: any(same(word, str(value)) for value in action.args.values())


def _defined(what: str, names: Callable[[Reader], Iterable[str]]) -> Build:
    """The same for names that must exist; of several, any will do."""

    def build(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
        scalars = reader.scalars(node, f"`{key.text}`")
        if [scalar for scalar in scalars if reader.defined(scalar, names(reader), what) is None]:
            return None
        tests = [_has_value(scalar.text) for scalar in scalars]
        return _line(key, node, [lambda came, action: any(test(came, action) for test in tests)])

    return build


def _file_under(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    scalar = reader.scalar(node, "`file_under`")
    if scalar is None:
        return None
    word = scalar.text

    def test(came: Came, action: Action) -> bool:
        named = came.names.get(action.args["customer_id"] or 0, "")
        return same(word, str(action.args["customer"])) or same(word, named)

    return _line(key, node, [test])


def _sequence(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """`start: after-quote`, `stop: all`, or `yes` for any."""
    tests: list[Test] = []
    for scalar in reader.scalars(node, f"`{key.text}`"):
        known = {*reader.sequences, *YES, *(("all",) if key.text == "stop" else ())}
        if scalar.text not in known:
            reader.unknown("sequence", scalar, reader.sequences, code="E442")
            return None
        tests.append(_has_value(scalar.text))
    return _line(key, node, tests) if tests else None


def _set(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    mapping = reader.mapping(node, "`set`", "{contract: gold}")
    tests = []
    for name, value in mapping.entries if mapping else ():
        scalar = reader.scalar(value, f"`{name.text}`")
        if scalar:
            tests.append(_has_field(name.text, scalar.text))
    return _line(key, node, tests) if tests else None


def _has_field(name: str, wanted: str) -> Test:
    slot = f"set:{name.removeprefix('customer.')}"
    return lambda _came, action: action.slot == slot and same(wanted, str(action.args["value"]))


def _create(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    if not isinstance(node, MapNode):
        tests = [_made(scalar, None, reader) for scalar in reader.scalars(node, "`create`")]
    else:
        tests = [_made(name, value, reader) for name, value in node.entries]
    found = [test for test in tests if test]
    return _line(key, node, found) if found else None


def _made(what: Scalar, node: Node | None, reader: Reader) -> Test | None:
    if what.text not in FIELDS:
        reader.unknown("thing to create", what, FIELDS)
        return None
    wants: list[Test] = []
    mapping = reader.mapping(node, f"`{what.text}`", '{title: "Order"}') if node is not None else None
    for name, value in mapping.entries if mapping else ():
        scalar = reader.scalar(value, f"`{name.text}`")
        if scalar and name.text == "due":
            wants += _due(scalar, reader, lambda action: action.args["fields"].get("due_at"), moment=False)
        elif scalar:
            wants.append(_has_made(name.text, scalar.text))
    return lambda came, action: action.args["what"] == what.text and all(want(came, action) for want in wants)


def _has_made(name: str, wanted: str) -> Test:
    return lambda _came, action: same(wanted, str(action.args["fields"].get(name, "")))


def _mail(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """`draft: quote`, `draft: [quote, thanks]` or `draft: {template: quote, to: ..., in: 3 business days}`."""
    if not isinstance(node, MapNode):
        tests = [test for scalar in reader.scalars(node, f"`{key.text}`") if (test := _template(scalar, reader))]
        return _line(key, node, tests) if tests else None
    wants: list[Test] = []
    for name, value in entries(node, reader, MAIL_PARTS, f"part of `{key.text}`"):
        scalar = reader.scalar(value, f"`{name.text}`")
        if scalar is None:
            continue
        if name.text == "template":
            wants += [test] if (test := _template(scalar, reader)) else []
        else:
            wants += _planned(name.text, scalar, reader)
    return _line(key, node, [lambda came, action: all(want(came, action) for want in wants)])


def _template(scalar: Scalar, reader: Reader) -> Test | None:
    if scalar.text.lower() not in YES and scalar.text not in reader.templates:
        reader.unknown("template", scalar, reader.templates, code="E403")
        return None
    return _has_value(scalar.text)


def _remind(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """`remind: ana`, `remind: owner`, or `remind: {who: ana, in: 1 business day, text: Call}`."""
    if not isinstance(node, MapNode):
        tests = [test for scalar in reader.scalars(node, "`remind`") if (test := _reminded(scalar, reader))]
        return _line(key, node, tests) if tests else None
    wants: list[Test] = []
    for name, value in entries(node, reader, REMIND_PARTS, "part of `remind`"):
        scalar = reader.scalar(value, f"`{name.text}`")
        if scalar is None:
            continue
        if name.text == "who":
            wants += [test] if (test := _reminded(scalar, reader)) else []
        else:
            wants += _planned(name.text, scalar, reader)
    return _line(key, node, [lambda came, action: all(want(came, action) for want in wants)])


def _reminded(scalar: Scalar, reader: Reader) -> Test | None:
    word = scalar.text.strip()
    if word.lower() in YES:
        return _has_value(word)
    found = reader.defined(scalar, (*WHO, *reader.settings.team), "person")
    return (lambda _came, action: word in (action.args["rep"], action.args["who"])) if found else None


def _planned(name: str, scalar: Scalar, reader: Reader) -> list[Test]:
    """What `draft`, `send` and `remind` share."""
    if name in ("in", "at"):
        return _due(scalar, reader, lambda action: action.args["due_at"], moment=name == "at")
    if name == "reply":
        reply = reader.yes_no(scalar, "`reply`")
        return [lambda _came, action: action.args["reply"] is reply]
    if name == "unless":
        word = reader.choice(scalar, UNLESS, "`unless`")
        return [lambda _came, action: action.args["unless"] == UNLESS[word]] if word else []
    return [lambda _came, action: same(scalar.text, str(action.args[name]))]


def _due(scalar: Scalar, reader: Reader, due: Callable[[Action], datetime | None], *, moment: bool) -> list[Test]:
    """`in` counts from the mail's arrival; `at` is a moment as in a rule, or a date with a time."""
    if not moment:
        delay = reader.parsed(scalar, parse_delay, "E202")
        return [lambda came, action: due(action) == delay.after(came.since(action), came.hours)] if delay else []
    text = scalar.text
    # Read once to name what is wrong; what it means depends on the mail's arrival.
    hours = office_of(reader.settings).hours
    if reader.parsed(scalar, lambda words: parse_moment(words, _ANY_DAY, hours), "E203") is None:
        return []
    return [lambda came, action: due(action) == parse_moment(text, came.since(action), came.hours)]


def _flag(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """`flag: today`: the day counts from the mail's arrival, as in a rule."""
    scalar = reader.scalar(node, "`flag`")
    if scalar is None or scalar.text.lower() in YES:
        return _line(key, node, [_has_value("yes")]) if scalar else None
    day = reader.parsed(scalar, parse_day, "E203")
    if day is None:
        return None
    return _line(key, node, [lambda came, action: action.args["day"] == day.after(came.at, came.hours)])


ACTION_LINES: dict[str, Build] = {
    "file_under": _file_under,
    "create": _create,
    "draft": _mail,
    "send": _mail,
    "remind": _remind,
    "stage": _defined("stage", lambda reader: reader.settings.stages.order),
    "owner": _defined("person", lambda reader: reader.settings.team),
    "set": _set,
    "flag": _flag,
    "start": _sequence,
    "stop": _sequence,
}
"""Lines with a grammar of their own; every other action takes one of its values, or `yes` (plain_action)."""
