"""What was last said between us and a customer: for reminders, templates and the check before a draft is laid out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from store.statements import table
from store.tables import Contact, Customer, Interaction, InteractionCustomer, Participant

_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_CUSTOMER = table(Customer)
_CONTACT = table(Contact)
_PARTICIPANT = table(Participant)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One mail of the history, with its text."""

    id: int
    at: datetime
    sent_at: datetime | None
    direction: str
    message_id: str
    subject: str
    text: str
    sender: str
    sender_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWords:
    """When either side last wrote, as a person (automatic replies do not count); None = never."""

    in_at: datetime | None
    out_at: datetime | None


def last_exchange(session: Session, customer_id: int) -> Exchange | None:
    """The newest mail that a person wrote, to or from a customer."""
    statement = (
        select(*(_INTERACTION.c[name] for name in Exchange.__dataclass_fields__))
        .join(_LINK, _LINK.c.interaction_id == _INTERACTION.c.id)
        .where(_LINK.c.customer_id == customer_id, _INTERACTION.c.kind == "human")
        .order_by(_LINK.c.at.desc(), _INTERACTION.c.id.desc())
        .limit(1)
    )
    row = session.execute(statement).mappings().first()
    return Exchange(**row) if row else None


def last_with(session: Session, contact_id: int) -> Exchange | None:
    """The newest mail that a person wrote, from or to a contact."""
    statement = (
        select(*(_INTERACTION.c[name] for name in Exchange.__dataclass_fields__))
        .join(_PARTICIPANT, _PARTICIPANT.c.interaction_id == _INTERACTION.c.id)
        .where(_PARTICIPANT.c.contact_id == contact_id, _INTERACTION.c.kind == "human")
        .order_by(_INTERACTION.c.at.desc(), _INTERACTION.c.id.desc())
        .limit(1)
    )
    row = session.execute(statement).mappings().first()
    return Exchange(**row) if row else None


def exchange(session: Session, interaction_id: int) -> Exchange | None:
    """One mail of the history by its number; None if there is none, or it is no mail."""
    columns = [_INTERACTION.c[name] for name in Exchange.__dataclass_fields__]
    mine = (_INTERACTION.c.id == interaction_id, _INTERACTION.c.channel == "mail")
    row = session.execute(select(*columns).where(*mine)).mappings().first()
    return Exchange(**row) if row else None


def last_words(session: Session, customer_id: int, contact_id: int | None = None) -> LastWords:
    """When the customer last wrote (any contact of theirs) and when we last wrote to the contact, if one is named."""
    columns = _CUSTOMER.c
    row = session.execute(select(columns.last_in_at, columns.last_out_at).where(columns.id == customer_id)).first()
    if row is None:
        return LastWords(in_at=None, out_at=None)
    out_at: datetime | None = row[1]
    if contact_id is not None:
        out_at = session.execute(select(_CONTACT.c.last_out_at).where(_CONTACT.c.id == contact_id)).scalar()
    return LastWords(in_at=row[0], out_at=out_at)
