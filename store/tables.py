"""Every table. The history (customer, contact, interaction ...) first, then what the daemon needs to run.

Nothing is unique that people may share: two customers may carry one name, two contacts one address. What must be
unique is said by a constraint, so that a second writer is harmless. Times are aware UTC (`UtcTime`). Text came
through the parser's gate: no NUL, no lone surrogate.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    false,
    text,
)
from sqlmodel import Field, SQLModel

from store.columns import KeyText, UtcTime


def _time(*, index: bool = False, nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(UtcTime(), nullable=nullable, index=index))


def _json(default: type[dict[str, Any]] | type[list[Any]]) -> Any:
    return Field(default_factory=default, sa_column=Column(JSON, nullable=False))


def _text() -> Any:
    return Field(default="", sa_column=Column(Text, nullable=False))


def _big() -> Any:
    """A number of bytes or of cents; -1 = not known. PostgreSQL's INTEGER would end at 2 GB."""
    return Field(default=-1, sa_column=Column(BigInteger, nullable=False))


def _key(*, index: bool = False, primary_key: bool = False, unique: bool = False) -> Any:
    column = Column(KeyText, nullable=False, index=index or None, primary_key=primary_key, unique=unique or None)
    return Field(sa_column=column)


_NUMBERED = {"sqlite_autoincrement": True}
"""A number is never given twice, not even after the newest row is gone: people and the change log refer to it."""

_JOIN = {"sqlite_with_rowid": False}
"""Rows that are nothing but their key: SQLite keeps them in one tree instead of two."""


