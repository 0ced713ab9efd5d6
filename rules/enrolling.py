"""`start:` and `stop:` of rules, and the condition `in_sequence`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from config.nodes import Node, Scalar
from rules.condition import Condition, clip, listed
from rules.effect import Effect, Plan
from rules.reader import YES, Reader
from rules.text_conditions import written

ALL, ANY = "all", "any"


def build_start(node: Node, reader: Reader) -> list[Effect]:
    """`start: NAME` or a list of them."""
    found = [scalar.text for scalar in reader.scalars(node, "`start`") if _exists(scalar, reader)]
    return [_effect("start", name, _started(name)) for name in dict.fromkeys(found)]


def build_stop(node: Node, reader: Reader) -> list[Effect]:
    """`stop: NAME`, a list of them, or `all`."""
    found: list[str] = []
    for scalar in reader.scalars(node, "`stop`"):
        if scalar.text.strip().lower() in YES:
            help = "write `stop: yes` beside `then` to ask no rule behind it, or here: all"
            reader.report("E104", "`stop` in `then` names a sequence", scalar.place, help)
        elif scalar.text == ALL or _exists(scalar, reader, ALL):
            found.append(scalar.text)
    return [_effect("stop", name, _stopped(name)) for name in dict.fromkeys(found)]


def _exists(scalar: Scalar, reader: Reader, *besides: str) -> bool:
    if scalar.text in reader.sequences:
        return True
    reader.unknown("sequence", scalar, (*reader.sequences, *besides), code="E442")
    return False


def _effect(verb: str, name: str, build: Callable[[Plan], Mapping[str, Any]]) -> Effect:
    return Effect(slot=f"{verb}:{name}", verb=verb, shown=f"{verb} {name}", build=build, additive=True)


def _started(name: str) -> Callable[[Plan], Mapping[str, Any]]:
    return lambda plan: {"sequence": name, "to": plan.recipient(), "rep": plan.person("owner")}


def _stopped(name: str) -> Callable[[Plan], Mapping[str, Any]]:
    return lambda _: {"sequence": name}


def in_sequence(name: str, node: Node, reader: Reader) -> Condition | None:
    """`in_sequence: NAME`, `any`, or `not` of them: what the customer is in now."""
    items = reader.items(node, f"`{name}`")
    for item in items:
        if item.text != ANY and item.text not in reader.sequences:
            reader.unknown("sequence", Scalar(item.text, item.place), (*reader.sequences, ANY), code="E442")
    return listed(
        name,
        [item.text for item in items if item.wanted],
        [item.text for item in items if not item.wanted],
        lambda view, one: view.customer is not None and _is_in(view.customer.sequences, one),
        lambda view: clip(", ".join(sorted(view.customer.sequences if view.customer else ()))) or "none",
        written=written(node),
    )


def _is_in(sequences: frozenset[str], wanted: str) -> bool:
    return bool(sequences) if wanted == ANY else wanted in sequences
