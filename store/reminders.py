"""Reminders to reps about customers, from plan to end; see store.tables.ReminderState."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from store.promises import Promises
from store.statements import among, insert_new, table
from store.tables import LaidAs, NoticeSent, Reminder, ReminderState

_REMINDER = table(Reminder)
_NOTICE = table(NoticeSent)
_promises = Promises(Reminder)

plan = _promises.plan
get = _promises.get
due = _promises.due
next_due = _promises.next_due
in_states = _promises.in_states
of_customers = _promises.of_customers
customers_in = _promises.customers_in
by_message_ids = _promises.by_message_ids
move = _promises.move
change = _promises.change
counts = _promises.counts
settled_since = _promises.settled_since


def mails(session: Session, states: Collection[str], limit: int | None = None) -> list[Reminder]:
    """Those in one of the states that come as mails, in the order they come due."""
    is_mail = or_(_REMINDER.c.laid_as.is_(None), _REMINDER.c.laid_as == LaidAs.MAIL.value)
    return _where(session, states, is_mail, limit)


def items(session: Session, states: Collection[str], calendar: str, limit: int | None = None) -> list[Reminder]:
    """Those in one of the states whose item lies, or may lie, in the calendars of this name."""
    is_item = _REMINDER.c.laid_as.in_((LaidAs.EVENT.value, LaidAs.TASK.value))
    return _where(session, states, is_item & (_REMINDER.c.calendar == calendar), limit)


def due_between(session: Session, states: Collection[str], since: datetime, until: datetime) -> list[Reminder]:
    """Those in one of the states that are due in (since, until]."""
    return _where(session, states, (_REMINDER.c.due_at > since) & (_REMINDER.c.due_at <= until), None)


def stranded(session: Session, calendars: Collection[str]) -> list[Reminder]:
    """Those that are about to be laid into a calendar, or to be taken out of it, which is none of these any more."""
    is_item = _REMINDER.c.laid_as.in_((LaidAs.EVENT.value, LaidAs.TASK.value))
    is_lost = is_item & _REMINDER.c.calendar.not_in(list(calendars))
    return _where(session, (ReminderState.PLACING, ReminderState.WITHDRAWING), is_lost, None)


def unsettled(session: Session) -> list[Reminder]:
    """Planned ones that a rule wants in a calendar or a list of tasks, while it is not settled how they come."""
    is_open = _REMINDER.c.laid_as.is_(None) & _REMINDER.c.wanted_as.is_not(None)
    return _where(session, (ReminderState.PLANNED,), is_open, None)


def leftovers(session: Session, calendar: str) -> list[Reminder]:
    """Those that came as a mail in the end, while an item of theirs may lie in the calendars of this name."""
    is_left = (_REMINDER.c.laid_as == LaidAs.MAIL.value) & _REMINDER.c.item_uid.is_not(None)
    return _where(session, tuple(ReminderState), is_left & (_REMINDER.c.calendar == calendar), None)


def of_events(session: Session, events: Collection[str]) -> list[Reminder]:
    """Those that these mails or occasions made."""
    if not events:
        return []
    return _where(session, tuple(ReminderState), among(session, _REMINDER.c.event, events), None)


def of_rule(session: Session, rule: str, states: Collection[str]) -> list[Reminder]:
    """Those that a rule made and that are in one of the states."""
    return _where(session, states, _REMINDER.c.rule == rule, None)


def _where(session: Session, states: Collection[str], wanted: ColumnElement[bool], limit: int | None) -> list[Reminder]:
    named = _REMINDER.c.state.in_([str(one) for one in states])
    statement = select(_REMINDER).where(named, wanted).order_by(_REMINDER.c.due_at, _REMINDER.c.id).limit(limit)
    return [Reminder(**row) for row in session.execute(statement).mappings()]


def customers_by_token(session: Session, tokens: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Token in a subject ("4F2K", upper case) -> the customers it stands for. Unknown tokens are missing."""
    if not tokens:
        return {}
    statement = (
        select(_REMINDER.c.token, _REMINDER.c.customer_id)
        .where(among(session, _REMINDER.c.token, {one for one in tokens if one}), _REMINDER.c.customer_id.is_not(None))
        .distinct()
        .order_by(_REMINDER.c.token, _REMINDER.c.customer_id)
    )
    found: dict[str, list[int]] = defaultdict(list)
    for token, customer in session.execute(statement):
        found[token].append(customer)
    return {token: tuple(customers) for token, customers in found.items()}


def token_taken(session: Session, token: str) -> bool:
    """Whether some reminder has this token."""
    statement = select(func.count()).select_from(_REMINDER).where(_REMINDER.c.token == token)
    return bool(session.execute(statement).scalar())


def claim_notice(session: Session, recipient: str, day: date, message_id: str, now: datetime) -> bool:
    """Note that the daily notice of `day` goes to a person; False if it went already."""
    row = {"recipient": recipient, "day": day, "message_id": message_id, "sent_at": now}
    return bool(insert_new(session, _NOTICE, [row], key=("recipient", "day")))


def notice_sent(session: Session, recipient: str, day: date) -> bool:
    """Whether the daily notice of `day` went to a person (or there was nothing to say)."""
    statement = select(_NOTICE.c.recipient).where(_NOTICE.c.recipient == recipient, _NOTICE.c.day == day)
    return session.execute(statement).first() is not None


def last_notice(session: Session, recipient: str, *, mailed: bool = False) -> datetime | None:
    """When the newest notice to a person was made; `mailed`: the newest one that had something to say and went out."""
    statement = select(func.max(_NOTICE.c.sent_at)).where(_NOTICE.c.recipient == recipient)
    if mailed:
        statement = statement.where(_NOTICE.c.message_id != "")
    found: datetime | None = session.execute(statement).scalar()
    return found


__all__: Sequence[str] = [
    "by_message_ids",
    "change",
    "claim_notice",
    "counts",
    "customers_by_token",
    "customers_in",
    "due",
    "due_between",
    "get",
    "in_states",
    "items",
    "last_notice",
    "leftovers",
    "mails",
    "move",
    "next_due",
    "notice_sent",
    "of_customers",
    "of_events",
    "of_rule",
    "plan",
    "settled_since",
    "stranded",
    "token_taken",
    "unsettled",
]
