"""Finds the rules that may fire for a mail by the words, addresses and facts they need, without asking each rule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rules.customer_conditions import fact_keys
from rules.text_match import PREFIX_LENGTH
from rules.view import View

_Table = dict[str, list[int]]


@dataclass(slots=True, eq=False)
class RuleIndex:
    """Rule numbers by what a mail must have. `always`: rules that need nothing in particular."""

    always: list[int] = field(default_factory=list)
    words: _Table = field(default_factory=dict)
    prefixes: _Table = field(default_factory=dict)
    people: _Table = field(default_factory=dict)
    domains: _Table = field(default_factory=dict)
    facts: _Table = field(default_factory=dict)

    def candidates(self, view: View) -> list[int]:
        """The numbers of all rules that may fire, in order. Rules left out cannot."""
        found = set(self.always)
        if self.words or self.prefixes:
            words = view.text.words
            _collect(found, self.words, self.words.keys() & words)
            if self.prefixes:
                _collect(found, self.prefixes, self.prefixes.keys() & {word[:PREFIX_LENGTH] for word in words})
        if self.people or self.domains:
            keys = {person.email.lower() for person in view.people}
            _collect(found, self.people, self.people.keys() & keys)
            _collect(found, self.domains, self.domains.keys() & {key.rpartition("@")[2] for key in keys})
        if self.facts:
            _collect(found, self.facts, self.facts.keys() & fact_keys(view.customer))
        return sorted(found)

    def add(self, number: int, keys: frozenset[str] | None) -> None:
        """Enter a rule under each of its keys; None = always a candidate."""
        if keys is None:
            self.always.append(number)
            return
        tables = {"w": self.words, "p": self.prefixes, "a": self.people, "d": self.domains, "f": self.facts}
        for key in keys:
            table = tables[key[0]]
            name = key if key[0] == "f" else key[2:]
            table.setdefault(name, []).append(number)


def _collect(found: set[int], table: _Table, keys: Iterable[str]) -> None:
    for key in keys:
        found.update(table[key])
