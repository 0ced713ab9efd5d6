"""Whether a mail that is about to be decided about says that its writer wants no mail (`when: contact unsubscribed`).

The same signs as in daemon.marks, which writes the wish down behind the batch.
"""

from __future__ import annotations

from sqlmodel import Session

from config.settings import Settings
from connectors.model import Kind, Message
from daemon.optouts import tokens_in, wants_no_mail
from rules.facts import Directory
from rules.ruleset import RuleSet
from rules.triggers import UNSUBSCRIBED
from store import marking


def is_wish(session: Session, rules: RuleSet, settings: Settings, directory: Directory, message: Message) -> bool:
    """Asked only where a rule wants to know. An old wish of somebody who went on writing is none."""
    if UNSUBSCRIBED not in rules.events or message.sender is None or message.bounce is not None:
        return False
    tokens = tokens_in(message, settings)
    if tokens and marking.by_tokens(session, tokens):
        return True
    people = directory.contacts.get(message.sender.key, ())
    if not people or all(one.last_in_at and one.last_in_at > message.received_at for one in people):
        return False
    return message.kind is Kind.HUMAN and wants_no_mail(message, [message.sender.name, *(one.name for one in people)])
