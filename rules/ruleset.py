"""The loaded rules: immutable, checked, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of rules/*.yaml."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """All rules in the order they run, with what they refer to.

    hash    twelve hex digits that change when a rule, template or list does
    """

    rules: tuple[Rule, ...] = ()
    templates: Mapping[str, Any] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hash: str = ""
