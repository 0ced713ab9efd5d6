"""Looks for what is allowed and yet surely not meant: rules that can never act, what nothing uses, patterns that hold
for every text. Says only what can be proved from the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.errors import Problem
from config.nodes import ListNode, MapNode, Node, Place, Scalar, plain
from config.reading import read_yaml
from config.settings import Settings
from rules.blueprints import read_blueprints
from rules.patterns import PatternError, Searchable, compile_pattern
from rules.reader import Reader
from rules.rule_files import read_roots, read_rule_files
from rules.ruleset import Rule, RuleSet

MANY_REPEATS = 50
_GROUPS = ("all", "any", "none")
_OF_A_CUSTOMER = (
    "customer",
    "stage",
    "segment",
    "tag",
    "owner",
    "open",
    "field",
    "last_in",
    "last_out",
    "last_contact",
)
_BEFORE = ("last_in", "last_out", "last_contact")
_REPEAT = re.compile(r"\{(\d+)(?:,(\d*))?\}")
_SLOW_START = re.compile(r"\.[*+]")


@dataclass(frozen=True, slots=True)
class _Written:
    """A loaded rule and the place and nodes it came from."""

    rule: Rule
    name: Scalar
    conditions: Mapping[str, Node]


@dataclass(slots=True)
class _Lint:
    """One pass over the files of an office."""

    rules: list[_Written]
    lists: Mapping[str, tuple[str, ...]]
    found: list[Problem] = field(default_factory=list)

    def warn(self, code: str, message: str, place: Place, help: str) -> None:
        """Note one finding."""
        self.found.append(
            Problem(
                code=code,
                message=message,
                path=place.path,
                line=place.line,
                column=place.column,
                span=place.span,
                help=help,
                warning=True,
                also=place.other,
            )
        )


def lint(directory: Path, ruleset: RuleSet, settings: Settings) -> list[Problem]:
    """Everything found, by file and line. The files have to be free of faults."""
    reader = Reader(settings=settings, problems=[], templates=frozenset(ruleset.templates))
    roots = read_rule_files(directory, reader)
    written = list(_written(roots, ruleset))
    work = _Lint(written, ruleset.lists)
    _unreachable(work)
    _shadowed(work)
    _unused(work, directory, roots, ruleset)
    _unused_blueprints(work, directory, ruleset, reader)
    _unstarted(work, directory, ruleset)
    for one in written:
        _contradictions(work, one)
        for node in one.conditions.values():
            _patterns(work, node)
    return sorted(work.found, key=lambda one: (str(one.path), one.line, one.column))


def _files(directory: Path, folder: str) -> list[Path]:
    return sorted(path for path in (directory / folder).glob("*.yaml") if not path.name.startswith("."))


def _written(roots: Iterable[MapNode], ruleset: RuleSet) -> Iterator[_Written]:
    loaded = {rule.name: rule for rule in ruleset.rules}
    for root in roots:
        rules = root.get("rules")
        for node in rules.items if isinstance(rules, ListNode) else ():
            name = node.get("name") if isinstance(node, MapNode) else None
            if not isinstance(node, MapNode) or not isinstance(name, Scalar) or name.text not in loaded:
                continue
            asked = node.get("if")
            conditions = {key.text: value for key, value in asked.entries} if isinstance(asked, MapNode) else {}
            yield _Written(loaded[name.text], name, conditions)


# --- rules that never act ------------------------------------------------------------------------------------------


def _unreachable(work: _Lint) -> None:
    for number, later in enumerate(work.rules):
        if later.rule.mode == "off":
            continue
        for index, earlier in enumerate(work.rules):
            rule = earlier.rule
            ends = bool(rule.ignore) or (rule.stop and index < number and not later.rule.ignore)
            if earlier is later or not ends or (rule.ignore and later.rule.ignore and index > number):
                continue
            if _always_before(work, earlier, later):
                how = "ignores" if rule.ignore else "stops at"
                message = (
                    f'"{later.rule.name}" can never act: "{rule.name}" ({rule.place}) {how} every such mail before'
                )
                help = f'make `if` of "{rule.name}" narrower, or take this rule away'
                work.warn("W402", message, later.name.place, help)
                break


def _always_before(work: _Lint, earlier: _Written, later: _Written) -> bool:
    """Whether the earlier rule surely fires on every mail that the later one would fire on."""
    one, two = earlier.rule, later.rule
    if one.mode != "on" or one.extract or one.once is not None or not two.directions <= one.directions:
        return False
    if two.events or two.waits:
        return False  # asked when no mail comes, or whatever its kind
    if not one.ignore and not two.kinds <= one.kinds:
        return False  # automatic mail that only the later one sees
    return all(
        name in later.conditions and name not in _GROUPS and _implies(work, later.conditions[name], node)
        for name, node in earlier.conditions.items()
    )


def _implies(work: _Lint, narrow: Node, wide: Node) -> bool:
    """Whether what fulfils `narrow` fulfils `wide` too, as far as their words show it."""
    if plain(narrow) == plain(wide):
        return True
    if isinstance(narrow, MapNode) and isinstance(wide, MapNode):
        return all(
            key.text == "has" and (mine := narrow.get("has")) is not None and _implies(work, mine, value)
            for key, value in wide.entries
        )
    if isinstance(narrow, MapNode) or isinstance(wide, MapNode):
        return False
    some, every = _entries(work, narrow), _entries(work, wide)
    refusing = any(one.startswith("not ") for one in (*some, *every))
    return not refusing and bool(some) and some <= every


def _entries(work: _Lint, node: Node) -> set[str]:
    found: set[str] = set()
    for scalar in _scalars(node):
        name = scalar.text[1:] if scalar.text.startswith("$") else ""
        found |= set(work.lists[name]) if name in work.lists else {scalar.text}
    return found


def _shadowed(work: _Lint) -> None:
    """Claims that an earlier rule always has before."""
    unreachable = {(one.path, one.line) for one in work.found if one.code == "W402"}
    for number, later in enumerate(work.rules):
        place = later.name.place
        if later.rule.mode == "off" or later.rule.ignore or (place.path, place.line) in unreachable:
            continue
        for effect in later.rule.effects:
            taken = next(
                (
                    one
                    for one in work.rules[:number]
                    if not one.rule.ignore
                    and any(
                        mine.slot == effect.slot
                        and not (mine.apart or effect.apart)
                        and not (effect.additive and mine.verb == effect.verb)
                        for mine in one.rule.effects
                    )
                    and _always_before(work, one, later)
                ),
                None,
            )
            if taken is not None:
                message = (
                    f'"{effect.shown}" never happens: "{taken.rule.name}" ({taken.rule.place}) always has that before'
                )
                help = f'move this rule before "{taken.rule.name}", or make that one narrower'
                work.warn("W403", message, place, help)


# --- what nothing uses ---------------------------------------------------------------------------------------------


def _unused(work: _Lint, directory: Path, roots: list[MapNode], ruleset: RuleSet) -> None:
    others = [directory / "quietcrm.yaml", *_files(directory, "sequences"), *_files(directory, "blueprints")]
    nodes: list[Node] = [*roots, *(root for path in others if path.is_file() and (root := read_yaml(path, None, [])))]
    texts = {scalar.text for node in nodes for scalar in _scalars(node)}
    used = {text.removeprefix("not ").strip()[1:] for text in texts if text.removeprefix("not ").strip()[:1] == "$"}
    for root in roots:
        words = root.get("words")
        for key, _ in words.entries if isinstance(words, MapNode) else ():
            if key.text not in used:
                help = f"use it as ${key.text} in an `if`, or take it away"
                work.warn("W404", f'no rule uses the words "{key.text}"', key.place, help)
    for path in sorted((directory / "lists").glob("*.txt")):
        if path.stem in ruleset.lists and path.stem not in used:
            help = f"use it as ${path.stem} in an `if`, or delete the file"
            work.warn("W404", f'no rule uses the list "{path.stem}"', Place(path, 1, 1), help)
    named = {scalar.text for node in nodes[: len(roots)] for scalar in _scalars(node)}
    named |= {scalar.text for path in others[1:] for scalar in _scalars_of(path)}
    for name in sorted(ruleset.templates):
        if name not in named:
            path = directory / "templates" / f"{name}.md"
            work.warn(
                "W405", f'nothing uses the template "{name}"', Place(path, 1, 1), "use it in a rule, or delete it"
            )


def _unused_blueprints(work: _Lint, directory: Path, ruleset: RuleSet, reader: Reader) -> None:
    used = {rule.blueprint for rule in ruleset.rules}
    for blueprint in read_blueprints(read_roots(directory / "blueprints", [], "rule:"), reader).values():
        place = Place(blueprint.rule.place.path, 1, 1)
        if blueprint.name not in used:
            help = f"use it: - {{name: my-rule, use: {blueprint.name}}}; or delete the file"
            work.warn("W410", f'no rule uses the blueprint "{blueprint.name}"', place, help)
        for one in blueprint.unused():
            help = f"write {{{{ input.{one.name.text} }}}} where it belongs, or take it away"
            work.warn("W411", f'the input "{one.name.text}" is put in nowhere', one.name.place, help)


def _unstarted(work: _Lint, directory: Path, ruleset: RuleSet) -> None:
    started = {effect.slot for rule in ruleset.rules for effect in rule.effects}
    for path in _files(directory, "sequences"):
        root = read_yaml(path, None, [])
        name = root.get("name") if isinstance(root, MapNode) else None
        if isinstance(name, Scalar) and f"start:{name.text}" not in started:
            help = f"write `start: {name.text}` in a rule, or enter it by hand: quietcrm sequences enrol"
            work.warn("W420", f'no rule starts the sequence "{name.text}"', name.place, help)


def _scalars_of(path: Path) -> Iterator[Scalar]:
    root = read_yaml(path, None, [])
    return _scalars(root) if root is not None else iter(())


def _scalars(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from _scalars(item)
    else:
        for _, value in node.entries:
            yield from _scalars(value)


# --- conditions that cannot hold together --------------------------------------------------------------------------


def _contradictions(work: _Lint, one: _Written) -> None:
    place = one.name.place
    for message, help in _contradicting(one):
        work.warn("W406", f'"{one.rule.name}" can never act: {message}', place, help)


def _contradicting(one: _Written) -> Iterator[tuple[str, str]]:
    asked = one.conditions
    for name, node in asked.items():
        if name in _GROUPS or isinstance(node, MapNode):
            continue
        texts = [scalar.text.strip() for scalar in _scalars(node)]
        wanted = {text for text in texts if not text.startswith("not ")}
        if wanted and wanted <= {text[4:].strip() for text in texts if text.startswith("not ")}:
            yield f"`{name}` asks for a thing and for its contrary", f"take one of the two out of `{name}`"
    if _text(asked.get("direction")) in {"in", "out"} - {way.value for way in one.rule.directions}:
        yield "`direction` is never that of its `when`", "take `direction` away, or change `when`"
    if _text(asked.get("known")) in ("no", "false", "off"):
        asking = next((name for name in _OF_A_CUSTOMER if name in asked and _is_positive(asked[name])), "")
        if asking:
            yield f"`{asking}` needs a customer, and `known: no` wants none", f"take `{asking}` or `known` away"
    flags = [scalar.text.strip() for scalar in _scalars(asked["is"])] if "is" in asked else []
    if flags == ["internal"]:
        yield "internal mail never reaches the rules", "take `is: internal` away"
    if flags == ["first_contact"] and (asking := next((name for name in _BEFORE if name in asked), "")):
        yield f"before a first contact there is no `{asking}`", f"take `{asking}` or `first_contact` away"
    for name in _refused(asked):
        yield f"`none` refuses the very `{name}` that it asks for", f"take `{name}` out of `none`"


def _is_positive(node: Node) -> bool:
    """Whether it asks for something, not only against it."""
    return isinstance(node, MapNode) or any(not scalar.text.startswith("not ") for scalar in _scalars(node))


def _text(node: Node | None) -> str:
    return node.text.strip().lower() if isinstance(node, Scalar) else ""


def _refused(asked: Mapping[str, Node]) -> Iterator[str]:
    none = asked.get("none")
    members = none.items if isinstance(none, ListNode) else (none,)
    for member in members:
        if isinstance(member, MapNode) and len(member.entries) == 1:
            key, value = member.entries[0]
            if key.text in asked and plain(asked[key.text]) == plain(value):
                yield key.text


# --- patterns ------------------------------------------------------------------------------------------------------


def _patterns(work: _Lint, node: Node) -> None:
    """Patterns below a condition, and prefixes of one letter."""
    if isinstance(node, ListNode):
        for item in node.items:
            _patterns(work, item)
    elif isinstance(node, MapNode):
        for key, value in node.entries:
            if key.text == "regex":
                for scalar in _scalars(value):
                    _pattern(work, scalar)
            else:
                _patterns(work, value)


def _pattern(work: _Lint, scalar: Scalar) -> None:
    source = scalar.text
    try:
        found_in_nothing = compile_pattern(source).search(Searchable(""))
    except PatternError:
        return  # told as a fault
    if found_in_nothing:
        help = "ask for at least one sign, for example with + instead of *"
        work.warn("W407", "this pattern holds for every text, also an empty one", scalar.place, help)
    elif _SLOW_START.match(source):
        help = f"write: {source[2:] or '.'}"
        work.warn("W408", "a pattern may stand anywhere: the beginning only makes it slow", scalar.place, help)
    elif any(max(int(low), int(high or 0)) > MANY_REPEATS for low, high in _REPEAT.findall(source)):
        help = f"repeat at most {MANY_REPEATS} times, or use + or *"
        work.warn("W408", "so many repetitions make a pattern slow", scalar.place, help)
