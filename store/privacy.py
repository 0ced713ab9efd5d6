"""What is kept about a customer: handing it out, and erasing it so that nothing is left but keyed hashes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import JSON, String, Table, Text, cast, delete, or_, select, update
from sqlalchemy.orm import Session
from sqlmodel import SQLModel

from store import changes, customers, suppressions, unmatched
from store.customers import Actor
from store.hashing import HashKey
from store.statements import LIKE_ESCAPE, among, like, table
from store.tables import (
    AddressRow,
    Case,
    Change,
    Contact,
    Customer,
    CustomerDomain,
    CustomerTag,
    DatedField,
    Enrolment,
    Gesture,
    Interaction,
    InteractionCustomer,
    Lead,
    MailboxMark,
    Meeting,
    MeetingCopy,
    Note,
    Notification,
    Order,
    OutboxMail,
    Participant,
    Quarantine,
    Reminder,
    SendAttempt,
    Sighting,
    Task,
    Trace,
)

ERASED = "[erased]"
_LINK = table(InteractionCustomer)
_INTERACTION = table(Interaction)
_PARTICIPANT = table(Participant)
_CHANGE = table(Change)
_CONTACT = table(Contact)
_QUARANTINE = table(Quarantine)
_PROMISES = (Task, Lead, Case, Order, Note, OutboxMail, Reminder, Notification, Enrolment)
"""In the order in which they can be deleted: mails and reminders name the enrolment whose step they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erased:
    """What an erasure removed. `hashes`: addresses that are suppressed for good now."""

    interactions: int
    contacts: int
    hashes: int


def export(session: Session, customer_id: int) -> dict[str, Any]:
    """Everything kept about a customer as plain JSON data, the texts of the mails included."""
    card = customers.show(session, customer_id)
    number = card.customer.id
    mails = select(_INTERACTION).join(_LINK, _LINK.c.interaction_id == _INTERACTION.c.id)
    mails = mails.where(_LINK.c.customer_id == number).order_by(_INTERACTION.c.at, _INTERACTION.c.id)
    result: dict[str, Any] = {
        "customer": changes.plain(asdict(card.customer)),
        "contacts": [changes.plain(asdict(one)) for one in card.contacts],
        "domains": list(card.domains),
        "interactions": [changes.plain(dict(row)) for row in session.execute(mails).mappings()],
        "participants": _of_mails(session, number, _PARTICIPANT),
        "sightings": _of_mails(session, number, table(Sighting)),
        "meetings": _of_mails(session, number, table(Meeting)),
        "meeting_copies": _of_mails(session, number, table(MeetingCopy)),
        "marks": _of_mails(session, number, table(MailboxMark)),
        "traces": _of_mails(session, number, table(Trace)),
        "changes": [changes.plain(one.model_dump()) for one in changes.of_row(session, "customer", number, 10_000)],
    }
    for model in _PROMISES:
        target = table(model)
        rows = session.execute(select(target).where(target.c.customer_id == number)).mappings()
        result[target.name] = [changes.plain(dict(row)) for row in rows]
    return result


def _of_mails(session: Session, customer_id: int, target: Table) -> list[dict[str, Any]]:
    mine = select(_LINK.c.interaction_id).where(_LINK.c.customer_id == customer_id)
    rows = session.execute(select(target).where(target.c.interaction_id.in_(mine))).mappings()
    return [changes.plain(dict(row)) for row in rows]


def erase(session: Session, customer_id: int, key: HashKey, by: Actor) -> Erased:
    """Delete a customer with contacts, history, promises and whatever else names its people; NotFound.

    Their addresses stay as keyed hashes, suppressed for "mail" and "log" until the admin lifts it. A mail that is
    also about another customer stays with that one, without the erased people in it. Quarantined bytes and every
    text in the store are searched for the addresses at the end; that reads the whole store.
    """
    customers.get(session, customer_id)
    numbers = _with_merged(session, customer_id)
    people = select(_CONTACT.c.id).where(among(session, _CONTACT.c.customer_id, numbers))
    contacts = list(session.execute(people).scalars())
    addresses = _addresses(session, contacts)
    domains = list(_free_domains(session, numbers))
    gone = _erase_mails(session, numbers, addresses)
    _erase_promises(session, numbers, contacts)
    _erase_changes(session, numbers, contacts)
    _erase_records(session, numbers, contacts)
    hashes = [key.address(one) for one in addresses]
    for purpose in suppressions.PURPOSES:
        suppressions.add(session, hashes, purpose, "erased", by.now)
    lost = unmatched.find_for(session, [*hashes, *(key.domain(one) for one in domains)])
    unmatched.forget(session, [row.id for row in lost])
    _sweep(session, addresses)
    return Erased(interactions=gone, contacts=len(contacts), hashes=len(hashes))


def _with_merged(session: Session, customer_id: int) -> list[int]:
    """The customer and those that were merged into it, however deep."""
    columns = table(Customer).c
    numbers, newest = [customer_id], [customer_id]
    while newest:
        newest = list(session.execute(select(columns.id).where(columns.merged_into.in_(newest))).scalars())
        numbers += newest
    return numbers


def _addresses(session: Session, contacts: Collection[int]) -> list[str]:
    address = table(AddressRow)
    known = select(address.c.key).where(among(session, address.c.contact_id, contacts))
    seen = select(_PARTICIPANT.c.key).where(among(session, _PARTICIPANT.c.contact_id, contacts))
    return sorted(set(session.execute(known).scalars()) | set(session.execute(seen).scalars()))


def _free_domains(session: Session, numbers: Sequence[int]) -> Iterator[str]:
    """The domains that only these customers claim."""
    column = table(CustomerDomain).c
    mine = set(session.execute(select(column.domain).where(among(session, column.customer_id, numbers))).scalars())
    for domain, owners in customers.lookup_domains(session, mine).items():
        if set(owners) <= set(numbers):
            yield domain


