"""Typed values out of nodes, with a problem for everything that is not what it should be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from config.errors import Problem
from config.nodes import MapNode, Node, Place, Scalar
from config.settings import Settings
from config.values import closest, did_you_mean
from rules.addresses import is_pattern, normal_pattern
from rules.clock import GrammarError
from rules.text_match import fold_words

T = TypeVar("T")
YES = ("yes", "true", "on")
NO = ("no", "false", "off")


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of a list: `wanted` is False for `not x`, whose text is then `x`."""

    text: str
    place: Place
    wanted: bool = True
    listed: bool = False


@dataclass(slots=True, kw_only=True)
class Reader:
    """What checking needs to know, and where problems go.

    lists      word lists by name; templates: names of the templates there are; sequences: of the sequences
    extracted  names that the rule at hand takes out of a mail; usable in its texts
    template_needs   template -> extracted names that it cannot be written without
    template_names   template -> the names that it cannot be written without
    template_languages   template -> the languages it is written in
    office, older        the folder where files to attach lie; whether the files read are an older copy of it
    missing    what the rule at hand never has: "mail", "meeting", "changed", "customer", see rules.needs
    chooses    True once one of its conditions asks about the customer
    waited     words of the triggers that rules wait for, None where that is not known; for rule tests
    """

    settings: Settings
    problems: list[Problem]
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    templates: frozenset[str] = frozenset()
    sequences: frozenset[str] = frozenset()
    extracted: frozenset[str] = frozenset()
    template_needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    template_names: Mapping[str, frozenset[str]] = field(default_factory=dict)
    template_languages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    office: Path | None = None
    older: bool = False
    missing: frozenset[str] = frozenset()
    chooses: bool = False
    waited: frozenset[str] | None = None

    def report(self, code: str, message: str, place: Place, help: str, *, warning: bool = False) -> None:
        """Note a problem."""
        problem = Problem(
            code=code,
            message=message,
            path=place.path,
            line=place.line,
            column=place.column,
            span=place.span,
            help=help,
            warning=warning,
            also=place.other,
        )
        self.problems.append(problem)

    def unknown(self, what: str, word: Scalar, known: Iterable[str], *, code: str = "E101") -> None:
        """Refuse a name, with the nearest known one or all of them."""
        names = sorted(known)
        shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
        help = did_you_mean(word.text, names, f"use one of: {shown}" if names else "take it away")
        self.report(code, f'unknown {what} "{word.text}"', word.place, help)

    # --- nodes

    def mapping(self, node: Node, what: str, example: str) -> MapNode | None:
        """The node as a mapping."""
        if isinstance(node, MapNode):
            return node
        self.report("E105", f"{what} needs a mapping", node.place, f"write for example {example}")
        return None

    def scalar(self, node: Node, what: str) -> Scalar | None:
        """The node as one value, not empty."""
        if not isinstance(node, Scalar):
            self.report("E105", f"{what} takes one value", node.place, "write one value here, without [ ] and { }")
            return None
        if not node.text.strip():
            self.report("E106", f"{what} has no value", node.place, "write the value behind the colon")
            return None
        return node

    def scalars(self, node: Node, what: str) -> list[Scalar]:
        """The node as a list of values; one value is a list of one."""
        nodes = (node,) if isinstance(node, Scalar) else getattr(node, "items", ())
        if isinstance(node, MapNode):
            self.report("E105", f"{what} takes a value or a list of values", node.place, "write it without { }")
            return []
        if not nodes:
            self.report("E106", f"{what} has no value", node.place, "write at least one value")
        return [one for one in (self.scalar(item, what) for item in nodes) if one]

    def items(self, node: Node, what: str, *, quoted_not: bool = True) -> list[Item]:
        """The list with `not x` told apart and `$name` replaced by the entries of that word list.

        With `quoted_not` False, a quoted "not x" is text.
        """
        found: list[Item] = []
        for scalar in self.scalars(node, what):
            text, wanted = scalar.text.strip(), True
            if text.startswith("not ") and (quoted_not or not scalar.quoted):
                text, wanted = text[4:].strip(), False
            if text.startswith("$") and len(text) > 1:
                entries = self.word_list(Scalar(text[1:], scalar.place))
                found.extend(Item(entry, scalar.place, wanted, True) for entry in entries)
            else:
                found.append(Item(text, scalar.place, wanted))
        return found

    def word_list(self, name: Scalar) -> tuple[str, ...]:
        """The entries of a word list."""
        if name.text in self.lists:
            return self.lists[name.text]
        help = "define it under `words:` or in lists/" + name.text + ".txt"
        near = did_you_mean(name.text, self.lists, help)
        if near != help:
            near = near.replace('"', '"$', 1)
        self.report("E402", f'unknown word list "${name.text}"', name.place, near)
        return ()

    # --- typed values

    def yes_no(self, node: Node, what: str) -> bool | None:
        """yes or no."""
        scalar = self.scalar(node, what)
        if scalar is None:
            return None
        word = scalar.text.strip().lower()
        if word in YES or word in NO:
            return word in YES
        self.report("E103", f"{what} is yes or no", scalar.place, "write: yes")
        return None

    def choice(self, scalar: Scalar, known: Iterable[str], what: str) -> str | None:
        """One of some words; case is ignored."""
        names = {name.lower(): name for name in known}
        word = scalar.text.strip().lower()
        if word in names:
            return names[word]
        self.report(
            "E104",
            f'{what} cannot be "{scalar.text}"',
            scalar.place,
            did_you_mean(scalar.text, names.values(), f"write: {next(iter(names.values()), '')}"),
        )
        return None

    def item_choice(self, item: Item, known: Iterable[str], what: str) -> str | None:
        """The same for an entry of a list."""
        shift = 4 if not item.wanted and not item.listed else 0
        place = item.place
        shifted = replace(place, column=place.column + shift, span=max(place.span - shift, 1))
        return self.choice(Scalar(item.text, shifted), known, what)

    def defined(self, scalar: Scalar, known: Iterable[str], what: str) -> str | None:
        """A name that must be defined elsewhere: a person, a stage, an account."""
        names = tuple(known)
        if scalar.text in names:
            return scalar.text
        self.unknown(what, scalar, names, code="E206")
        return None

    def parsed(self, scalar: Scalar, parse: Callable[[str], T], code: str) -> T | None:
        """What `parse` reads out of the text; its GrammarError becomes a problem with the remedy in it."""
        try:
            return parse(scalar.text)
        except GrammarError as error:
            better = next((one for one in _meant(scalar.text) if _is_understood(parse, one)), "")
            self.report(code, error.message, scalar.place, f"write: {better}" if better else error.hint)
        return None

    def patterns(self, items: Iterable[Item]) -> list[str]:
        """Addresses and "@domain" patterns, in their normal form. Of a list, the first unfit entry is told."""
        found: list[str] = []
        told: set[Place] = set()
        for item in items:
            if is_pattern(item.text):
                found.append(normal_pattern(item.text))
            elif item.place not in told:
                told.add(item.place)
                self._refuse_address(item)
        return found

    def _refuse_address(self, item: Item) -> None:
        if item.listed:
            message = f'the list holds "{item.text}", which is neither an address nor "@domain"'
            self.report("E409", message, item.place, "use a list of addresses here, or mend that entry")
            return
        domain = "." in item.text and is_pattern(f"@{item.text}")
        help = f'write: "@{item.text}"' if domain else 'write an address, or "@domain" for everybody there'
        self.report("E205", f'"{item.text}" is neither an address nor "@domain"', item.place, help)

    def words(self, items: Iterable[Item]) -> list[Item]:
        """The entries that hold a word: at least one letter or digit, and a star only at the end."""
        return [item for item in items if self._is_word(item)]

    def _is_word(self, item: Item) -> bool:
        plain = item.text.removesuffix("*")
        if not fold_words(plain):
            message = f'"{item.text}" has neither letter nor digit, so it can never be found'
            self.report("E407", message, item.place, "write a word, or use `regex` for signs")
            return False
        if "*" in plain:
            self.report(
                "E407", f'"{item.text}": a star stands only at the end', item.place, f"write: {_starred(plain)}"
            )
            return False
        return True


