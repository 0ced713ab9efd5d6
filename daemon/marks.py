"""What a newly read mail says about people: it came back, they are away, they complained, they want no mail.

Runs inside the pipeline's transaction, behind the mail's own row. Costs nothing for mail that says nothing. Every mark
holds in whatever order mails are read: what a person wrote later outweighs what a machine said of them before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import structlog
from sqlmodel import Session

from connectors.model import Bounce, FolderRole, Kind, Message
from daemon import blocks
from daemon.directory import untagged
from daemon.enrolling import note_absence, note_return
from daemon.office import Office
from daemon.optouts import tokens_in, wants_no_mail
from daemon.settling import senders_customers
from rules.decision import Decision, Direction, Outcome
from rules.facts import ContactFacts, Directory
from rules.moments import Delay
from store import customers, marking, outbox
from store.customers import Actor
from store.hashing import HashKey
from store.tables import OutboxMail, OutboxState, SentCopy

log = structlog.get_logger()

AWAY_FOR = Delay(5, "day", business=True)
"""How long somebody counts as away who does not say until when."""
RECENT = timedelta(days=7)
"""How old a mail of ours may be that a report without its Message-ID speaks of."""
AUTHOR = "mail"
"""Who made these changes, in the list of changes."""
GETS_NO_MAIL = "the address gets no mail: "
_OPEN = (OutboxState.PLANNED, OutboxState.HELD)
_GONE = (OutboxState.SENT, OutboxState.UNCERTAIN)


@dataclass(slots=True)
class Ours:
    """The mails we sent by ourselves that a batch may speak of, by Message-ID.

    copies     those of which the batch holds a copy (in Sent, or in a colleague's mailbox)
    doubtful   those of which nobody knows whether they arrived
    """

    copies: dict[str, OutboxMail] = field(default_factory=dict)
    doubtful: dict[str, OutboxMail] = field(default_factory=dict)

    @classmethod
    def among(cls, session: Session, office: Office, messages: Sequence[Message]) -> Ours:
        """Two cheap queries a batch."""
        internal = office.settings.is_internal
        written = {one.message_id for one in messages if one.sender is not None and internal(one.sender.key)}
        return cls(marking.own_sends(session, written), marking.uncertain_sends(session))


@dataclass(slots=True, kw_only=True)
class Scene:
    """One mail, what was decided about it, and where the marks go."""

    session: Session
    office: Office
    key: HashKey
    message: Message
    decision: Decision
    directory: Directory
    ours: Ours
    now: datetime

    @property
    def actor(self) -> Actor:
        """The mail itself as the author of a change."""
        return Actor(name=AUTHOR, now=self.now)

    @property
    def senders(self) -> tuple[ContactFacts, ...]:
        """The contacts that have the sender's address."""
        sender = self.message.sender
        return self.directory.contacts.get(sender.key, ()) if sender else ()


def note_copy(session: Session, ours: Ours, message: Message) -> bool:
    """Whether the mail is a copy of one that we sent by ourselves. In Sent it proves that the mail did leave."""
    row = ours.copies.get(message.message_id)
    if row is None:
        return False
    if message.folder_role is FolderRole.SENT and row.state == OutboxState.UNCERTAIN:
        _arrived(session, row, "its copy lies in Sent", message.received_at, copy_state=SentCopy.LIES)
        ours.doubtful.pop(message.message_id, None)
    return True


def says_something(scene: Scene) -> bool:
    """A cheap look: is there anything to mark?"""
    message, decision = scene.message, scene.decision
    if message.kind in (Kind.BOUNCE, Kind.FEEDBACK):
        return message.bounce is not None
    if decision.direction is Direction.OUT:
        return False
    if scene.ours.doubtful and not scene.ours.doubtful.keys().isdisjoint(message.references):
        return True
    if message.kind is Kind.OUT_OF_OFFICE:
        return _until(scene) >= _today(scene)
    marked = message.kind is Kind.HUMAN and any(one.away_until or one.bounced_at for one in scene.senders)
    return marked or bool(tokens_in(message, scene.office.settings)) or _opts_out(scene)


def mark(scene: Scene) -> list[str]:
    """Write down what the mail says; what was done, in words. Rows of the batch must be in the store."""
    message = scene.message
    if message.kind is Kind.BOUNCE and message.bounce is not None:
        return _came_back(scene, message.bounce)
    if message.kind is Kind.FEEDBACK and message.bounce is not None:
        return _complained(scene, message.bounce)
    done = _answered_doubtful(scene) + _token(scene)
    if scene.decision.outcome is Outcome.NEVER_LOG:
        return done
    if message.kind is Kind.OUT_OF_OFFICE:
        return done + _away(scene)
    if message.kind is Kind.HUMAN:
        done += _wrote(scene) if message.sender else []
        done += _opted_out(scene) if _opts_out(scene) else []
    return done


# --- what we sent ----------------------------------------------------------------------------------------------------


def _arrived(session: Session, row: OutboxMail, reason: str, at: datetime, **fields: object) -> bool:
    assert row.id is not None
    moved = outbox.move(
        session, row.id, (OutboxState.UNCERTAIN,), OutboxState.SENT, reason=reason, settled_at=at, **fields
    )
    if moved:
        log.info("send.arrived", outbox=row.id)
    return moved


def _answered_doubtful(scene: Scene) -> list[str]:
    """Whoever answers a mail has got it."""
    found = {one: row for one in scene.message.references if (row := scene.ours.doubtful.pop(one, None))}
    for row in found.values():
        _arrived(scene.session, row, "it was answered", scene.message.received_at)
    return [f"send {row.id} arrived" for row in found.values()]


def _row_of(scene: Scene, bounce: Bounce) -> OutboxMail | None:
    """The mail of ours that a report speaks of: by its Message-ID, else the last one to that address."""
    named = marking.own_sends(scene.session, [bounce.original_message_id])
    if named:
        return next(iter(named.values()))
    if bounce.original_message_id:
        return None
    return marking.last_send_to(scene.session, bounce.recipients, scene.message.received_at - RECENT)


def _cancel_open(scene: Scene, address: str, reason: str) -> list[str]:
    """Mail that waits for this address, under whatever tag, is not wanted any more. What is on its way is not ours."""
    wanted = untagged(address.lower())
    done = []
    for row in outbox.in_states(scene.session, _OPEN):
        assert row.id is not None
        if untagged(row.recipient.lower()) != wanted:
            continue
        ends = {"reason": GETS_NO_MAIL + reason, "settled_at": scene.now}
        if outbox.move(scene.session, row.id, _OPEN, OutboxState.CANCELLED, **ends):
            done.append(f"outbox {row.id} cancelled")
    return done


# --- delivery reports ------------------------------------------------------------------------------------------------


def _came_back(scene: Scene, bounce: Bounce) -> list[str]:
    row = _row_of(scene, bounce)
    if bounce.hard is not True:
        return _delayed(scene, row, bounce) if row else []
    done = []
    if row is not None and row.id is not None:
        fields = {"reason": f"came back: {bounce.reason}", "settled_at": scene.message.received_at}
        if outbox.move(scene.session, row.id, _GONE, OutboxState.BOUNCED, **fields):
            scene.ours.doubtful.pop(row.message_id, None)
            log.warning("send.bounced", outbox=row.id, why=bounce.reason)
            done.append(f"send {row.id} came back")
    for address in [row.recipient] if row else bounce.recipients:
        done += _unreachable(scene, address, bounce, ours=row is not None)
    return done


def _delayed(scene: Scene, row: OutboxMail, bounce: Bounce) -> list[str]:
    """Not for good: the mail has left, and nothing more is known."""
    assert row.id is not None
    said = f"not delivered yet: {bounce.reason}"
    if row.state == OutboxState.UNCERTAIN:
        if not bounce.original_message_id:  # it may speak of an earlier mail to them: then this one may not have left
            return []
        scene.ours.doubtful.pop(row.message_id, None)
        _arrived(scene.session, row, said, scene.message.received_at)
    elif row.state == OutboxState.SENT:
        outbox.change(scene.session, row.id, reason=said)
    return [f"send {row.id} {said}"]


def _unreachable(scene: Scene, address: str, bounce: Bounce, *, ours: bool) -> list[str]:
    """The address does not exist. A report about a stranger says nothing to us, one older than a letter is refuted."""
    people = _contacts_at(scene, address)
    silent = [one for one in people if not _wrote_since(one, scene.message.received_at)]
    if not silent and (people or not ours):
        return []
    for one in silent:
        fields = {"bounced_at": scene.message.received_at, "bounce_reason": bounce.reason}
        if one.bounced_at is None and address.lower() == one.emails[0]:
            customers.edit_contact(scene.session, one.id, fields, scene.actor)
    return _block(scene, address, blocks.BOUNCED, silent)


def _complained(scene: Scene, bounce: Bounce) -> list[str]:
    if bounce.reason != "complaint":
        return []
    row = _row_of(scene, bounce)
    done = []
    if row is not None and row.state == OutboxState.UNCERTAIN and bounce.original_message_id:
        _arrived(scene.session, row, "its recipient complained of it", scene.message.received_at)
    for address in [row.recipient] if row else bounce.recipients:
        people = _contacts_at(scene, address)
        if people or row:
            done += _block(scene, address, blocks.COMPLAINED, people)
    return done


def _contacts_at(scene: Scene, address: str) -> Sequence[customers.ContactRow]:
    key = address.strip().lower()
    return customers.lookup_addresses(scene.session, [key]).get(key, ())


def _block(scene: Scene, address: str, reason: str, people: Iterable[customers.ContactRow]) -> list[str]:
    first = next(iter(people), None)
    number = first.id if first else None
    before = blocks.why_blocked(scene.session, scene.key, address)
    blocks.block(scene.session, scene.key, address, reason, contact_id=number, by=scene.actor)
    if not before:
        log.debug("contact.blocked", contact=number, why=reason)
    return [f"contact {number}: {reason}", *_cancel_open(scene, address, reason)]


# --- people ----------------------------------------------------------------------------------------------------------


def _wrote_since(contact: customers.ContactRow | ContactFacts, at: datetime) -> bool:
    return contact.last_in_at is not None and contact.last_in_at > at


def _today(scene: Scene) -> date:
    return scene.now.astimezone(scene.office.hours.zone).date()


def _until(scene: Scene) -> date:
    """The day they are back: as stated, else some business days after the mail."""
    if scene.message.away_until is not None:
        return scene.message.away_until
    hours = scene.office.hours
    return AWAY_FOR.after(scene.message.received_at, hours).astimezone(hours.zone).date()


def _away(scene: Scene) -> list[str]:
    until = _until(scene)
    if until < _today(scene):
        return []
    done = []
    people = [one for one in _absent(scene) if not _wrote_since(one, scene.message.received_at)]
    stated, at = scene.message.away_until, scene.message.received_at
    done += note_absence(scene.session, scene.office, [one.id for one in people], stated, at)
    for one in people:
        if one.away_until != until:
            customers.edit_contact(scene.session, one.id, {"away_until": until}, scene.actor)
            done.append(f"contact {one.id}: away until {until}")
    return done


def _absent(scene: Scene) -> Sequence[customers.ContactRow]:
    """Whose out-of-office note this is: the sender's, else that of whom the mail it answers was for."""
    people = _contacts_at(scene, scene.message.sender.key) if scene.message.sender else ()
    if people:
        return people
    answered = marking.own_sends(scene.session, scene.message.references)
    return [one for row in answered.values() for one in _contacts_at(scene, row.recipient) if one.id == row.contact_id]


def _wrote(scene: Scene) -> list[str]:
    """Whoever writes is back, and has an address. A note that came after the letter still holds."""
    done: list[str] = []
    assert scene.message.sender is not None
    for one in _contacts_at(scene, scene.message.sender.key):
        fields: dict[str, object] = {}
        at = scene.message.received_at
        if one.away_until is not None:
            noted = marking.last_of_kind(scene.session, one.id, Kind.OUT_OF_OFFICE.value)
            if noted is None or noted < at:
                fields |= {"away_until": None}
                note_return(scene.session, [one.id])
        if one.bounced_at is not None and one.bounced_at < at:
            fields |= {"bounced_at": None, "bounce_reason": ""}
            address = scene.message.sender.email
            blocks.unblock(scene.session, scene.key, address, contact_id=one.id, by=scene.actor, only=blocks.BOUNCED)
        if fields:
            customers.edit_contact(scene.session, one.id, fields, scene.actor)
            done.append(f"contact {one.id} wrote again")
    return done


# --- who wants no mail -----------------------------------------------------------------------------------------------


def _opts_out(scene: Scene) -> bool:
    message = scene.message
    if message.kind is not Kind.HUMAN or message.sender is None:
        return False
    if not wants_no_mail(message, [message.sender.name, *(one.name for one in scene.senders)]):
        return False
    return bool(senders_customers(message, scene.decision))


def _opted_out(scene: Scene) -> list[str]:
    """The sender's own words. An old wish of somebody who went on writing is no wish any more."""
    assert scene.message.sender is not None
    people = _contacts_at(scene, scene.message.sender.key)
    if people and all(_wrote_since(one, scene.message.received_at) for one in people):
        return []
    return _block(scene, scene.message.sender.email, blocks.UNSUBSCRIBED, people)


def _token(scene: Scene) -> list[str]:
    """A List-Unsubscribe was used: the wish holds for whom the mail with this token was for, whoever passes it on."""
    done = []
    for row in marking.by_tokens(scene.session, tokens_in(scene.message, scene.office.settings)):
        people = [one for one in _contacts_at(scene, row.recipient) if one.id == row.contact_id]
        done += _block(scene, row.recipient, blocks.UNSUBSCRIBED, people)
    return done
