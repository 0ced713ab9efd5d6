"""The rules' view of the store for one batch of mail: every look-up the batch needs, a handful of queries in all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sqlmodel import Session

from config.settings import Settings
from connectors.model import Message
from rules.facts import ContactFacts, CustomerFacts, Directory, Thread
from rules.ladder import domain_chain, tokens_of
from store import customers, interactions, reminders, suppressions
from store.hashing import HashKey
from store.identity import subject_key


def directory_for(session: Session, key: HashKey, settings: Settings, messages: Sequence[Message]) -> Directory:
    """Everything the rules may ask about these messages."""
    people = {person.key: person for message in messages for person in message.people()}
    outside = [address for address in people if not settings.is_internal(address)]
    domains = {part for address in outside for part in domain_chain(address.rpartition("@")[2])}
    ids = {reference for message in messages for reference in message.references}
    tokens = {token for message in messages for token in tokens_of(message, settings)}

    contacts = _contacts(session, outside)
    claimed = customers.lookup_domains(session, domains)
    threads = interactions.by_message_ids(session, ids)
    by_token = reminders.customers_by_token(session, tokens)
    wanted = {contact.customer_id for found in contacts.values() for contact in found}
    wanted.update(one for found in claimed.values() for one in found)
    wanted.update(one for thread in threads.values() for one in thread.customers)
    wanted.update(one for found in by_token.values() for one in found)
    return Directory(
        contacts=contacts,
        domains=claimed,
        threads={name: Thread(customers=row.customers, subject_key=subject_key(row.subject)) for name, row in threads.items()},
        tokens=by_token,
        customers=_customers(session, wanted),
        never_log=_never_log(session, key, outside, domains),
    )
