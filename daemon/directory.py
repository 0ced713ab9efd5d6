"""The rules' view of the store for one batch of mail: every look-up the batch needs, a handful of queries in all."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlmodel import Session

from config.settings import Settings
from connectors.model import Message
from daemon.turns import known_turns
from rules.facts import ContactFacts, CustomerFacts, Directory, Thread
from rules.ladder import plus_tags, tokens_in
from rules.ruleset import RuleSet
from store import customers, interactions, reminders, suppressions
from store.customers import ContactRow, CustomerRow
from store.hashing import HashKey


def directory_for(
    session: Session, key: HashKey, settings: Settings, messages: Sequence[Message], rules: RuleSet | None = None
) -> Directory:
    """Everything the rules may ask about these messages. Its mappings are dicts that the pipeline keeps up to date.

    `rules`: those whose `once:` is to be known.
    """
    outside = _outside(settings, messages)
    domains = {part for address in outside for part in _chain(address.rpartition("@")[2])}
    contacts = customers.lookup_addresses(session, outside)
    claimed = customers.lookup_domains(session, domains)
    threads = interactions.by_message_ids(session, {one for message in messages for one in message.references})
    tokens = {one for message in messages for one in (*tokens_in(message.subject), *plus_tags(message, settings))}
    named = reminders.customers_by_token(session, {token.upper() for token in tokens})
    wanted = {contact.customer_id for found in contacts.values() for contact in found}
    for several in (*claimed.values(), *named.values(), *(thread.customers for thread in threads.values())):
        wanted.update(several)
    facts = {number: customer_facts(row) for number, row in customers.facts(session, wanted).items()}
    people = {contact.id for found in contacts.values() for contact in found}
    return Directory(
        contacts={address: tuple(contact_facts(one) for one in found) for address, found in contacts.items()},
        domains=dict(claimed),
        threads={one: Thread(customers=row.customers, subject_key=row.subject) for one, row in threads.items()},
        tokens=dict(named),
        customers=facts,
        once=known_turns(session, rules, messages, people, facts.values()) if rules else {},
        never_log=_never_log(session, key, outside, domains),
    )


def contact_ids(directory: Directory, message: Message) -> dict[str, int]:
    """Address key -> contact id, for the participants who are known and not ambiguous."""
    found: dict[str, int] = {}
    for person in message.people():
        contacts = directory.contacts.get(person.key, ())
        if len(contacts) == 1:
            found[person.key] = contacts[0].id
    return found


def contact_facts(row: ContactRow) -> ContactFacts:
    """A stored contact as rules see it."""
    return ContactFacts(
        id=row.id,
        customer_id=row.customer_id,
        name=row.name,
        emails=row.emails,
        aliases=row.aliases,
        title=row.title,
        phone=row.phone,
        language=row.language,
        country=row.country,
        zone=row.zone,
        fields=row.fields,
        last_in_at=row.last_in_at,
        last_out_at=row.last_out_at,
        away_until=row.away_until,
        bounced_at=row.bounced_at,
    )


def customer_facts(row: CustomerRow) -> CustomerFacts:
    """A stored customer as rules see it."""
    return CustomerFacts(
        id=row.id,
        name=row.name,
        stage=row.stage,
        segment=row.segment,
        owner=row.owner,
        language=row.language,
        country=row.country,
        zone=row.zone,
        source=row.source,
        tags=row.tags,
        fields=row.fields,
        open=row.open,
        deal=row.deal,
        sequences=row.sequences,
        last_in_at=row.last_in_at,
        last_out_at=row.last_out_at,
        created_at=row.created_at,
    )


def _outside(settings: Settings, messages: Sequence[Message]) -> set[str]:
    people = {person.key for message in messages for person in message.people()}
    people.update(one.lower() for message in messages if message.bounce for one in message.bounce.recipients)
    return {address for address in people if not settings.is_internal(address)}


def _chain(domain: str) -> list[str]:
    """A domain and everything it lies below: "mail.acme.example" -> itself and "acme.example"."""
    parts = domain.split(".")
    return [".".join(parts[start:]) for start in range(max(1, len(parts) - 1))]


def _never_log(session: Session, key: HashKey, people: Collection[str], domains: Collection[str]) -> frozenset[str]:
    hashes = {one: {key.address(one), key.address(untagged(one))} for one in people}
    hashes |= {one: {key.domain(one)} for one in domains}
    stopped = suppressions.which(session, set().union(*hashes.values()), "log").keys()
    return frozenset(one for one, mine in hashes.items() if mine & stopped)


def untagged(address: str) -> str:
    """The address without a "+tag": a person who was erased is the same person under any tag."""
    local, at, domain = address.rpartition("@")
    return f"{local.partition('+')[0] or local}{at}{domain}"
