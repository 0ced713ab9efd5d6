"""Mails to reps about customers, from plan to end; see store.tables.ReminderState."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from store.promises import Promises
from store.statements import among, insert_new, table
from store.tables import NoticeSent, Reminder

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
    "get",
    "in_states",
    "last_notice",
    "move",
    "next_due",
    "notice_sent",
    "of_customers",
    "plan",
    "settled_since",
    "token_taken",
]
