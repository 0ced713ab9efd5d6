"""What ends a sequence for somebody: read anew before each step and right before each mail leaves. Reads only."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from sqlmodel import Session

from daemon.blocks import why_blocked
from daemon.office import Office
from daemon.versions import book_of
from rules.hours import OfficeHours, zone_for
from rules.sequence import COLLEAGUE, MEETING, REPLIED, STAGE, TEAM, Sequence
from store import customers, enrolments
from store.customers import ContactRow, CustomerCard
from store.hashing import HashKey
from store.tables import Enrolment, EnrolmentState, OutboxMail

REPLY = "the customer wrote"


def why_ended(
    session: Session, office: Office, key: HashKey, enrolment: Enrolment, sequence: Sequence, card: CustomerCard | None
) -> str:
    """Why it is over for them ("the customer wrote"), "" while it goes on. `card`: their customer as it is now."""
    if card is None:
        return "the customer is gone"
    signs = sequence.stop_when.signs
    found = _unreachable(session, key, enrolment, contact_of(card, enrolment))
    if not found and REPLIED in signs and _wrote(enrolment, card):
        found = REPLY
    if (
        not found
        and MEETING in signs
        and enrolments.meeting_since(session, enrolment.customer_id, enrolment.entered_at)
    ):
        found = "a meeting was booked"
    return found or _changed(enrolment, sequence, card) or _team_wrote(session, office, enrolment, sequence)


def step_over(office: Office, key: HashKey, session: Session, mail: OutboxMail) -> str:
    """Why a mail is not wanted any more by the sequence whose step it is; "" if it is, and for every other mail."""
    if mail.enrolment_id is None:
        return ""
    enrolment = enrolments.by_ids(session, [mail.enrolment_id]).get(mail.enrolment_id)
    if enrolment is None or enrolment.state != EnrolmentState.ACTIVE:
        return (enrolment.reason if enrolment else "") or "the sequence is over"
    sequence = book_of(office).find(session, enrolment)
    if isinstance(sequence, str):
        return ""
    return why_ended(session, office, key, enrolment, sequence, card_of(session, enrolment))


def contact_of(card: CustomerCard | None, enrolment: Enrolment) -> ContactRow | None:
    """The person who is in it, None if nobody is known by name or they are gone."""
    people = card.contacts if card else ()
    return next((one for one in people if one.id == enrolment.contact_id), None)


def card_of(session: Session, enrolment: Enrolment) -> CustomerCard | None:
    """Their customer as it is now."""
    return customers.cards(session, [enrolment.customer_id]).get(enrolment.customer_id)


def zone_of(office: Office, card: CustomerCard | None, contact: ContactRow | None) -> ZoneInfo:
    """Where a contact lives (decision 17): its own zone, else its country's, else the office's."""
    own = (contact.zone if contact else "") or (card.customer.zone if card else "")
    country = (contact.country if contact else "") or (card.customer.country if card else "")
    return zone_for(own, country, office.hours.zone)


def window_of(office: Office, sequence: Sequence, card: CustomerCard | None, enrolment: Enrolment) -> OfficeHours:
    """When steps may come for them."""
    return sequence.pace.window(office.hours, zone_of(office, card, contact_of(card, enrolment)))


def _unreachable(session: Session, key: HashKey, enrolment: Enrolment, contact: ContactRow | None) -> str:
    if enrolment.contact_id is not None and contact is None:
        return "the contact is gone"
    if contact is not None and contact.bounced_at is not None:
        return f"mail to the address came back: {contact.bounce_reason or 'undeliverable'}"
    blocked = why_blocked(session, key, enrolment.recipient)
    return f"the address gets no mail: {blocked}" if blocked else ""


def _wrote(enrolment: Enrolment, card: CustomerCard) -> bool:
    last = card.customer.last_in_at
    return last is not None and last > enrolment.event_at


def _changed(enrolment: Enrolment, sequence: Sequence, card: CustomerCard) -> str:
    stop, customer = sequence.stop_when, card.customer
    if (STAGE in stop.signs and customer.stage != enrolment.stage) or (
        customer.stage in stop.stages and customer.stage != enrolment.stage
    ):
        return f"the stage is {customer.stage} now"
    tag = min(stop.tags & customer.tags, default="")
    return f"the customer has the tag {tag}" if tag else ""


def _team_wrote(session: Session, office: Office, enrolment: Enrolment, sequence: Sequence) -> str:
    """Who of us wrote to them by hand: a colleague, or with `team wrote` the rep too."""
    signs = sequence.stop_when.signs
    if not {COLLEAGUE, TEAM} & signs:
        return ""
    written = enrolments.letters_since(session, enrolment.customer_id, enrolment.event_at, enrolment.id or 0)
    for box, sender in written:
        who = office.settings.rep_of(sender) or box or sender
        if TEAM in signs or who != enrolment.rep:
            return f"{who} wrote to the customer"
    return ""
