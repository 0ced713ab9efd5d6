"""`once:` of rules, as the store knows it: whom a rule has acted for, and when the mail it acted on had arrived."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from connectors.model import Message
from rules.facts import CustomerFacts
from rules.once import last_time, once_key, thread_mark
from rules.ruleset import Rule, RuleSet
from store import actions, customers


def known_turns(
    session: Session,
    rules: RuleSet,
    messages: Iterable[Message],
    contacts: Iterable[int],
    facts: Iterable[CustomerFacts],
) -> dict[tuple[str, str], datetime]:
    """(rule, key) -> when, for everything that these mails may belong to. No query where no rule says `once`."""
    if not any(rule.once for rule in rules.rules):
        return {}
    keys = {f"thread {thread_mark(message)}" for message in messages} | {f"contact {one}" for one in contacts}
    for one in facts:
        keys |= {f"customer {one.id}", f"deal {one.id}", f"deal {one.deal}"}
    return actions.turns(session, keys)


def had_their_turn(
    session: Session, rules: Iterable[Rule], message: Message, contact: int | None, customer: int | None
) -> set[str]:
    """The rules that may not act for this mail, now that it is settled whose it is (`file_under`)."""
    keys = {rule: _key(session, rule, message, contact, customer) for rule in rules if rule.once}
    done = actions.turns(session, keys.values()) if keys else {}
    return {
        rule.name
        for rule, key in keys.items()
        if rule.once and not rule.once.allows(last_time(done, rule.names, key), message.received_at)
    }


def take_turns(
    session: Session, rules: Iterable[Rule], message: Message, contact: int | None, customer: int | None
) -> None:
    """Write down that these rules acted: for the contact, customer and deal that the mail belongs to by now."""
    for rule in rules:
        key = _key(session, rule, message, contact, customer) if rule.once else ""
        if key:
            actions.take_turn(session, rule.name, key, message.received_at)


def _key(session: Session, rule: Rule, message: Message, contact: int | None, customer: int | None) -> str:
    scope = rule.once.scope if rule.once else ""
    deal = customers.get(session, customer).deal if scope == "deal" and customer is not None else ""
    return once_key(scope, message, contact, customer, deal)
