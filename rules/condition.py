"""A condition ready to be asked, and groups of them. Built by mail_conditions, customer_conditions, time_conditions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from rules.decision import Check
from rules.view import View

T = TypeVar("T")
CHEAP, HASHED, WORDS, SLOW = range(4)
_SHOWN = 100
_MOST_KEYS = 5000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Condition:
    """One condition of a rule.

    wanted  as the rule says it, for the trace; seen: what the mail has there
    keys    index keys: a mail without any of them cannot fulfil the condition; None = no such set
    cost    order of asking where no trace is kept
    reads_markup   it asks for the data in the HTML of a mail
    kinds   kinds of mail that the condition names positively with `is`
    """

    name: str
    wanted: str
    holds: Callable[[View], bool]
    seen: Callable[[View], str]
    keys: frozenset[str] | None = None
    cost: int = CHEAP
    kinds: frozenset[str] = frozenset()
    reads_markup: bool = False

    def check(self, view: View) -> Check:
        """The answer with the value seen."""
        return Check(condition=self.name, held=self.holds(view), wanted=self.wanted, seen=self.seen(view))


def all_of(name: str, members: Sequence[Condition]) -> Condition:
    """Holds if every member does."""
    ordered = tuple(one.holds for one in sorted(members, key=lambda one: one.cost))
    return Condition(
        name=name,
        wanted=_wanted(members, " and "),
        holds=lambda view: all(holds(view) for holds in ordered),
        seen=lambda view: _seen(members, view),
        keys=best_keys(members),
        reads_markup=any(one.reads_markup for one in members),
        cost=max((one.cost for one in members), default=CHEAP),
        kinds=_kinds(members),
    )


def any_of(name: str, members: Sequence[Condition]) -> Condition:
    """Holds if at least one member does."""
    ordered = tuple(one.holds for one in sorted(members, key=lambda one: one.cost))
    return Condition(
        name=name,
        wanted=_wanted(members, " or "),
        holds=lambda view: any(holds(view) for holds in ordered),
        seen=lambda view: _seen(members, view),
        keys=_united(members),
        reads_markup=any(one.reads_markup for one in members),
        cost=max((one.cost for one in members), default=CHEAP),
        kinds=_kinds(members),
    )


def none_of(name: str, members: Sequence[Condition]) -> Condition:
    """Holds if no member does. What it names, it does not name positively."""
    ordered = tuple(one.holds for one in sorted(members, key=lambda one: one.cost))
    return Condition(
        name=name,
        wanted=_wanted(members, " or "),
        holds=lambda view: not any(holds(view) for holds in ordered),
        seen=lambda view: _seen(members, view),
        reads_markup=any(one.reads_markup for one in members),
        cost=max((one.cost for one in members), default=CHEAP),
    )


def listed(
    name: str,
    wanted: Sequence[T],
    unwanted: Sequence[T],
    has: Callable[[View, T], bool],
    seen: Callable[[View], str],
    *,
    written: str,
    keys: frozenset[str] | None = None,
    kinds: frozenset[str] = frozenset(),
    cost: int = CHEAP,
) -> Condition:
    """At least one plain entry holds (or there is none) and no `not` entry does (decision 18)."""

    def holds(view: View) -> bool:
        return (not wanted or any(has(view, one) for one in wanted)) and not any(has(view, one) for one in unwanted)

    return Condition(
        name=name,
        wanted=written,
        holds=holds,
        seen=seen,
        keys=keys if wanted else None,
        kinds=kinds,
        cost=cost,
    )


def best_keys(members: Iterable[Condition]) -> frozenset[str] | None:
    """The narrowest key set among conditions that must all hold: people, then words, then facts; few before many."""
    found = [one.keys for one in members if one.keys is not None]
    return min(found, key=lambda keys: (max((_RANK[key[0]] for key in keys), default=0), len(keys)), default=None)


_RANK = {"a": 0, "d": 0, "w": 1, "p": 2, "f": 3}


def _united(members: Sequence[Condition]) -> frozenset[str] | None:
    sets = [one.keys for one in members]
    if not sets or any(one is None for one in sets):
        return None
    union = frozenset().union(*(one for one in sets if one is not None))
    return union if len(union) <= _MOST_KEYS else None


def _kinds(members: Sequence[Condition]) -> frozenset[str]:
    return frozenset().union(*(one.kinds for one in members))


def _wanted(members: Sequence[Condition], between: str) -> str:
    return clip(between.join(f"{one.name} {one.wanted}" for one in members))


def _seen(members: Sequence[Condition], view: View) -> str:
    return clip("; ".join(dict.fromkeys(f"{one.name} {one.seen(view)}" for one in members)), 240)


def clip(text: str, most: int = _SHOWN) -> str:
    """At most so many characters, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