class Meta(SQLModel, table=True):
    """Small facts about this store: who made it, which release, the id of the hash key."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True)
    value: str


# --- who: customers, contacts, addresses -----------------------------------------------------------------------


class Customer(SQLModel, table=True):
    """A company or a person we sell to. `name_key` is the folded name; not unique."""

    __tablename__ = "customer"
    __table_args__ = _NUMBERED
    id: int | None = Field(default=None, primary_key=True)
    name: str
    name_key: str = _key(index=True)
    stage: str = Field(default="", index=True)
    segment: str = Field(default="", index=True)
    owner: str = ""
    language: str = ""
    country: str = ""
    zone: str = ""
    source: str = ""
    fields: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)
    last_in_at: datetime | None = _time(index=True)
    last_out_at: datetime | None = _time(index=True)
    merged_into: int | None = Field(default=None, foreign_key="customer.id", index=True)


class CustomerTag(SQLModel, table=True):
    """A tag of a customer."""

    __tablename__ = "customer_tag"
    __table_args__ = _JOIN
    customer_id: int = Field(primary_key=True, foreign_key="customer.id")
    tag: str = Field(primary_key=True)


class CustomerDomain(SQLModel, table=True):
    """A mail domain of a customer, lower case. Two customers may claim one: then it matches neither alone."""

    __tablename__ = "customer_domain"
    __table_args__ = _JOIN
    customer_id: int = Field(primary_key=True, foreign_key="customer.id")
    domain: str = _key(primary_key=True, index=True)


class Contact(SQLModel, table=True):
    """A person at a customer. `bounced_at` and `away_until` are what mail told us."""

    __tablename__ = "contact"
    __table_args__ = _NUMBERED
    id: int | None = Field(default=None, primary_key=True)
    customer_id: int = Field(foreign_key="customer.id", index=True)
    name: str = ""
    title: str = ""
    phone: str = ""
    language: str = ""
    country: str = ""
    zone: str = ""
    fields: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)
    last_in_at: datetime | None = _time()
    last_out_at: datetime | None = _time()
    away_until: date | None = None
    bounced_at: datetime | None = _time()
    bounce_reason: str = ""


class AddressRow(SQLModel, table=True):
    """A mail address of a contact. `key` is the address in lower case; `alias` = learnt or stated beside the first."""

    __tablename__ = "address"
    __table_args__ = (UniqueConstraint("contact_id", "key"),)
    id: int | None = Field(default=None, primary_key=True)
    contact_id: int = Field(foreign_key="contact.id", index=True)
    email: str
    key: str = _key(index=True)
    alias: bool = False


# --- what happened: interactions -------------------------------------------------------------------------------


_BY_RULE = text("logged_by <> ''")


class Interaction(SQLModel, table=True):
    """One mail, call, meeting ... with a customer, once, however many mailboxes hold it; or an occasion that rules
    acted on (channel "occasion": `identity` is its event, `subject` the words of its trigger).

    identity      hash of Message-ID + From + Date (see store.identity); unique
    content_key   second identity for missing or rewritten ids: Date + From + To/Cc + subject + new text
    at            arrival of the copy seen first; orders the timeline
    logged_by     rule that logged it, "" = the default
    degraded      why parts are missing, "" for a sound mail
    """

    __tablename__ = "interaction"
    __table_args__ = (
        Index("ix_interaction_content_key", "content_key"),
        Index("ix_interaction_logged_by", "logged_by", "at", sqlite_where=_BY_RULE, postgresql_where=_BY_RULE),
        _NUMBERED,
    )
    id: int | None = Field(default=None, primary_key=True)
    identity: str = Field(unique=True)
    content_key: str
    channel: str = "mail"
    kind: str
    direction: str
    at: datetime = _time(index=True, nullable=False)
    sent_at: datetime | None = _time()
    message_id: str = Field(default="", index=True)
    thread: str = Field(default="", index=True)
    subject: str = _text()
    text: str = _text()
    sender: str = ""
    sender_name: str = ""
    attachments: list[Any] = _json(list)
    headers: list[Any] = _json(list)
    size: int = _big()
    rep: str = ""
    logged_by: str = ""
    degraded: str = ""
    backfill: bool = False
    created_at: datetime = _time(nullable=False)


class InteractionCustomer(SQLModel, table=True):
    """An interaction belongs to each customer it is about. `rung` = the step of the ladder that said so.

    `at` repeats the interaction's, so that the newest of a customer are found without sorting all of them.
    """

    __tablename__ = "interaction_customer"
    __table_args__ = (Index("ix_interaction_customer_timeline", "customer_id", "at"), _JOIN)
    interaction_id: int = Field(primary_key=True, foreign_key="interaction.id")
    customer_id: int = Field(primary_key=True, foreign_key="customer.id")
    at: datetime = _time(nullable=False)
    rung: str


class Participant(SQLModel, table=True):
    """An address in the header of an interaction. role: from, sender, reply_to, to, cc, bcc."""

    __tablename__ = "participant"
    __table_args__ = _JOIN
    interaction_id: int = Field(primary_key=True, foreign_key="interaction.id")
    role: str = Field(primary_key=True)
    key: str = _key(primary_key=True, index=True)
    email: str
    name: str = ""
    contact_id: int | None = Field(default=None, foreign_key="contact.id", index=True)


class Sighting(SQLModel, table=True):
    """A copy of an interaction in a mailbox folder. `ref` is the newest place of it there.

    marks   what it was marked with when it was last looked at, see store.sightings; NULL = not known
    """

    __tablename__ = "sighting"
    __table_args__ = _JOIN
    interaction_id: int = Field(primary_key=True, foreign_key="interaction.id")
    account: str = Field(primary_key=True)
    folder: str = Field(primary_key=True)
    ref: str
    seen_at: datetime = _time(nullable=False)
    marks: str | None = Field(default=None, sa_column=Column(Text, nullable=True))


class Meeting(SQLModel, table=True):
    """What an interaction of the channel "meeting" has beside title (`subject`) and start (`at`): one occurrence as its
    newest state says, whoever told it.

    series        hash of the uid, the same for every occurrence of a series
    uid, original   as in connectors.calendars.CalendarEvent.key; the interaction's identity is their hash
    sequence, stamped_at   rank of the state that counts (RFC 5546 2.1.5)
    start_at, end_at   all-day: the midnights of the office; `start_day`, `end_day` (not part of it) say then
                  which days
    zone_unclear  no zone that can be known was named: it is then if another one is assumed
    status        confirmed, tentative, cancelled
    attendees     [{email, name, answer, role}], all who are invited, ours too
    known_at      since when it is known that it is then; None = it stood there before we looked
    moves         how often it was moved since it is known, `moved_at` the last time
    missed_at     since when a rep's mark says that nobody came; None = no mark
    """

    __tablename__ = "meeting"
    interaction_id: int = Field(primary_key=True, foreign_key="interaction.id")
    series: str = _key(index=True)
    uid: str = _text()
    original: str = ""
    sequence: int = 0
    stamped_at: datetime | None = _time()
    start_at: datetime = _time(index=True, nullable=False)
    end_at: datetime = _time(index=True, nullable=False)
    start_day: date | None = None
    end_day: date | None = None
    zone: str = ""
    zone_unclear: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=false()))
    status: str = "confirmed"
    place: str = _text()
    organizer: str = ""
    attendees: list[Any] = _json(list)
    known_at: datetime | None = _time(index=True)
    moves: int = 0
    moved_at: datetime | None = _time(index=True)
    cancelled_at: datetime | None = _time(index=True)
    missed_at: datetime | None = _time(index=True)


class MeetingCopy(SQLModel, table=True):
    """A meeting in one calendar of a rep. Copies that came as invitations by mail are sightings.

    account   name below `calendars:`; `ref` names the object there
    digest    of what the copy says: unchanged = it has nothing new to tell
    answer    what the owner of the calendar answered, "" where that is not told
    missed    it carries a mark that nobody came
    gone_at   since when it is no longer there. That alone is no cancellation
    """

    __tablename__ = "meeting_copy"
    __table_args__ = (Index("ix_meeting_copy_place", "account", "calendar", "ref"), _JOIN)
    interaction_id: int = Field(primary_key=True, foreign_key="interaction.id")
    account: str = Field(primary_key=True)
    calendar: str = Field(primary_key=True)
    ref: str
    digest: str = ""
    answer: str = ""
    missed: bool = False
    seen_at: datetime = _time(nullable=False)
    gone_at: datetime | None = _time(index=True)


class MarkState(StrEnum):
    """planned -> done | impossible | cancelled. impossible = the mailbox cannot do it, or the mail is gone (`reason`);
    cancelled = taken back before it was done."""

    PLANNED = "planned"
    DONE = "done"
    IMPOSSIBLE = "impossible"
    CANCELLED = "cancelled"


class MailboxMark(SQLModel, table=True):
    """A mark on a mail in a rep's mailbox that a rule wants: category, flag, folder. Keyed (event, rule, slot).

    account, folder, ref   where the mail lay when the rule acted; its sightings know where it lies now
    marks      {add: [..], remove: [..], flag: "2026-12-24", unflag: bool, move: "CRM/Orders"}, what is asked for
    before     how it was when it was done, so that it can be taken back: {marks: text as of a sighting, folder}
    attempts   tries begun; one that was begun may have been done without our knowing
    reason     why not, or what the server did only in part
    """

    __tablename__ = "mailbox_mark"
    __table_args__ = (UniqueConstraint("event", "rule", "slot"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(default=MarkState.PLANNED, index=True)
    event: str
    rule: str
    slot: str
    interaction_id: int = Field(foreign_key="interaction.id", index=True)
    account: str
    folder: str
    ref: str
    message_id: str = ""
    marks: dict[str, Any] = _json(dict)
    before: dict[str, Any] = _json(dict)
    attempts: int = 0
    retry_at: datetime | None = _time()
    reason: str = _text()
    created_at: datetime = _time(nullable=False)
    done_at: datetime | None = _time()


class Gesture(SQLModel, table=True):
    """What a person did to a logged mail in the mailbox, until the rules that wait for it have run.

    what    "mail filed", "mail tagged", "mail flagged", "mail unflagged"; `name`: the category put on
    """

    __tablename__ = "gesture"
    __table_args__ = _NUMBERED
    id: int | None = Field(default=None, primary_key=True)
    interaction_id: int = Field(foreign_key="interaction.id", index=True)
    account: str
    folder: str
    ref: str
    what: str
    name: str = ""
    at: datetime = _time(nullable=False)
    attempts: int = 0


# --- what we promised: tasks, leads, cases, reminders, outgoing mail ---------------------------------------------


class Task(SQLModel, table=True):
    """Something a rep has to do. state: open, done, dropped."""

    __tablename__ = "task"
    __table_args__ = (Index("ix_task_of_customer", "customer_id", "state"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    title: str
    state: str = Field(default="open", index=True)
    rep: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id")
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    due_at: datetime | None = _time()
    fields: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)
    closed_at: datetime | None = _time()


class Lead(SQLModel, table=True):
    """A possible sale. state: open, won, lost."""

    __tablename__ = "lead"
    __table_args__ = (Index("ix_lead_of_customer", "customer_id", "state"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    title: str
    state: str = Field(default="open", index=True)
    source: str = ""
    owner: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id")
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    fields: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)
    closed_at: datetime | None = _time()
    lost_reason: str = ""


class Case(SQLModel, table=True):
    """A complaint or question to be solved. state: open, solved, dropped."""

    __tablename__ = "case"
    __table_args__ = (Index("ix_case_of_customer", "customer_id", "state"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    title: str
    state: str = Field(default="open", index=True)
    priority: str = ""
    owner: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id")
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    due_at: datetime | None = _time()
    resolution: str = ""
    fields: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)
    closed_at: datetime | None = _time()


class Order(SQLModel, table=True):
    """A sale. `amount` in minor units of `currency`; -1 = not known."""

    __tablename__ = "sales_order"
    __table_args__ = (Index("ix_sales_order_of_customer", "customer_id", "state"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    number: str = Field(default="", index=True)
    state: str = "open"
    amount: int = _big()
    currency: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id")
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    fields: dict[str, Any] = _json(dict)
    created_at: datetime = _time(nullable=False)


class Note(SQLModel, table=True):
    """A remark on a customer, made by a rule, a rep or the admin."""

    __tablename__ = "note"
    __table_args__ = _NUMBERED
    id: int | None = Field(default=None, primary_key=True)
    text: str = _text()
    author: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id", index=True)
    contact_id: int | None = Field(default=None, foreign_key="contact.id")
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    created_at: datetime = _time(nullable=False)


class OutboxState(StrEnum):
    """Two ways lead through the same table. A draft is laid into the rep's Drafts, a send leaves by itself:

        draft   planned -> placing -> placed -> sent | declined | withdrawing
                withdrawing -> withdrawn | expired | kept;  declined -> sent (the copy in Sent came late)
        send    planned -> claimed -> sending -> sent | refused | uncertain
                claimed -> planned (nothing was on the wire)
                sending -> planned (refused for now, or the line broke before the end of the mail: tried again)
                uncertain -> sent (it lies in Sent, it was answered, a person says so) | planned (a person says so)
                sent -> bounced
        both    planned -> held | cancelled;  held -> planned | cancelled;  a late send becomes a draft

    planned     waits for `due_at` and `retry_at`
    placing     the copy is being laid into Drafts; after a crash looked up there by Message-ID
    placed      lies in the rep's Drafts
    held        cannot go now: `reason` says why, `retry_at` when it is looked at again by itself
    claimed     taken by the running daemon (`fence`), nothing on the wire yet: after a crash simply planned again
    sending     on the wire, an attempt is recorded: after a crash nobody knows whether it arrived
    sent        the rep sent it (found again in Sent), or the server took it from us
    uncertain   may have been sent or not; never sent again by itself
    refused     the server refused it for good, or for 48 hours
    bounced     came back after the server had taken it
    declined    the rep deleted it
    expired     lay untouched too long and was taken away
    withdrawing settled by a mail or by time (`reason`); the copy is still to be taken out of Drafts
    withdrawn   settled before the rep sent it; ours was untouched and is gone
    kept        to be withdrawn, but the rep had edited the draft: left alone for good
    cancelled   settled before it was ever placed or sent
    """

    PLANNED = "planned"
    PLACING = "placing"
    PLACED = "placed"
    HELD = "held"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    UNCERTAIN = "uncertain"
    REFUSED = "refused"
    BOUNCED = "bounced"
    DECLINED = "declined"
    EXPIRED = "expired"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    KEPT = "kept"
    CANCELLED = "cancelled"


class Way(StrEnum):
    """How a mail to a customer goes: a person sends it, or we do."""

    DRAFT = "draft"
    SEND = "send"


class SentCopy(StrEnum):
    """The copy in the rep's Sent folder of a mail that we sent."""

    NONE = ""
    WANTED = "wanted"
    LIES = "lies"


