"""The outcome of evaluating one mail: who it is about, whether it is kept, what shall be done, and why.

Pure values. The daemon turns a Decision into rows, in one transaction; `rules.explain` turns it into text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from connectors.model import Address
from rules.facts import ContactFacts


class Direction(StrEnum):
    """Seen from the office."""

    IN = "in"
    OUT = "out"


class Outcome(StrEnum):
    """What becomes of a mail; OCCASION: it was none, and what its rules do is done."""

    LOG = "log"
    HEADERS = "headers"
    UNMATCHED = "unmatched"
    INTERNAL = "internal"
    NEVER_LOG = "never_log"
    IGNORED = "ignored"
    OCCASION = "occasion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one rung of the ladder said. `seen` = the address, domain, id or token it looked at."""

    rung: str
    seen: str
    customers: tuple[int, ...]
    used: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Who a mail is about.

    customers   all of them, the sender's (or for our own mail the first recipient's) first
    rungs       customer id -> rung that decided it
    contact     the person at the other end, None if unknown or ambiguous
    other_end   the address of that person, known or not; None for a mail without outside people
    outside     every address that is neither internal nor ours, once each
    ambiguous   an address or domain belongs to several customers; `customers` then holds all of them
    """

    answers: tuple[Answer, ...] = ()
    customers: tuple[int, ...] = ()
    rungs: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    contact: ContactFacts | None = None
    other_end: Address | None = None
    outside: tuple[Address, ...] = ()
    ambiguous: bool = False

    @property
    def known(self) -> bool:
        """Exactly one customer (decision 14)."""
        return len(self.customers) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One effect that shall happen. `slot` is what it claims ("draft", "set:renewal_date", "tag:vip", "create:lead").

    verb and args (all values final: texts rendered, times aware UTC, people resolved):
      file_under  {customer: name or address, customer_id: int | None}
      create      {what: customer|contact|lead|case|order|task|note, fields: {...}}   due -> due_at: datetime
      set         {target: customer|contact, field, value}
      tag, untag  {tag}
      segment     {segment}
      stage       {to, back: bool}
      owner       {rep} or {round_robin: [rep, ...]}
      remind      {rep, due_at, late_after, unless, text}      rep "owner"/"sender" already resolved
      category, uncategory  {category}
      flag        {day: date}
      notify      {channel, text}
      move        {folder}     with / between its levels
      draft       {template, reply: bool, to, due_at, late_after, unless, values: {...}}
    """

    rule: str
    slot: str
    verb: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One condition of a rule as it was tested: a tick or not, with the value seen."""

    condition: str
    held: bool
    wanted: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """One value that a rule took out of the mail; `value` is "" where there is none, and `missed` says what was seen.

    way     where it was found: jsonld, regex, attachment_name
    kind    what `as` made of it: money (as written), date (2026-12-24), number (1250.5), address; "" = text
    wanted  the line of the rule
    """

    name: str
    value: str
    way: str = ""
    kind: str = ""
    wanted: str = ""
    missed: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleTrace:
    """One rule on one mail. result: fired, watched, paused, failed (first failing check last), not_for (other `when`),
    not_seen (kind not named with `is`), too_old (before the baseline or the rule's first loading), stopped, off,
    looping (the change was made by the rule itself, or by a chain of rules).

    shadowed: slot -> name of the rule that had claimed it before.
    extracted: the values it took out of the mail, if its conditions held.
    """

    rule: str
    place: str
    result: str
    checks: tuple[Check, ...] = ()
    done: tuple[str, ...] = ()
    shadowed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    extracted: tuple[Extracted, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Everything decided about one mail. `logged_by` = name of the rule that claimed log, "" = the default."""

    outcome: Outcome
    reason: str = ""
    direction: Direction = Direction.IN
    match: Match = field(default_factory=Match)
    logged_by: str = ""
    actions: tuple[Action, ...] = ()
    traces: tuple[RuleTrace, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The trace as plain JSON data: answers, rules with checks, actions by verb and slot; no text of the mail."""
        return {
            "outcome": self.outcome.value,
            "reason": self.reason,
            "direction": self.direction.value,
            "logged_by": self.logged_by,
            "who": [
                {"rung": a.rung, "seen": a.seen, "customers": list(a.customers), "used": a.used, "why": a.why}
                for a in self.match.answers
            ],
            "rules": [
                {
                    "rule": t.rule,
                    "place": t.place,
                    "result": t.result,
                    "checks": [
                        {"condition": c.condition, "held": c.held, "wanted": c.wanted, "seen": c.seen} for c in t.checks
                    ],
                    "done": list(t.done),
                    "shadowed": dict(t.shadowed),
                    "extracted": [{"name": e.name, "by": e.way} for e in t.extracted],
                }
                for t in self.traces
            ],
            "actions": [{"rule": a.rule, "verb": a.verb, "slot": a.slot} for a in self.actions],
        }
