"""The loaded rules: immutable, checked, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rules.condition import Condition
from rules.decision import Direction
from rules.effect import Effect
from rules.extract import Extraction
from rules.index import RuleIndex, build_index
from rules.once import Once
from rules.sequence import Sequence
from rules.templates import Template
from rules.triggers import Trigger
from rules.view import View

MODES = ("on", "watch", "off")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rule:
    """One rule of rules/*.yaml.

    place        "rules/20-orders.yaml:7"
    asks         its conditions, the cheapest first
    triggers     what it waits for, as written
    directions   mail that came, mail that was sent
    events       what else a mail may mean, see rules.events
    waits        words of the triggers that are no mail's mere coming; an Occasion carries one of them
    office_wide  the clock makes it run once for the office, not for each customer
    kinds        kinds of automatic mail that its `if` names with `is`
    ignore       the reason of an `ignore` rule, "" for every other rule
    extract      values it takes out of a mail whose conditions hold
    once         how often it acts for the same thread, person, customer or deal; None = once for each mail
    blueprint    the one that it fills in, "" if it is written out
    was          the name it had before, "" if none: what it did then is not done again
    fingerprint  changes when the rule does, apart from name, about and mode
    keys         index keys, see rules.index; None = asked for every mail
    reads_markup it asks for the data in the HTML of a mail
    """

    name: str
    about: str = ""
    mode: str = "on"
    place: str = ""
    triggers: tuple[Trigger, ...] = ()
    directions: frozenset[Direction] = frozenset()
    events: frozenset[str] = frozenset()
    waits: frozenset[str] = frozenset()
    office_wide: bool = False
    conditions: tuple[Condition, ...] = ()
    asks: tuple[Callable[[View], bool], ...] = ()
    effects: tuple[Effect, ...] = ()
    extract: tuple[Extraction, ...] = ()
    reads_markup: bool = False
    kinds: frozenset[str] = frozenset()
    ignore: str = ""
    once: Once | None = None
    stop: bool = False
    was: str = ""
    blueprint: str = ""
    fingerprint: str = ""
    keys: frozenset[str] | None = None

    @property
    def whens(self) -> tuple[str, ...]:
        """Its `when`, in words."""
        return tuple(one.words for one in self.triggers)

    @property
    def origin(self) -> str:
        """Where it is written, for people: "rules/20-orders.yaml:7, blueprint quiet"."""
        return f"{self.place}, blueprint {self.blueprint}" if self.blueprint else self.place

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, and the one it had before."""
        return (self.name, self.was) if self.was else (self.name,)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RuleSet:
    """All rules in the order they run, with what they refer to.

    hash    twelve hex digits that change when a rule, template, list or sequence does
    """

    rules: tuple[Rule, ...] = ()
    templates: Mapping[str, Template] = field(default_factory=lambda: MappingProxyType({}))
    sequences: Mapping[str, Sequence] = field(default_factory=lambda: MappingProxyType({}))
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    hash: str = ""
    index: RuleIndex = field(default_factory=RuleIndex)

    @property
    def events(self) -> frozenset[str]:
        """The events of rules.events that some rule waits for."""
        return frozenset().union(*(rule.events for rule in self.rules if rule.mode != "off"))

    @property
    def triggers(self) -> tuple[Trigger, ...]:
        """What rules that are on or watch wait for beside the coming of mail, once each."""
        every = (one for rule in self.rules if rule.mode != "off" for one in rule.triggers if one.words in rule.waits)
        return tuple(dict.fromkeys(every))

    def waiting(self, words: str) -> tuple[Rule, ...]:
        """The rules that wait for an occasion of these words, in order."""
        return tuple(self.rules[number] for number in self.index.waiting.get(words, ()))

    @property
    def reads_markup(self) -> bool:
        """Whether a rule asks for the data in HTML parts, which are else left on the server beside a plain text."""
        return any(rule.reads_markup for rule in self.rules if rule.mode != "off")


def index_rules(rules: tuple[Rule, ...]) -> RuleIndex:
    """Enter every rule that can fire under what it needs, or what it waits for."""
    several = [(number, rule) for number, rule in enumerate(rules) if rule.mode != "off"]
    index = build_index([(number, rule.keys) for number, rule in several if rule.directions or rule.events])
    for number, rule in several:
        for words in rule.waits:
            index.waiting.setdefault(words, []).append(number)
    return index
