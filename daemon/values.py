"""The names a template may use, filled from the records as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlmodel import Session

from config.settings import Settings
from daemon.office import Office
from daemon.phrases import phrase
from rules.names import first_name
from store import customers, exchanges
from store.customers import ContactRow, CustomerCard
from store.tables import OutboxMail


def template_values(
    session: Session, office: Office, draft: OutboxMail, card: CustomerCard | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Values for the template of a draft, and the languages to try: contact, mail, customer. `card`: their customer, if
    it is at hand."""
    settings = office.settings
    if card is None and draft.customer_id:
        card = customers.show(session, draft.customer_id)
    contact = _contact(card, draft)
    mail = exchanges.exchange(session, draft.interaction_id) if draft.interaction_id else None
    owner = card.customer.owner if card and card.customer.owner in settings.team else draft.rep
    languages = (
        contact.language if contact else "",
        draft.language,
        card.customer.language if card else "",
        settings.company.language,
    )
    spoken = next(filter(None, languages)).partition("-")[0]
    values: dict[str, Any] = {
        "mail": {
            # Many people write without one; nobody could fill it in.
            "subject": (mail.subject or phrase("no_subject", spoken)) if mail else "",
            "date": (mail.sent_at or mail.at) if mail else None,
            "from": (mail.sender_name or mail.sender) if mail else "",
            "text": mail.text if mail else "",
        },
        "contact": _contact_values(contact, draft),
        "customer": _customer_values(card),
        "owner": _person(settings, owner),
        "rep": _person(settings, draft.rep),
        "company": {"name": settings.company.name, "address": settings.company.address},
        **draft.values,
    }
    return values, languages


def _contact(card: CustomerCard | None, draft: OutboxMail) -> ContactRow | None:
    if card is None:
        return None
    return next((one for one in card.contacts if one.id == draft.contact_id), None)


def _contact_values(contact: ContactRow | None, draft: OutboxMail) -> Mapping[str, Any]:
    if contact is None:
        return {"name": "", "first_name": "", "email": draft.recipient, "fields": {}}
    return {
        "name": contact.name,
        "first_name": first_name(contact.name),
        "email": draft.recipient,
        "phone": contact.phone,
        "title": contact.title,
        "language": contact.language,
        "fields": dict(contact.fields),
    }


def _customer_values(card: CustomerCard | None) -> Mapping[str, Any]:
    if card is None:
        return {"name": "", "fields": {}}
    customer = card.customer
    moments = [at for at in (customer.last_in_at, customer.last_out_at) if at is not None]
    return {
        "name": customer.name,
        "stage": customer.stage,
        "segment": customer.segment,
        "owner": customer.owner,
        "last_contact": max(moments) if moments else None,
        "fields": dict(customer.fields),
    }


def _person(settings: Settings, rep: str) -> Mapping[str, Any]:
    member = settings.team.get(rep)
    if member is None:
        return {"name": "", "first_name": "", "mail": ""}
    name = member.name or rep.capitalize()
    return {"name": name, "first_name": first_name(name) or name, "mail": member.mail}
