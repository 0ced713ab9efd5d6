"""Conditions on text: `subject: [orçamento*, not lembrete]` or `{has, has_all, is, starts, ends, regex, not}`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from config.nodes import MapNode, Node, Scalar
from rules.condition import SLOW, WORDS, Condition, clip
from rules.patterns import Pattern, PatternError, Searchable, compile_pattern
from rules.reader import Item, Reader, entries
from rules.text_match import Folded, Phrase, WordSet, phrase, word_set
from rules.view import View

OPERATORS = ("has", "has_all", "is", "starts", "ends", "regex", "not")


@dataclass(frozen=True, slots=True)
class TextSource:
    """Where a condition finds its text: folded for words, raw for patterns; `shown` is what a trace may tell of it."""

    folded: Callable[[View], Iterable[Folded]]
    raw: Callable[[View], Iterable[Searchable]]
    shown: Callable[[View], str]
    indexed: bool = True


@dataclass(frozen=True, slots=True)
class TextTest:
    """One operator with its words. `holds` asks one text."""

    holds: Callable[[Folded, Searchable | None], bool]
    keys: frozenset[str] | None = None
    regex: bool = False
    found: Callable[[Folded], str] | None = None


def text_condition(name: str, source: TextSource, node: Node, reader: Reader) -> Condition | None:
    """A condition on the texts of `source`; it holds if one of them passes every operator."""
    tests = _tests(name, node, reader)
    if not tests:
        return None
    needs_raw = any(test.regex for test in tests)
    asks = tuple(test.holds for test in tests)

    def holds(view: View) -> bool:
        if needs_raw:
            pairs = zip(source.folded(view), source.raw(view), strict=True)
            return any(all(ask(text, raw) for ask in asks) for text, raw in pairs)
        for text in source.folded(view):  # the hot path: no generators
            for ask in asks:
                if not ask(text, None):
                    break
            else:
                return True
        return False

    def seen(view: View) -> str:
        found = [test.found(text) for text in source.folded(view) for test in tests if test.found]
        hits = ", ".join(dict.fromkeys(one for one in found if one))
        return clip(f'"{hits}" in {source.shown(view)}' if hits else source.shown(view), 160)

    return Condition(
        name=name,
        wanted=written(node),
        holds=holds,
        seen=seen,
        keys=_narrowest(tests) if source.indexed else None,
        cost=SLOW if needs_raw else WORDS,
    )


def written(node: Node) -> str:
    """A value as the rule says it, on one line."""
    if isinstance(node, Scalar):
        return clip(node.text)
    if isinstance(node, MapNode):
        return clip(", ".join(f"{key.text}: {written(value)}" for key, value in node.entries))
    return clip(", ".join(written(item) for item in node.items))


def _tests(name: str, node: Node, reader: Reader) -> list[TextTest]:
    if not isinstance(node, MapNode):
        return _has(reader.words(reader.items(node, f"`{name}`", quoted_not=False)))
    if not node.entries:
        reader.report("E106", f"`{name}` tests nothing", node.place, "write for example {has: [word]}")
    tests: list[TextTest] = []
    for key, value in entries(node, reader, OPERATORS, f"test of `{name}`"):
        if key.text == "regex":
            tests.extend(_regex(value, reader))
        else:
            tests.extend(_operator(key.text, reader.words(reader.items(value, f"`{key.text}`", quoted_not=False))))
    return tests


def _operator(name: str, items: Sequence[Item]) -> list[TextTest]:
    if not items:
        return []
    if name == "has":
        return _has(items)
    if name == "not":
        return _has([Item(item.text, item.place, False) for item in items])
    phrases = [phrase(item.text) for item in items if item.wanted]
    tests = [_BUILD[name](phrases)] if phrases else []
    unwanted = [phrase(item.text) for item in items if not item.wanted]
    return [*tests, *(_negated(_BUILD[name]([one])) for one in unwanted)]


def _has(items: Sequence[Item]) -> list[TextTest]:
    wanted = word_set(item.text for item in items if item.wanted)
    unwanted = word_set(item.text for item in items if not item.wanted)
    tests = [TextTest(lambda text, _: wanted.found_in(text), wanted.keys(), found=wanted.first_in)] if wanted else []
    if unwanted:
        tests.append(TextTest(lambda text, _: not unwanted.found_in(text), found=unwanted.first_in))
    return tests


def _negated(test: TextTest) -> TextTest:
    return TextTest(lambda text, raw: not test.holds(text, raw))


def _has_all(phrases: list[Phrase]) -> TextTest:
    needles = tuple(one.needle for one in phrases)
    key = next((one.key for one in phrases if one.key), None)
    keys = frozenset((key,)) if key else None
    return TextTest(lambda text, _: all(needle in text.line for needle in needles), keys)


def _is(phrases: list[Phrase]) -> TextTest:
    exact = frozenset(one.needle for one in phrases if one.needle.endswith(" "))
    begins = tuple(one.needle for one in phrases if not one.needle.endswith(" "))
    keys = _keys(phrases)
    if not begins:
        return TextTest(lambda text, _: text.line in exact, keys)
    return TextTest(lambda text, _: text.line in exact or text.line.startswith(begins), keys)


def _starts(phrases: list[Phrase]) -> TextTest:
    needles = tuple(one.needle for one in phrases)
    return TextTest(lambda text, _: text.line.startswith(needles), _keys(phrases))


def _ends(phrases: list[Phrase]) -> TextTest:
    whole = tuple(one.needle for one in phrases if one.needle.endswith(" "))
    open_ended = tuple(one.needle for one in phrases if not one.needle.endswith(" "))

    def holds(text: Folded, _: Searchable | None) -> bool:
        line = text.line
        return line.endswith(whole) or any(
            " " not in line.rpartition(one)[2].rstrip() for one in open_ended if one in line
        )

    return TextTest(holds, _keys(phrases))


_BUILD: dict[str, Callable[[list[Phrase]], TextTest]] = {
    "has_all": _has_all,
    "is": _is,
    "starts": _starts,
    "ends": _ends,
}


def _keys(phrases: Iterable[Phrase]) -> frozenset[str] | None:
    return WordSet(frozenset(), (), tuple(phrases)).keys()


def _narrowest(tests: Iterable[TextTest]) -> frozenset[str] | None:
    return min((test.keys for test in tests if test.keys is not None), key=len, default=None)


def _regex(node: Node, reader: Reader) -> list[TextTest]:
    patterns = [one for one in (compiled(scalar, reader) for scalar in reader.scalars(node, "`regex`")) if one]
    if not patterns:
        return []
    return [TextTest(lambda _, raw: raw is not None and any(one.search(raw) for one in patterns), regex=True)]


def compiled(scalar: Scalar, reader: Reader) -> Pattern | None:
    """A pattern of a rule; what cannot be used of it becomes a problem at its own column."""
    try:
        return compile_pattern(scalar.text)
    except PatternError as error:
        place = scalar.place
        if place.span >= len(scalar.text) and "\n" not in scalar.text:
            shift = error.offset + (1 if scalar.quoted else 0)
            place = replace(place, column=place.column + shift, span=max(place.span - shift, 1))
        reader.report("E404", error.message, place, error.hint)
        return None
