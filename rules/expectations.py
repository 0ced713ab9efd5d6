"""`expect:` of a rule test: what must come of the mail, and what must not. A subset, except for `rules`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from config.nodes import ListNode, Node, Scalar
from rules.actions import ACTIONS
from rules.decision import Outcome
from rules.expectation import Build, Came, Expectation, same, shown_node
from rules.expected_actions import ACTION_LINES, plain_action
from rules.explain import action_line
from rules.reader import NO, YES, Reader


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
        return plain_action(key, value, reader)
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
        met=lambda came: _fired(came) == names,
        came=lambda came: ", ".join(_fired(came)) or "none",
        rules=names,
    )


def _fired(came: Came) -> tuple[str, ...]:
    """The rules that fired, each once: as time passes the same may fire again."""
    return tuple(dict.fromkeys(one.rule for one in came.fired))


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
        return ignored and (word.lower() in YES or same(word, came.decision.reason))

    def shown(came: Came) -> str:
        return came.decision.reason if came.decision.outcome is Outcome.IGNORED else "not ignored"

    return Expectation(key="ignore", wanted=word, place=node.place, met=met, came=shown, verb="ignore")


def _customer(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    names = [scalar.text.strip() for scalar in reader.scalars(node, "`customer`")]
    nobody = [name.lower() for name in names] == ["nobody"]

    def found(came: Came) -> list[str]:
        return [came.names.get(one, "") for one in came.decision.match.customers]

    def met(came: Came) -> bool:
        return not found(came) if nobody else all(any(same(name, one) for one in found(came)) for name in names)

    shown = ", ".join(names)
    return Expectation(
        key="customer", wanted=shown, place=node.place, met=met, came=lambda came: ", ".join(found(came)) or "nobody"
    )


def _extract(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    """Values that a rule which fired took out of the mail."""
    mapping = reader.mapping(node, "`extract`", '{order: "88123"}')
    pairs = [(key.text, reader.scalar(value, f"`{key.text}`")) for key, value in mapping.entries] if mapping else []
    wanted = [(name, scalar.text) for name, scalar in pairs if scalar]

    def found(came: Came) -> list[tuple[str, str]]:
        return [(one.name, one.value) for trace in came.fired for one in trace.extracted]

    return Expectation(
        key="extract",
        wanted=shown_node(node),
        place=node.place,
        met=lambda came: all(any(name == n and same(text, value) for n, value in found(came)) for name, text in wanted),
        came=lambda came: ", ".join(f"{name}: {value or 'none'}" for name, value in found(came)) or "no values",
        verb="extract",
    )


# --- what must not happen


def _not(_key: Scalar, node: Node, reader: Reader) -> Expectation | None:
    words = tuple(ACTIONS)
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


EXPECT: dict[str, Build] = {
    "log": _log,
    "ignore": _ignore,
    "customer": _customer,
    "extract": _extract,
    **ACTION_LINES,
    "not": _not,
}
"""Lines of `expect` beside `rules` by name."""
