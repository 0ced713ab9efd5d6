"""Finds the rules that may fire for a mail by the words, addresses and facts they need, without asking each rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rules.customer_conditions import fact_keys
from rules.view import View

_Table = dict[str, list[int]]
HEAD = 4


@dataclass(slots=True, eq=False)
class Prefixes:
    """Prefixes by their first letters (up to HEAD): one look-up for most words, more only for those that share a head.

    heads   length of head -> head -> the lengths of its prefixes
    """

    heads: dict[int, dict[str, set[int]]] = field(default_factory=dict)
    table: _Table = field(default_factory=dict)

    def add(self, prefix: str, number: int) -> None:
        """Enter a rule under a prefix."""
        head = prefix[:HEAD]
        self.heads.setdefault(len(head), {}).setdefault(head, set()).add(len(prefix))
        self.table.setdefault(prefix, []).append(number)

    def collect(self, words: Iterable[str], found: set[int]) -> None:
        """Add the rules with a prefix of one of the words."""
        table = self.table
        for length, heads in self.heads.items():
            for word in [word for word in words if word[:length] in heads]:
                for size in heads[word[:length]]:
                    numbers = table.get(word[:size])
                    if numbers:
                        found.update(numbers)


@dataclass(slots=True, eq=False)
class RuleIndex:
    """Rule numbers by what a mail must have. `always`: rules that need nothing in particular; `waiting`: those that
    run when something else happens, by the words of their trigger."""

    always: list[int] = field(default_factory=list)
    words: _Table = field(default_factory=dict)
    prefixes: Prefixes = field(default_factory=Prefixes)
    people: _Table = field(default_factory=dict)
    domains: _Table = field(default_factory=dict)
    facts: _Table = field(default_factory=dict)
    waiting: _Table = field(default_factory=dict)

    def candidates(self, view: View) -> list[int]:
        """The numbers of all rules that may fire, in order. Rules left out cannot."""
        found = set(self.always)
        if self.words or self.prefixes.table:
            for words in (view.subject.words, view.body.words):
                _collect(found, self.words, self.words.keys() & words)
                self.prefixes.collect(words, found)
        if self.people or self.domains:
            keys = {person.email.lower() for person in view.people}
            _collect(found, self.people, self.people.keys() & keys)
            _collect(found, self.domains, self.domains.keys() & {key.rpartition("@")[2] for key in keys})
        if self.facts:
            _collect(found, self.facts, self.facts.keys() & fact_keys(view.customer))
        return sorted(found)


def build_index(needs: Sequence[tuple[int, frozenset[str] | None]]) -> RuleIndex:
    """Enter each rule number under its keys; None = always a candidate. Of a phrase, the word fewest rules ask for."""
    asked = Counter(word for _, keys in needs for key in keys or () if key[0] == "w" for word in key[2:].split())
    index = RuleIndex()
    tables = {"w": index.words, "a": index.people, "d": index.domains, "f": index.facts}
    for number, keys in needs:
        if keys is None:
            index.always.append(number)
        for key in keys or ():
            if key[0] == "p":
                index.prefixes.add(key[2:], number)
                continue
            name = min(key[2:].split(), key=lambda word: (asked[word], -len(word))) if key[0] == "w" else key[2:]
            tables[key[0]].setdefault(name, []).append(number)
    return index


def _collect(found: set[int], table: _Table, keys: Iterable[str]) -> None:
    for key in keys:
        found.update(table[key])