def _starred(text: str) -> str:
    """The longest piece between the stars, as a prefix."""
    return max((piece.strip() for piece in text.split("*")), key=len) + "*"


def entries(node: MapNode, reader: Reader, known: Iterable[str], what: str) -> Iterator[tuple[Scalar, Node]]:
    """The entries of a mapping whose key is known; the others become problems."""
    names = tuple(known)
    for key, value in node.entries:
        if key.text in names:
            yield key, value
        else:
            reader.unknown(what, key, names)


_UNITS = ("minutes", "hours", "days", "weeks", "months", "years", "business days", "business hours", "KB", "MB", "GB")
_SHORT = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "m": "minutes",
    "w": "weeks",
    "k": "KB",
    "m b": "MB",
    "mega": "MB",
}


def _meant(text: str) -> Iterator[str]:
    """What a length, size or date that is not understood may have meant, the likeliest first."""
    amount = re.fullmatch(r"\s*(\d{1,6})\s*([^\W\d][\w\s]*)", text)
    if amount:
        word = " ".join(amount[2].lower().split())
        unit = _SHORT.get(word) or closest(word, _UNITS)
        yield f"{amount[1]} {unit}"
    turned = re.fullmatch(r"\s*(\d{1,2})[./-](\d{1,2})[./-](\d{4})\s*", text)
    if turned:
        yield f"{turned[3]}-{int(turned[2]):02}-{int(turned[1]):02}"
    hours = re.fullmatch(r"\s*(\d{1,2})(?::?(\d\d))?\s*-\s*(\d{1,2})(?::?(\d\d))?\s*", text)
    if hours:
        yield f"{hours[1]:0>2}:{hours[2] or '00'}-{hours[3]:0>2}:{hours[4] or '00'}"


def _is_understood(parse: Callable[[str], object], text: str) -> bool:
    try:
        parse(text)
    except GrammarError:
        return False
    return True
