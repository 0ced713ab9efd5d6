"""Entering a sequence and ending it. Runs inside the caller's transaction; two constraints of the store decide."""

from __future__ import annotations

from collections.abc import Sequence as Several
from dataclasses import dataclass
from datetime import date, datetime

import structlog
from sqlmodel import Session

from connectors.model import Message
from daemon.blocks import why_blocked
from daemon.citizen import is_no_reply
from daemon.office import Office
from daemon.signs import card_of, contact_of, window_of
from daemon.versions import book_of
from rules.once import once_key_of
from rules.pacing import back_on, step_due
from rules.sequence import Sequence
from rules.view import mail_language
from store import enrolments, exchanges, outbox, reminders
from store.customers import CustomerCard
from store.hashing import HashKey
from store.tables import Enrolment, EnrolmentState, OutboxState, ReminderState

log = structlog.get_logger()

_EARLY = (OutboxState.PLANNED, OutboxState.HELD)
_LYING = (OutboxState.PLACING, OutboxState.PLACED)
_EARLY_REMINDER = (ReminderState.PLANNED, ReminderState.HELD)
_LYING_REMINDER = (ReminderState.PLACING, ReminderState.PLACED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """The mail that the sequence goes on from: its number in the history, its language, what an answer refers to."""

    interaction: int | None = None
    language: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()

    @classmethod
    def of_mail(cls, message: Message, interaction: int | None) -> Thread:
        """The thread of the mail at hand."""
        return cls(
            interaction=interaction,
            language=mail_language(message),
            in_reply_to=message.message_id,
            references=(*message.references, message.message_id),
        )


def last_thread(session: Session, contact: int | None) -> Thread:
    """The thread of the last mail between us and a contact, where no mail made them enter."""
    last = exchanges.last_with(session, contact) if contact is not None else None
    if last is None:
        return Thread()
    return Thread(interaction=last.id, in_reply_to=last.message_id, references=(last.message_id,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Somebody who is to enter a sequence.

    contact        None where the address belongs to nobody known by name: then only for drafts
    event          identity of what makes them enter; event_at: when that was, from which the first wait counts
    started_by     "rule NAME" or "admin"
    again          they may enter although they did before
    """

    sequence: Sequence
    customer: int
    contact: int | None
    recipient: str
    rep: str
    account: str
    event: str
    event_at: datetime
    started_by: str
    thread: Thread
    again: bool = False


def enrol(session: Session, office: Office, key: HashKey, entry: Entry, now: datetime) -> tuple[int | None, str]:
    """Let somebody enter: the number of the enrolment, or None and why not."""
    row = _row(entry, now)
    card = card_of(session, row)
    why = _why_not(session, office, key, entry, card) if card is not None else "the customer is gone"
    if why or card is None:
        return None, why
    why = _why_not_again(session, entry, row, card, now)
    if why:
        return None, why
    sequence = entry.sequence
    row.stage = card.customer.stage
    window = window_of(office, sequence, card, row)
    contact = contact_of(card, row)
    row.away_until = contact.away_until if contact else None
    row.due_at = step_due(sequence.steps[0].wait, entry.event_at, window)
    if row.away_until is not None:
        row.due_at = max(row.due_at, back_on(row.away_until, window))
    enrolments.keep_version(session, sequence.name, sequence.version, sequence.content, now)
    number = enrolments.enter(session, row)
    if number is None:
        return None, f"somebody there entered {sequence.name} at the same moment"
    log.info("sequence.entered", sequence=sequence.name, enrolment=number)
    return number, ""


def _row(entry: Entry, now: datetime) -> Enrolment:
    return Enrolment(
        sequence=entry.sequence.name,
        version=entry.sequence.version,
        customer_id=entry.customer,
        contact_id=entry.contact,
        interaction_id=entry.thread.interaction,
        rep=entry.rep,
        account=entry.account,
        recipient=entry.recipient,
        language=entry.thread.language,
        entered_for="",
        exclusive_for=entry.customer if entry.sequence.exclusive else None,
        event=entry.event,
        event_at=entry.event_at,
        entered_at=now,
        started_by=entry.started_by,
        since=entry.event_at,
        in_reply_to=entry.thread.in_reply_to,
        references=list(filter(None, entry.thread.references)),
    )


def _why_not(session: Session, office: Office, key: HashKey, entry: Entry, card: CustomerCard) -> str:
    """Why nobody may be written to there, "" if they may."""
    settings, address = office.settings, entry.recipient.strip().lower()
    if not address:
        return "there is nobody to write to"
    if settings.is_internal(address) or address in settings.own_addresses():
        return "the address is our own"
    if is_no_reply(address):
        return "nobody reads that address"
    blocked = why_blocked(session, key, address)
    if blocked:
        return f"the address gets no mail: {blocked}"
    person = next((one for one in card.contacts if one.id == entry.contact), None)
    if person is None:
        return "" if entry.sequence.mode == "draft" else "the address is of no contact of the customer"
    if address not in person.emails:
        return "the address is not the contact's"
    return f"mail to the address came back: {person.bounce_reason or 'undeliverable'}" if person.bounced_at else ""


def _why_not_again(session: Session, entry: Entry, row: Enrolment, card: CustomerCard, now: datetime) -> str:
    """`once_per` and `exclusive`. Fills `entered_for` and `round` of the row."""
    sequence = entry.sequence
    for other in enrolments.of_customers(session, [entry.customer]):
        same = other.sequence == sequence.name and other.recipient.lower() == entry.recipient.lower()
        if same:
            return f"they are in {other.sequence} already"
        if sequence.exclusive or other.exclusive_for is not None:
            return f"somebody there is in {other.sequence}, and that allows no other"
    row.entered_for = once_key_of(sequence.once.scope, entry.contact, entry.customer, card.customer.deal)
    row.entered_for = row.entered_for or f"address {entry.recipient.lower()}"
    last = enrolments.last_entry(session, sequence.name, row.entered_for)
    if last is not None and not entry.again and not sequence.once.allows(last.entered_at, now):
        return f"they entered {sequence.name} on {last.entered_at.astimezone(row.entered_at.tzinfo):%Y-%m-%d} already"
    row.round = enrolments.next_round(session, sequence.name, row.entered_for)
    return ""


# --- ending ----------------------------------------------------------------------------------------------------------


def stop(session: Session, enrolment: Enrolment, reason: str, now: datetime) -> bool:
    """End it before its time: what was prepared for them is cancelled, or taken out of the mailboxes if untouched.
    What is on the wire already is not ours any more. Whether it was active."""
    assert enrolment.id is not None
    if not enrolments.end(session, enrolment.id, EnrolmentState.STOPPED, reason, now):
        return False
    fields = {"reason": reason, "settled_at": now}
    for mail in outbox.of_customers(session, [enrolment.customer_id], states=(*_EARLY, *_LYING)):
        if mail.enrolment_id == enrolment.id and mail.id is not None:
            outbox.move(session, mail.id, _EARLY, OutboxState.CANCELLED, **fields)
            outbox.move(session, mail.id, _LYING, OutboxState.WITHDRAWING, reason=reason)
    states = (*_EARLY_REMINDER, *_LYING_REMINDER)
    for one in reminders.of_customers(session, [enrolment.customer_id], states=states):
        if one.enrolment_id == enrolment.id and one.id is not None:
            reminders.move(session, one.id, _EARLY_REMINDER, ReminderState.CANCELLED, **fields)
            reminders.move(session, one.id, _LYING_REMINDER, ReminderState.WITHDRAWING, reason=reason)
    log.info("sequence.stopped", sequence=enrolment.sequence, enrolment=enrolment.id, why=reason)
    return True


def stop_all(session: Session, customers: Several[int], sequence: str, reason: str, now: datetime) -> list[Enrolment]:
    """End a sequence ("all": every one) for everybody at these customers; those that were active."""
    found = [one for one in enrolments.of_customers(session, customers) if sequence in (one.sequence, "all")]
    return [one for one in found if stop(session, one, reason, now)]


# --- absences --------------------------------------------------------------------------------------------------------


def note_absence(
    session: Session, office: Office, contacts: Several[int], stated: date | None, noted_at: datetime
) -> list[str]:
    """They are away: until the day they state, else as long as each sequence says. Nothing comes before."""
    done = []
    for one in enrolments.of_contacts(session, contacts):
        sequence = book_of(office).find(session, one)
        if isinstance(sequence, str) or one.id is None:
            continue  # it stands still anyway
        window = window_of(office, sequence, card_of(session, one), one)
        until = stated or sequence.away.after(noted_at, window).astimezone(window.zone).date()
        back = back_on(until, window)
        if until == one.away_until or back <= noted_at:
            continue
        enrolments.change(session, one.id, away_until=until, due_at=max(one.due_at, back) if one.due_at else None)
        done.append(f"{one.sequence}: waits until {until}")
    return done


def note_return(session: Session, contacts: Several[int]) -> None:
    """They wrote, so they are back."""
    for one in enrolments.of_contacts(session, contacts):
        if one.away_until is not None and one.id is not None:
            enrolments.change(session, one.id, away_until=None)
