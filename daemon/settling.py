"""Which drafts and reminders a mail settles. Runs inside the transaction that records the mail.

Three things can happen: the mail *is* a draft of ours that the rep sent; the customer wrote, so what we prepared is
stale; or the team wrote, so nobody needs reminding. What was never laid into a mailbox is cancelled at once; what
lies there is marked `withdrawing`, and `daemon.desks` takes it out after the commit.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from sqlmodel import Session

from config.settings import Settings
from connectors.model import FolderRole, Kind, Message
from daemon.likeness import likeness
from rules.decision import Decision, Direction
from rules.office import office_of
from store import exchanges, outbox, reminders
from store.exchanges import LastWords
from store.tables import OutboxMail, OutboxState, Reminder, ReminderState

CUSTOMER_WROTE = "customer_wrote"
TEAM_WROTE = "team_wrote"
EITHER_WROTE = f"{CUSTOMER_WROTE},{TEAM_WROTE}"
LATE = "late"
"""A promise with this in its `unless` is of its day: late, it is dropped."""

LIKE_IN_THREAD = 0.3
LIKE_ELSEWHERE = 0.7
_OPEN_DRAFTS = (OutboxState.PLANNED, OutboxState.HELD, OutboxState.PLACING, OutboxState.PLACED)
_OPEN_REMINDERS = (ReminderState.PLANNED, ReminderState.HELD, ReminderState.PLACING, ReminderState.PLACED)
_UNSENT = (OutboxState.PLACED, OutboxState.PLACING, OutboxState.DECLINED, OutboxState.WITHDRAWING)


def settle(session: Session, settings: Settings, message: Message, decision: Decision, now: datetime) -> list[str]:
    """Settle what this newly recorded mail settles. Returns what was done, for the trace."""
    if message.kind is not Kind.HUMAN or not decision.match.customers:
        return []
    customers = decision.match.customers
    if decision.direction is Direction.OUT:
        if message.folder_role is not FolderRole.SENT:
            return []  # whoever writes our address into From has not written it from our Sent folder
        sent = _find_sent(session, message, customers)
        done = [_mark_sent(session, sent, message)] if sent else []
        return done + _close(session, settings, message, decision, TEAM_WROTE, now)
    wrote = senders_customers(message, decision)
    return _close(session, settings, message, decision, CUSTOMER_WROTE, now) if wrote else []


def senders_customers(message: Message, decision: Decision) -> frozenset[int]:
    """The customers whose side wrote this mail: by the sender's address or domain, or because it answers our thread."""
    if message.sender is None:
        return frozenset()
    key, domain = message.sender.key, message.sender.domain
    found: set[int] = set()
    for answer in decision.match.answers:
        by_thread = answer.rung in ("token", "plus_address", "thread") and answer.used
        by_domain = answer.rung == "domain" and (domain == answer.seen or domain.endswith("." + answer.seen))
        if by_thread or by_domain or (answer.rung in ("address", "alias") and answer.seen == key):
            found.update(answer.customers)
    return frozenset(found)


def customers_with_promises(session: Session) -> set[int]:
    """The customers for whom a draft or reminder is open; for the others a mail settles nothing."""
    drafts = outbox.customers_in(session, (*_UNSENT, OutboxState.PLANNED, OutboxState.HELD))
    return drafts | reminders.customers_in(session, _OPEN_REMINDERS)


def answered_since(session: Session, promise: OutboxMail | Reminder) -> str:
    """Why a promise is settled already by what the history holds ("the customer wrote"), "" if it is not.

    Catches answers that were recorded before the promise was made, found in another mailbox or out of order.
    """
    if promise.customer_id is None:
        return ""
    return settled_by(promise, exchanges.last_words(session, promise.customer_id, promise.contact_id))


def settled_by(promise: OutboxMail | Reminder, last: LastWords) -> str:
    """The same by what is known already of when either side last wrote."""
    for what, at in ((CUSTOMER_WROTE, last.in_at), (TEAM_WROTE, last.out_at)):
        if what in promise.unless.split(",") and at is not None and at > promise.event_at:
            return _words(what)
    return ""


def _find_sent(session: Session, message: Message, customers: tuple[int, ...]) -> OutboxMail | None:
    """The draft of ours that this mail from Sent is, if any."""
    recipients = {address.key for address in (*message.to, *message.cc, *message.bcc)}
    for draft in outbox.of_customers(session, customers, states=_UNSENT):
        if draft.message_id == message.message_id and draft.message_id:
            return draft
        if draft.recipient.lower() not in recipients:
            continue
        answered = {*draft.references, draft.in_reply_to, draft.message_id} - {""}
        in_thread = bool(answered & {*message.references, message.in_reply_to})
        if likeness(draft.text, message.text) >= (LIKE_IN_THREAD if in_thread else LIKE_ELSEWHERE):
            return draft
    return None


