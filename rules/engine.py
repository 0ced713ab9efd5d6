"""Decides what happens with one mail. Pure: the same values give the same decision, any time."""

from __future__ import annotations

from config.settings import Settings
from connectors.model import Message
from rules.decision import Decision, Outcome
from rules.facts import Directory, Moment
from rules.ladder import direction_of, match
from rules.office import office_of
from rules.ruleset import RuleSet


def evaluate(
    ruleset: RuleSet,
    message: Message,
    directory: Directory,
    settings: Settings,
    moment: Moment,
    *,
    explain: bool = False,
) -> Decision:
    """Decide about one mail. With `explain` every rule leaves a trace, else only those that fired or were shadowed."""
    found = match(message, directory, settings)
    direction = direction_of(message, office_of(settings))
    if not found.outside:
        return Decision(outcome=Outcome.INTERNAL, reason="only our own people", direction=direction, match=found)
    outcome = Outcome.LOG if found.customers else Outcome.UNMATCHED
    return Decision(outcome=outcome, direction=direction, match=found)
