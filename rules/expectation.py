"""One line of `expect` in a rule test, and what it is held against. Built by expectations and expected_actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from config.nodes import Node, Place, Scalar, plain
from rules.condition import clip
from rules.decision import Action, Decision, RuleTrace
from rules.hours import OfficeHours
from rules.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Came:
    """What came of the mail of a test, or of what else happened in it.

    names     customer id -> name
    moments   for what came of several occasions: when the one of each action was; delays count from there
    """

    decision: Decision
    at: datetime
    zone: ZoneInfo
    hours: OfficeHours
    names: Mapping[int, str]
    moments: tuple[tuple[Action, datetime], ...] = ()

    def since(self, action: Action) -> datetime:
        """From when the delays of an action count."""
        return next((at for one, at in self.moments if one is action), self.at)

    @property
    def fired(self) -> tuple[RuleTrace, ...]:
        """The rules whose conditions held and that are on, in their order."""
        return tuple(trace for trace in self.decision.traces if trace.result == "fired")

    def actions(self, verb: str) -> list[Action]:
        """The actions of one sort."""
        return [action for action in self.decision.actions if action.verb == verb]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One line of `expect`. `wanted` as written; `came` tells what there was instead.

    rules   names of rules that it is about; verb: the action that it is about, "" for none
    """

    key: str
    wanted: str
    place: Place
    met: Callable[[Came], bool]
    came: Callable[[Came], str]
    rules: tuple[str, ...] = ()
    verb: str = ""


Build = Callable[[Scalar, Node, Reader], Expectation | None]
"""Reads one line: its key, its value; faults go to the reader."""


def same(wanted: str, got: str) -> bool:
    """Whether two texts are equal but for case and white space."""
    return " ".join(wanted.split()).casefold() == " ".join(got.split()).casefold()


def shown_node(node: Node) -> str:
    """What stands in the file, on one line."""
    found: Any = plain(node)
    return clip(_flow(found), 200)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
    return ", ".join(map(_flow, value)) if isinstance(value, list) else str(value)