def _mark_sent(session: Session, draft: OutboxMail, message: Message) -> str:
    assert draft.id is not None
    fields = {"settled_at": message.sent_at or message.received_at, "sent_message_id": message.message_id}
    outbox.move(session, draft.id, _UNSENT, OutboxState.SENT, reason="the rep sent it", **fields)
    return f"draft {draft.id} was sent"


def _close(
    session: Session, settings: Settings, message: Message, decision: Decision, what: str, now: datetime
) -> list[str]:
    done = []
    customers = tuple(senders_customers(message, decision)) if what == CUSTOMER_WROTE else decision.match.customers
    for draft in outbox.of_customers(session, customers, states=_OPEN_DRAFTS):
        if _settles(settings, message, decision, draft, what) and _close_draft(session, draft, what, now):
            done.append(f"draft {draft.id}: {_words(what)}")
    for reminder in reminders.of_customers(session, customers, states=_OPEN_REMINDERS):
        if _settles(settings, message, decision, reminder, what) and _close_reminder(session, reminder, what, now):
            done.append(f"reminder {reminder.id}: {_words(what)}")
    return done


def _settles(
    settings: Settings, message: Message, decision: Decision, promise: OutboxMail | Reminder, what: str
) -> bool:
    if what not in promise.unless.split(",") or message.received_at <= promise.event_at:
        return False
    contact = decision.match.contact
    if promise.contact_id is None or (contact is not None and contact.id == promise.contact_id):
        return True
    if what == TEAM_WROTE:
        return promise.contact_id in _written_to(message, decision)
    return message.sender is not None and not office_of(settings).is_public(message.sender.domain)


def _written_to(message: Message, decision: Decision) -> set[int]:
    contact = decision.match.contact
    recipients = {address.key for address in (*message.to, *message.cc, *message.bcc)}
    return {contact.id} if contact is not None and recipients & set(contact.emails) else set()


def _words(what: str) -> str:
    return "the customer wrote" if what == CUSTOMER_WROTE else "the team wrote"


def _close_draft(session: Session, draft: OutboxMail, what: str, now: datetime) -> bool:
    assert draft.id is not None
    early, placed = (OutboxState.PLANNED, OutboxState.HELD), (OutboxState.PLACING, OutboxState.PLACED)
    reason = _words(what)
    return outbox.move(session, draft.id, early, OutboxState.CANCELLED, settled_at=now, reason=reason) or outbox.move(
        session, draft.id, placed, OutboxState.WITHDRAWING, reason=reason
    )


def _close_reminder(session: Session, reminder: Reminder, what: str, now: datetime) -> bool:
    assert reminder.id is not None
    early, placed = (ReminderState.PLANNED, ReminderState.HELD), (ReminderState.PLACING, ReminderState.PLACED)
    reason = _words(what)
    return reminders.move(
        session, reminder.id, early, ReminderState.CANCELLED, settled_at=now, reason=reason
    ) or reminders.move(session, reminder.id, placed, ReminderState.WITHDRAWING, reason=reason)


def withdraw_for(
    session: Session, meeting: int, words: Collection[str], reason: str, now: datetime, *, whose: Collection[int]
) -> int:
    """Take back what rules prepared because of a meeting (`words`: what it was for them), as far as nobody has taken it
    up; how much. What lies in a mailbox and was not touched is taken out by daemon.desks."""
    done = 0
    for mail in outbox.of_customers(session, list(whose), states=_OPEN_DRAFTS):
        if mail.id is not None and _is_about(mail.event, meeting, words):
            early = outbox.move(session, mail.id, _EARLY_DRAFTS, OutboxState.CANCELLED, reason=reason, settled_at=now)
            done += early or outbox.move(session, mail.id, _LAID_DRAFTS, OutboxState.WITHDRAWING, reason=reason)
    for one in reminders.of_customers(session, list(whose), states=_OPEN_REMINDERS):
        if one.id is not None and _is_about(one.event, meeting, words):
            early = reminders.move(
                session, one.id, _EARLY_REMINDERS, ReminderState.CANCELLED, reason=reason, settled_at=now
            )
            done += early or reminders.move(session, one.id, _LAID_REMINDERS, ReminderState.WITHDRAWING, reason=reason)
    return done


def meeting_of(event: str) -> int | None:
    """The number of the meeting that an event of ours is about, None if it is about none."""
    found = _MEETING.search(event)
    return int(found[1]) if found else None


_MEETING = re.compile(r"\|meeting ([0-9]+)\|")


def _is_about(event: str, meeting: int, words: Collection[str]) -> bool:
    trigger, _, rest = event.partition("|")
    return trigger.partition(":")[0] in words and rest.startswith(f"meeting {meeting}|")


_EARLY_DRAFTS = (OutboxState.PLANNED, OutboxState.HELD)
_LAID_DRAFTS = (OutboxState.PLACING, OutboxState.PLACED)
_EARLY_REMINDERS = (ReminderState.PLANNED, ReminderState.HELD)
_LAID_REMINDERS = (ReminderState.PLACING, ReminderState.PLACED)
