"""`expect:` of a rule test: what must come of the mail, and what must not. A subset, except for `rules`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from config.nodes import ListNode, MapNode, Node, Place, Scalar, plain
from rules.actions import ACTIONS, LATER
from rules.condition import clip
from rules.creations import FIELDS
from rules.decision import Action, Decision, Outcome, RuleTrace
from rules.explain import action_line
from rules.hours import OfficeHours
from rules.moments import parse_delay
from rules.planned import UNLESS, WHO
from rules.reader import NO, YES, Reader, entries
from rules.trial_clock import parse_moment

MAIL_PARTS = ("template", "reply", "to", "in", "at", "unless")
REMIND_PARTS = ("who", "text", "in", "at", "unless")


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came of the mail of a test. `names`: customer id -> name."""

    decision: Decision
    at: datetime
    zone: ZoneInfo
    hours: OfficeHours
    names: Mapping[int, str]

    @property
    def fired(self) -> tuple[RuleTrace, ...]:
        """The rules whose conditions held and that are on, in their order."""
        return tuple(trace for trace in self.decision.traces if trace.result == "fired")

    def actions(self, verb: str) -> list[Action]:
        """The actions of one sort."""
        return [action for action in self.decision.actions if action.verb == verb]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One line of `expect`. `wanted` as written; `came` tells what there was instead.

    rules   names of rules that it is about; verb: the action that it is about, "" for none
    """

    key: str
    wanted: str
    place: Place
    met: Callable[[Came], bool]
    came: Callable[[Came], str]
    rules: tuple[str, ...] = ()
    verb: str = ""


Build = Callable[[Scalar, Node, Reader], Expectation | None]
Test = Callable[[Came, Action], bool]


def read_expect(node: Node, reader: Reader, rules: Sequence[str] | None) -> tuple[Expectation, ...]:
    """The lines of an `expect`; faults go to the reader. `rules`: names of those there are, None = not known."""
    if isinstance(node, Scalar):
        word = reader.choice(node, ("nothing",), "`expect`")
        return (_nothing(node),) if word else ()
    mapping = reader.mapping(node, "`expect`", "{rules: [my-rule]}")
    if mapping is None:
        return ()
    if not mapping.entries:
        reader.report("E106", "`expect` says nothing", node.place, "write for example: nothing")
    found = [_read_line(key, value, reader, rules) for key, value in mapping.entries]
    return tuple(one for one in found if one)


def _read_line(key: Scalar, value: Node, reader: Reader, rules: Sequence[str] | None) -> Expectation | None:
    if key.text == "rules":
        return _rules(value, reader, rules)
    if key.text in EXPECT:
        return EXPECT[key.text](key, value, reader)
    if key.text in ACTIONS:
        return _plain_action(key, value, reader)
    if key.text in LATER or key.text == "extract":
        reader.later(f"`expect: {{{key.text}: ...}}`", key.place, "take it away until then")
    else:
        reader.unknown("part of `expect`", key, ("rules", *EXPECT, *ACTIONS))
    return None


# --- what became of the mail


def _nothing(node: Scalar) -> Expectation:
    return Expectation(
        key="nothing",
        wanted="no rule does anything",
        place=node.place,
        met=lambda came: not any(trace.done for trace in came.fired),
        came=lambda came: "; ".join(f"{one.rule}: {', '.join(one.done)}" for one in came.fired if one.done),
    )


def _rules(node: Node, reader: Reader, known: Sequence[str] | None) -> Expectation | None:
    empty = isinstance(node, ListNode) and not node.items
    scalars = [] if empty else reader.scalars(node, "`rules`")
    for scalar in scalars:
        if known is not None and scalar.text not in known:
            reader.unknown("rule", scalar, known, code="E424")
    names = tuple(scalar.text for scalar in scalars)
    return Expectation(
        key="rules",
        wanted=", ".join(names) or "none",
        place=node.place,
        met=lambda came: tuple(one.rule for one in came.fired) == names,
        came=lambda came: ", ".join(one.rule for one in came.fired) or "none",
        rules=names,
    )


_LOGGED = {Outcome.LOG: "yes", Outcome.HEADERS: "headers"}


def _log(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    scalar = reader.scalar(node, "`log`")
    word = (
        {**dict.fromkeys(YES, "yes"), **dict.fromkeys(NO, "no")}.get(scalar.text.lower(), scalar.text) if scalar else ""
    )
    how = reader.choice(Scalar(word, scalar.place), ("yes", "headers", "no"), "`log`") if scalar else None
    if how is None:
        return None
    return Expectation(
        key="log",
        wanted=how,
        place=node.place,
        met=lambda came: _LOGGED.get(came.decision.outcome, "no") == how,
        came=lambda came: f"{_LOGGED.get(came.decision.outcome, 'no')} ({came.decision.reason})",
        verb="log",
    )


def _ignore(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    scalar = reader.scalar(node, "`ignore`")
    if scalar is None:
        return None
    word = scalar.text.strip()

    def met(came: Came) -> bool:
        ignored = came.decision.outcome is Outcome.IGNORED
        if word.lower() in NO:
            return not ignored
        return ignored and (word.lower() in YES or _same(word, came.decision.reason))

    def shown(came: Came) -> str:
        return came.decision.reason if came.decision.outcome is Outcome.IGNORED else "not ignored"

    return Expectation(key="ignore", wanted=word, place=node.place, met=met, came=shown, verb="ignore")


def _customer(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    names = [scalar.text.strip() for scalar in reader.scalars(node, "`customer`")]
    nobody = [name.lower() for name in names] == ["nobody"]

    def found(came: Came) -> list[str]:
        return [came.names.get(one, "") for one in came.decision.match.customers]

    def met(came: Came) -> bool:
        return not found(came) if nobody else all(any(_same(name, one) for one in found(came)) for name in names)

    shown = ", ".join(names)
    return Expectation(
        key="customer", wanted=shown, place=node.place, met=met, came=lambda came: ", ".join(found(came)) or "nobody"
    )


# --- actions


def _line(key: Scalar, node: Node, tests: list[Test]) -> Expectation:
    """Holds if for each test an action of that verb passes it."""
    verb = key.text

    def met(came: Came) -> bool:
        return all(any(test(came, action) for action in came.actions(verb)) for test in tests)

    def shown(came: Came) -> str:
        return "; ".join(action_line(one, came.zone) for one in came.actions(verb)) or "none"

    return Expectation(key=verb, wanted=_written(node), place=node.place, met=met, came=shown, verb=verb)


def _plain_action(key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """`tag: vip`: one of the action's values is that; `yes`: there is such an action."""
    scalars = reader.scalars(node, f"`{key.text}`")
    return _line(key, node, [_has_value(scalar.text) for scalar in scalars]) if scalars else None


