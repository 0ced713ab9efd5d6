"""A decision told to people."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.model import Message
from rules.decision import Decision
from rules.ruleset import RuleSet


def explain(decision: Decision, message: Message, ruleset: RuleSet, customer_names: Mapping[int, str]) -> list[str]:
    """Lines that say who the mail is about, which rules fired and why, and what becomes of it."""
    names = ", ".join(customer_names.get(one, str(one)) for one in decision.match.customers) or "nobody known"
    return [f"{message.subject or '(no subject)'}", f"about: {names}", f"outcome: {decision.outcome}"]