class OutboxMail(SQLModel, table=True):
    """A mail to a customer that a rule wants, from plan to end. Keyed (event, rule, slot): never made twice.

    event        identity of the mail (or later: event) that caused it
    unless       what settles it by itself, comma-separated: customer_wrote, team_wrote
    gone_at      our copy is no longer in Drafts: the rep sent it (its copy in Sent will tell) or deleted it; of a send
                 that was given up: when what a try had left there was taken away
    late         it was found only after `late_after`; the notice says so
    attach       names of files that the rule adds to those of its template
    files        the files it carries, as they were when it was made: [{name, type, sha256}]
    text, html   rendered when it comes due, not before: the record may have changed
    content_hash of what we laid into Drafts; tells whether the rep edited it
    enrolment_id the enrolment whose step it is, None for a rule's
    reactive     answers a mail of theirs by itself: the brakes against answering machines count these
    released     a person let it go in spite of these obstacles (names of daemon.last_look.Obstacle, comma-separated)
    obstacle     what stands in its way now (a name of daemon.last_look.Obstacle), "" if nothing does
    frozen       what the mail said beside subject and text when it was first claimed: names, date, headers
    retry_at     not before this time; of a held one: when it is looked at again by itself, None = a person decides
    fence        number of the daemon's start that claimed it; a later start owns what an earlier one left
    token        in its List-Unsubscribe and nobody else's mail ("7K2M9P...")
    server_said  the last answer of the server
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("event", "rule", "slot"),
        Index("ix_outbox_of_customer", "customer_id", "state"),
        _NUMBERED,
    )
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(default=OutboxState.PLANNED, index=True)
    way: str = Way.DRAFT
    event: str
    event_at: datetime = _time(nullable=False)
    rule: str
    slot: str
    account: str = ""
    rep: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id", index=True)
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    enrolment_id: int | None = Field(default=None, foreign_key="enrolment.id", index=True)
    recipient: str = ""
    template: str = ""
    language: str = ""
    values: dict[str, Any] = _json(dict)
    reply: bool = False
    unless: str = ""
    subject: str = _text()
    text: str = _text()
    html: str = _text()
    message_id: str = Field(default="", index=True)
    in_reply_to: str = ""
    references: list[Any] = _json(list)
    due_at: datetime = _time(index=True, nullable=False)
    late_after: datetime | None = _time()
    created_at: datetime = _time(nullable=False)
    placed_at: datetime | None = _time()
    settled_at: datetime | None = _time()
    folder: str = ""
    ref: str = ""
    content_hash: str = ""
    gone_at: datetime | None = _time()
    sent_message_id: str = ""
    attempts: int = 0
    late: bool = False
    reactive: bool = False
    attach: list[Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    files: list[Any] | None = Field(default=None, sa_column=Column(JSON, nullable=True))
    obstacle: str = ""
    released: str = ""
    frozen: dict[str, Any] = _json(dict)
    retry_at: datetime | None = _time()
    fence: int = 0
    claimed_at: datetime | None = _time()
    token: str = Field(default="", index=True)
    copy_state: str = SentCopy.NONE
    looked_at: datetime | None = _time()
    server_said: str = _text()
    reason: str = ""


class SendAttempt(SQLModel, table=True):
    """One try to send an outbox mail, written before anything could arrive and completed afterwards.

    outcome   "" = not known (yet), sent, refused, later (temporary refusal), broken (the line, before the end of the
              mail), unknown (the line, after it)
    """

    __tablename__ = "send_attempt"
    __table_args__ = _NUMBERED
    id: int | None = Field(default=None, primary_key=True)
    outbox_id: int = Field(foreign_key="outbox.id", index=True)
    at: datetime = _time(index=True, nullable=False)
    sender: str = ""
    fence: int = 0
    outcome: str = ""
    code: int = 0
    said: str = _text()
    ended_at: datetime | None = _time()


class ReminderState(StrEnum):
    """planned -> placing -> placed -> done | withdrawing; withdrawing -> withdrawn | kept; planned -> cancelled | held.

    done = the rep deleted it, moved the mail or ticked off the task; kept = settled by itself, but the rep had changed
    it, so it was left alone.
    """

    PLANNED = "planned"
    PLACING = "placing"
    PLACED = "placed"
    HELD = "held"
    DONE = "done"
    WITHDRAWING = "withdrawing"
    WITHDRAWN = "withdrawn"
    KEPT = "kept"
    CANCELLED = "cancelled"


class LaidAs(StrEnum):
    """As what a reminder comes: a mail at its time, or an item in a calendar or list of tasks as soon as it is set."""

    MAIL = "mail"
    EVENT = "event"
    TASK = "task"


class Reminder(SQLModel, table=True):
    """A mail to a rep about a customer, laid into the rep's Inbox when due, or an item in the rep's calendar. Keyed
    like OutboxMail.

    wanted_as   "calendar" or "task" where the rule wants it so; a mail where the rep has neither
    laid_as     how it really comes (LaidAs), settled before anything is laid anywhere: what goes as a mail never goes
                into a calendar any more. None = not settled yet
    calendar, item_uid   the name below `calendars:` in which an item of this UID lies, or may lie
    gone_at     since when the item is not where it was
    token   what stands in its subject ("4F2K"); `unless` = what settles it by itself: customer_wrote, team_wrote
    """

    __tablename__ = "reminder"
    __table_args__ = (
        UniqueConstraint("event", "rule", "slot"),
        Index("ix_reminder_of_customer", "customer_id", "state"),
        _NUMBERED,
    )
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(default=ReminderState.PLANNED, index=True)
    event: str
    event_at: datetime = _time(nullable=False)
    rule: str
    slot: str
    rep: str = ""
    account: str = ""
    customer_id: int | None = Field(default=None, foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id", index=True)
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    enrolment_id: int | None = Field(default=None, foreign_key="enrolment.id", index=True)
    text: str = _text()
    unless: str = ""
    token: str = Field(default="", index=True)
    message_id: str = Field(default="", index=True)
    due_at: datetime = _time(index=True, nullable=False)
    late_after: datetime | None = _time()
    created_at: datetime = _time(nullable=False)
    placed_at: datetime | None = _time()
    settled_at: datetime | None = _time()
    folder: str = ""
    ref: str = ""
    content_hash: str = ""
    attempts: int = 0
    wanted_as: str | None = None
    laid_as: str | None = None
    calendar: str | None = None
    item_uid: str | None = None
    gone_at: datetime | None = _time()
    reason: str = ""


class NotificationState(StrEnum):
    """planned -> sent | failed. failed = the channel is gone, or took nothing for a day (`reason`)."""

    PLANNED = "planned"
    SENT = "sent"
    FAILED = "failed"


class Notification(SQLModel, table=True):
    """A line to a channel (`notify`). Keyed (event, rule, slot). A try is noted before it is made, so a line may come
    twice and is never lost without a word."""

    __tablename__ = "notification"
    __table_args__ = (UniqueConstraint("event", "rule", "slot"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(default=NotificationState.PLANNED, index=True)
    event: str
    rule: str
    slot: str
    channel: str
    text: str = _text()
    customer_id: int | None = Field(default=None, foreign_key="customer.id", index=True)
    contact_id: int | None = Field(default=None, foreign_key="contact.id")
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    attempts: int = 0
    retry_at: datetime | None = _time()
    tried_at: datetime | None = _time()
    reason: str = _text()
    created_at: datetime = _time(nullable=False)
    settled_at: datetime | None = _time()


class SequenceVersion(SQLModel, table=True):
    """What a sequence said when somebody entered it: they stay on it whatever becomes of the file.

    number    counts the versions of a sequence from 1
    content   the file as plain data, read again by rules.sequences
    """

    __tablename__ = "sequence_version"
    __table_args__ = (UniqueConstraint("name", "number"),)
    name: str = Field(primary_key=True)
    version: str = Field(primary_key=True)
    number: int
    content: dict[str, Any] = _json(dict)
    first_at: datetime = _time(nullable=False)


class EnrolmentState(StrEnum):
    """active -> done (nobody answered, the last step is over) | stopped (`reason` says why)."""

    ACTIVE = "active"
    DONE = "done"
    STOPPED = "stopped"


class Enrolment(SQLModel, table=True):
    """Somebody in a sequence, from the first step to the end.

    entered_for    what they may enter once for, by rules.once ("deal lead 7"); `round`: how often they did before
    exclusive_for  the customer, while nobody of theirs may be in another sequence; unique
    stage          the customer's stage as they entered, and as the sequence itself left it since
    event          identity of what made them enter; nothing before `event_at` ends the sequence
    step           number of the step that is next or under way, from 1; behind the last one `done` is waited for
    outbox_id      the mail of the step under way, None while the step is waited for
    since          when the step before really happened
    due_at         when the next thing is to be done; None while a mail is under way, and at the end
    retry_at       something stands in the way (`reason`): not looked at before this
    away_until     the day the person is back, by a note of theirs that came meanwhile
    in_reply_to, references   the thread: of the mail that started it, and of ours since
    """

    __tablename__ = "enrolment"
    __table_args__ = (
        UniqueConstraint("sequence", "entered_for", "round"),
        Index("ix_enrolment_of_customer", "customer_id", "state"),
        _NUMBERED,
    )
    id: int | None = Field(default=None, primary_key=True)
    state: str = Field(default=EnrolmentState.ACTIVE, index=True)
    sequence: str = Field(index=True)
    version: str
    customer_id: int = Field(foreign_key="customer.id")
    contact_id: int | None = Field(default=None, foreign_key="contact.id", index=True)
    interaction_id: int | None = Field(default=None, foreign_key="interaction.id")
    rep: str = ""
    account: str = ""
    recipient: str = ""
    language: str = ""
    entered_for: str
    round: int = 0
    exclusive_for: int | None = Field(default=None, unique=True)
    stage: str = ""
    event: str
    event_at: datetime = _time(nullable=False)
    entered_at: datetime = _time(nullable=False)
    started_by: str = ""
    step: int = 1
    outbox_id: int | None = Field(default=None, index=True)
    since: datetime = _time(nullable=False)
    due_at: datetime | None = _time(index=True)
    retry_at: datetime | None = _time()
    away_until: date | None = None
    in_reply_to: str = ""
    references: list[Any] = _json(list)
    ended_at: datetime | None = _time()
    reason: str = ""


class Pause(SQLModel, table=True):
    """Something that stands still until somebody says go on. what: "all", "rule NAME", "sequence NAME", or "breaker":
    that one is set by quietcrm itself after a burst, `reason` says of what."""

    __tablename__ = "pause"
    what: str = Field(primary_key=True)
    at: datetime = _time(nullable=False)
    actor: str = ""
    reason: str = ""


class NoticeSent(SQLModel, table=True):
    """A daily notice that went to a person, so that a restart sends no second one."""

    __tablename__ = "notice_sent"
    recipient: str = Field(primary_key=True)
    day: date = Field(primary_key=True)
    message_id: str = ""
    sent_at: datetime | None = _time()


class Brief(SQLModel, table=True):
    """What a person is told before a meeting: once for each time that it is at.

    message_id   of the mail; several meetings may be in one
    sent_at      None until the mail lies in the mailbox
    """

    __tablename__ = "brief"
    recipient: str = Field(primary_key=True)
    meeting_id: int = Field(primary_key=True)
    start_at: datetime = Field(sa_column=Column(UtcTime(), nullable=False, primary_key=True))
    message_id: str
    claimed_at: datetime = _time(nullable=False)
    sent_at: datetime | None = _time(index=True)


# --- never, unread, unmatched ------------------------------------------------------------------------------------


class Suppression(SQLModel, table=True):
    """Who gets no mail, or is never logged, by keyed hash of address or domain; outlives erasure.

    purpose: "mail" (nothing is sent) or "log" (nothing is stored). reason: unsubscribed, bounced, erased, admin ...
    """

    __tablename__ = "suppression"
    hash: str = Field(primary_key=True)
    purpose: str = Field(primary_key=True)
    reason: str = ""
    created_at: datetime = _time(nullable=False)


class Quarantine(SQLModel, table=True):
    """A mail that could not be read: what was fetched, at most 1 MB, kept 30 days."""

    __tablename__ = "quarantine"
    __table_args__ = (UniqueConstraint("account", "folder", "ref"), _NUMBERED)
    id: int | None = Field(default=None, primary_key=True)
    account: str
    folder: str
    ref: str
    stage: str
    reason: str
    attempts: int = 1
    raw: bytes = Field(default=b"", sa_column=Column(LargeBinary, nullable=False))
    size: int = _big()
    message_id: str = ""
    received_at: datetime | None = _time()
    created_at: datetime = _time(nullable=False)
    settled_at: datetime | None = _time()


class Unmatched(SQLModel, table=True):
    """A mail that belongs to nobody yet. Hashes only: no text, no address.

    due = one of its keys became known: it is to be read again and logged (no actions fire).
    """

    __tablename__ = "unmatched"
    __table_args__ = (UniqueConstraint("account", "folder", "identity"),)
    id: int | None = Field(default=None, primary_key=True)
    identity: str = Field(index=True)
    account: str
    folder: str
    ref: str
    at: datetime = _time(index=True, nullable=False)
    kind: str = ""
    direction: str = ""
    due: bool = Field(default=False, index=True)


class UnmatchedKey(SQLModel, table=True):
    """A keyed hash on an unmatched mail: of an outside address ("a:..."), an outside domain ("d:...") or of a
    Message-ID it answers ("m:..."), so that the answer is found when the mail it answers is logged later."""

    __tablename__ = "unmatched_key"
    __table_args__ = _JOIN
    unmatched_id: int = Field(primary_key=True, foreign_key="unmatched.id")
    hash: str = Field(primary_key=True, index=True)


# --- how we run --------------------------------------------------------------------------------------------------


class Account(SQLModel, table=True):
    """What is known of one mailbox account: position, state, progress.

    state: new, ok, behind (back-fill runs), failing (tries again), parked (a person must mend it), paused (no room on
    the disk)
    """

    __tablename__ = "account"
    name: str = Field(primary_key=True)
    cursor: str | None = Field(default=None, sa_column=Column(Text, nullable=True))
    baseline_at: datetime = _time(nullable=False)
    state: str = "new"
    reason: str = ""
    hint: str = ""
    last_attempt_at: datetime | None = _time()
    last_success_at: datetime | None = _time()
    failures: int = 0
    retry_at: datetime | None = _time()
    backfill_done: int = 0
    backfill_total: int = 0
    last_mail_at: datetime | None = _time()


class AccountFolder(SQLModel, table=True):
    """A watched folder and the time before which its mail is old."""

    __tablename__ = "account_folder"
    account: str = Field(primary_key=True)
    folder: str = Field(primary_key=True)
    baseline_at: datetime = _time(nullable=False)


class RuleLoaded(SQLModel, table=True):
    """When a rule was first loaded in its present form: it sees only later mail. Hit count for `rules list`.

    fingerprint   changes when the rule does (not with its name, `about` or mode)
    """

    __tablename__ = "rule_loaded"
    name: str = Field(primary_key=True)
    first_at: datetime = _time(nullable=False)
    fingerprint: str = ""
    hits: int = 0
    last_hit_at: datetime | None = _time()


class ActionDone(SQLModel, table=True):
    """An effect a rule had, keyed (event, rule, slot): a restart, a rescan or a move never repeats one."""

    __tablename__ = "action_done"
    __table_args__ = _JOIN
    event: str = Field(primary_key=True)
    rule: str = Field(primary_key=True)
    slot: str = Field(primary_key=True)
    done_at: datetime = _time(nullable=False)
    detail: str = ""


class Trace(SQLModel, table=True):
    """Why a mail with a row was treated as it was; headers only, kept 90 days."""

    __tablename__ = "trace"
    interaction_id: int = Field(primary_key=True, foreign_key="interaction.id")
    config_hash: str
    at: datetime = _time(index=True, nullable=False)
    data: dict[str, Any] = _json(dict)


class LookMark(SQLModel, table=True):
    """How far was looked for what comes true: until a time, until a numbered change. See store.coming."""

    __tablename__ = "look_mark"
    name: str = Field(primary_key=True)
    at: datetime | None = _time()
    number: int = 0


class DatedField(SQLModel, table=True):
    """A field of a customer or contact that a rule takes for a date, found again by its day.

    month_day   1224 = 24 December, whatever the year; 0 = what stands in the field is no date
    """

    __tablename__ = "dated_field"
    __table_args__ = (Index("ix_dated_field_day", "table_name", "field", "month_day"), _JOIN)
    table_name: str = Field(primary_key=True)
    row_id: int = Field(primary_key=True)
    field: str = Field(primary_key=True)
    month_day: int


_UNDONE = text("undone_at IS NOT NULL")


class Change(SQLModel, table=True):
    """A numbered change to a record, with what it was before, so that it can be reversed.

    actor: "rule NAME", "admin", "rep NAME", "import". `table_name` and `row_id` name the record.
    chain: how many rules led to it, one by what another changed; 0 = a person, -1 = of the past, sets no rule off.
    """

    __tablename__ = "change"
    __table_args__ = (
        Index("ix_change_row", "table_name", "row_id"),
        Index("ix_change_undone", "undone_at", sqlite_where=_UNDONE, postgresql_where=_UNDONE),
        _NUMBERED,
    )
    id: int | None = Field(default=None, primary_key=True)
    at: datetime = _time(index=True, nullable=False)
    actor: str
    what: str
    table_name: str
    row_id: int
    before: dict[str, Any] = _json(dict)
    after: dict[str, Any] = _json(dict)
    undone_at: datetime | None = _time()
    chain: int = Field(default=0, sa_column=Column(Integer, nullable=False, server_default="0"))
