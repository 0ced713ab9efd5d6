"""The names that an office uses in its files, for the completion of editors. Faults are no matter here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from config.errors import Problem
from config.lists import read_lists
from config.nodes import ListNode, MapNode, Node, Scalar
from config.reading import read_yaml
from config.settings import Settings
from config.shapes import Names
from config.values import NAME
from rules.blueprints import read_blueprints
from rules.reader import Reader
from rules.rule_files import read_roots


def own_names(directory: Path, settings: Settings) -> Names:
    """Every name of the office below `directory`, faults or none."""
    ignored: list[Problem] = []
    templates = tuple(sorted(path.stem for path in (directory / "templates").glob("*.md")))
    reader = Reader(settings=settings, problems=ignored, templates=frozenset(templates))
    rules = list(read_roots(directory / "rules", ignored, "rules:"))
    blueprints = read_blueprints(read_roots(directory / "blueprints", ignored, "rule:"), reader)
    tests = [root for path in sorted((directory / "tests").glob("*.yaml")) if (root := read_yaml(path, None, ignored))]
    words = (key.text for root in rules for key, _ in _entries(root.get("words")))
    return Names(
        people=tuple(settings.team),
        stages=settings.stages.order,
        mailboxes=tuple(settings.accounts),
        channels=tuple(settings.channels),
        templates=templates,
        auto_templates=settings.send.auto_templates,
        sequences=tuple(sorted(path.stem for path in (directory / "sequences").glob("*.yaml"))),
        lists=tuple(sorted({*read_lists(directory, ignored), *words})),
        rules=tuple(_rule_names(rules)),
        segments=tuple(sorted(set(_said("segment", [*rules, *tests])))),
        tags=tuple(sorted(set(_said("tag", [*rules, *tests])))),
        inputs={
            name: {key: one.default is None for key, one in blueprint.inputs.items()}
            for name, blueprint in blueprints.items()
        },
    )


def _rule_names(roots: list[MapNode]) -> Iterator[str]:
    for root in roots:
        rules = root.get("rules")
        for rule in rules.items if isinstance(rules, ListNode) else ():
            name = rule.get("name") if isinstance(rule, MapNode) else None
            if isinstance(name, Scalar):
                yield name.text


def _said(name: str, nodes: list[Node]) -> Iterator[str]:
    """The plain values of every part with a name."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ListNode):
            waiting += node.items
        for key, value in _entries(node):
            if key.text == name:
                items = value.items if isinstance(value, ListNode) else (value,)
                yield from (one.text for one in items if isinstance(one, Scalar) and NAME.fullmatch(one.text))
            waiting.append(value)


def _entries(node: Node | None) -> tuple[tuple[Scalar, Node], ...]:
    return node.entries if isinstance(node, MapNode) else ()