def _erase_mails(session: Session, numbers: Collection[int], addresses: Collection[str]) -> int:
    """Delete the mails that are about nobody else, take the people out of the others; how many were deleted."""
    theirs = set(
        session.execute(select(_LINK.c.interaction_id).where(among(session, _LINK.c.customer_id, numbers))).scalars()
    )
    session.execute(delete(_LINK).where(among(session, _LINK.c.customer_id, numbers)))
    others = select(_LINK.c.interaction_id).where(among(session, _LINK.c.interaction_id, theirs))
    shared = set(session.execute(others).scalars())
    only = theirs - shared
    session.execute(delete(table(Trace)).where(among(session, table(Trace).c.interaction_id, theirs)))
    session.execute(delete(_PARTICIPANT).where(among(session, _PARTICIPANT.c.key, addresses)))
    for model in _PROMISES:
        target = table(model)
        session.execute(update(target).where(among(session, target.c.interaction_id, only)).values(interaction_id=None))
    _uninvite(session, shared, addresses)
    of_a_mail = (_PARTICIPANT, table(Sighting), table(MailboxMark), table(Gesture), table(Meeting), table(MeetingCopy))
    for target in of_a_mail:
        session.execute(delete(target).where(among(session, target.c.interaction_id, only)))
    session.execute(delete(_INTERACTION).where(among(session, _INTERACTION.c.id, only)))
    from_them = among(session, _INTERACTION.c.sender, addresses)
    session.execute(update(_INTERACTION).where(from_them).values(sender="", sender_name=""))
    return len(only)


def _uninvite(session: Session, shared: Collection[int], addresses: Collection[str]) -> None:
    """Take people out of the meetings that are about somebody else too."""
    target, gone = table(Meeting), {one.lower() for one in addresses}
    rows = session.execute(select(target).where(among(session, target.c.interaction_id, shared))).mappings()
    for row in rows.all():
        left = [one for one in row["attendees"] if one["email"].lower() not in gone]
        organizer = "" if row["organizer"].lower() in gone else row["organizer"]
        mine = target.c.interaction_id == row["interaction_id"]
        session.execute(update(target).where(mine).values(attendees=left, organizer=organizer))


def _erase_promises(session: Session, numbers: Collection[int], contacts: Collection[int]) -> None:
    for model in _PROMISES:
        target = table(model)
        theirs = or_(
            among(session, target.c.customer_id, numbers),
            among(session, target.c.contact_id, contacts),
        )
        if model is OutboxMail:
            gone = select(target.c.id).where(theirs)
            session.execute(delete(table(SendAttempt)).where(table(SendAttempt).c.outbox_id.in_(gone)))
        session.execute(delete(target).where(theirs))


def _erase_changes(session: Session, numbers: Collection[int], contacts: Collection[int]) -> None:
    for target in (_CHANGE, table(DatedField)):
        for name, ids in (("customer", numbers), ("contact", contacts)):
            session.execute(delete(target).where(target.c.table_name == name, among(session, target.c.row_id, ids)))


def _erase_records(session: Session, numbers: Sequence[int], contacts: Collection[int]) -> None:
    session.execute(
        update(_PARTICIPANT).where(among(session, _PARTICIPANT.c.contact_id, contacts)).values(contact_id=None)
    )
    session.execute(delete(table(AddressRow)).where(among(session, table(AddressRow).c.contact_id, contacts)))
    session.execute(delete(_CONTACT).where(among(session, _CONTACT.c.id, contacts)))
    for model in (CustomerTag, CustomerDomain):
        session.execute(delete(table(model)).where(among(session, table(model).c.customer_id, numbers)))
    for number in reversed(numbers):  # those merged into others first
        session.execute(delete(table(Customer)).where(table(Customer).c.id == number))


def _sweep(session: Session, addresses: Collection[str]) -> None:
    """Put [erased] wherever an address still stands in some text; drop quarantined mails that hold it."""
    patterns = [f"%{like(address)}%" for address in addresses]
    for target in SQLModel.metadata.sorted_tables if patterns else ():
        keys = list(target.primary_key)
        texts = [one for one in target.c if isinstance(one.type, (String, Text, JSON)) and not one.primary_key]
        if not texts:
            continue
        holds = or_(*(cast(one, Text).ilike(pattern, escape=LIKE_ESCAPE) for one in texts for pattern in patterns))
        for row in session.execute(select(*keys, *texts).where(holds)).all():
            where = [key == value for key, value in zip(keys, row, strict=False)]
            old = {one.name: value for one, value in zip(texts, row[len(keys) :], strict=True)}
            new = {name: _without(value, addresses) for name, value in old.items()}
            session.execute(update(target).where(*where).values(new))
    _sweep_quarantine(session, addresses)


def _without(value: Any, addresses: Collection[str]) -> Any:
    if isinstance(value, str):
        for address in addresses:  # not by value.lower(): some letters become longer there
            value = re.sub(re.escape(address), ERASED, value, flags=re.IGNORECASE)
        return value
    if isinstance(value, dict):
        return {_without(name, addresses): _without(one, addresses) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, addresses) for one in value]
    return value


def _sweep_quarantine(session: Session, addresses: Collection[str]) -> None:
    wanted = [address.encode() for address in addresses]
    for number, raw in session.execute(select(_QUARANTINE.c.id, _QUARANTINE.c.raw)).all():
        lower = bytes(raw).lower()
        if any(address in lower for address in wanted):
            session.execute(delete(_QUARANTINE).where(_QUARANTINE.c.id == number))