def _has_value(word: str) -> Test:
    if word.strip().lower() in YES:
        return lambda _came, _action: True
    return lambda _came, action: any(_same(word, str(value)) for value in action.args.values())


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
        return _same(word, str(action.args["customer"])) or _same(word, named)

    return _line(key, node, [test])


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
    return lambda _came, action: action.slot == slot and _same(wanted, str(action.args["value"]))


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
    return lambda _came, action: _same(wanted, str(action.args["fields"].get(name, "")))


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
    return [lambda _came, action: _same(scalar.text, str(action.args[name]))]


def _due(scalar: Scalar, reader: Reader, due: Callable[[Action], datetime | None], *, moment: bool) -> list[Test]:
    """`in` counts from the mail's arrival; `at` is a moment as in a rule, or a date with a time."""
    if not moment:
        delay = reader.parsed(scalar, parse_delay, "E202")
        return [lambda came, action: due(action) == delay.after(came.at, came.hours)] if delay else []
    text = scalar.text
    # Read once to name what is wrong; what it means depends on the mail's arrival.
    hours = _hours(reader)
    if reader.parsed(scalar, lambda words: parse_moment(words, _ANY_DAY, hours), "E203") is None:
        return []
    return [lambda came, action: due(action) == parse_moment(text, came.at, came.hours)]


def _hours(reader: Reader) -> OfficeHours:
    from rules.office import office_of

    return office_of(reader.settings).hours


# --- what must not happen


def _not(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    words = (*ACTIONS, *LATER)
    slots: list[str] = []
    for scalar in reader.scalars(node, "`not`"):
        verb, _, rest = scalar.text.strip().partition(":" if ":" in scalar.text else " ")
        if verb.strip() in words:
            slots.append(f"{verb.strip()}:{rest.strip()}" if rest.strip() else verb.strip())
        else:
            reader.unknown("action", scalar, words)
    return Expectation(
        key="not",
        wanted=", ".join(slots),
        place=node.place,
        met=lambda came: not _unwanted(came, slots),
        came=lambda came: "; ".join(_unwanted(came, slots)),
    )


def _unwanted(came: Came, slots: Iterable[str]) -> list[str]:
    found = [action_line(one, came.zone) for one in came.decision.actions if {one.verb, one.slot}.intersection(slots)]
    outcome = came.decision.outcome
    if "log" in slots and outcome in _LOGGED:
        found.append("logged")
    if "ignore" in slots and outcome is Outcome.IGNORED:
        found.append(f"ignored: {came.decision.reason}")
    return found


def _same(wanted: str, got: str) -> bool:
    return " ".join(wanted.split()).casefold() == " ".join(got.split()).casefold()


def _written(node: Node) -> str:
    found: Any = plain(node)
    return clip(_flow(found), 200)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    return ", ".join(map(_flow, value)) if isinstance(value, list) else str(value)


_ANY_DAY = datetime.fromisoformat("2026-11-20T12:00:00+00:00")
EXPECT: dict[str, Build] = {
    "log": _log,
    "ignore": _ignore,
    "customer": _customer,
    "file_under": _file_under,
    "create": _create,
    "draft": _mail,
    "send": _mail,
    "remind": _remind,
    "stage": _defined("stage", lambda reader: reader.settings.stages.order),
    "owner": _defined("person", lambda reader: reader.settings.team),
    "set": _set,
    "not": _not,
}
"""Lines of `expect` with a grammar of their own; every other action takes its value or `yes`."""
