"""Who was told of which meeting beforehand. A brief is claimed before it is written, so that a restart makes
no second one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from store.statements import among, insert_new, table
from store.tables import Brief

_BRIEF = table(Brief)
Told = tuple[int, datetime]
"""A meeting, by its number in the history, at the time that it begins."""


def claim(session: Session, recipient: str, several: Collection[Told], message_id: str, now: datetime) -> None:
    """A mail of this id shall tell a person of these meetings; those that another one tells of are left to it."""
    rows = [
        {"recipient": recipient, "meeting_id": number, "start_at": start, "message_id": message_id, "claimed_at": now}
        for number, start in several
    ]
    insert_new(session, _BRIEF, [row | {"sent_at": None} for row in rows])


def told(session: Session, recipient: str, numbers: Collection[int]) -> set[Told]:
    """Which of these meetings a person was told of, or is about to be, and for which times."""
    if not numbers:
        return set()
    mine = (_BRIEF.c.recipient == recipient, among(session, _BRIEF.c.meeting_id, numbers))
    return {(row[0], row[1]) for row in session.execute(select(_BRIEF.c.meeting_id, _BRIEF.c.start_at).where(*mine))}


def told_of(session: Session, number: int) -> list[tuple[str, datetime]]:
    """Who was told of a meeting, and when."""
    mine = (_BRIEF.c.meeting_id == number, _BRIEF.c.sent_at.is_not(None))
    statement = select(_BRIEF.c.recipient, _BRIEF.c.sent_at).where(*mine).order_by(_BRIEF.c.sent_at)
    return [(row[0], row[1]) for row in session.execute(statement)]


def pending(session: Session, recipient: str) -> dict[str, list[Told]]:
    """Message-ID -> what is to be told, of the mails to a person that are not known to lie in the mailbox."""
    mine = (_BRIEF.c.sent_at.is_(None), _BRIEF.c.recipient == recipient)
    columns = (_BRIEF.c.message_id, _BRIEF.c.meeting_id, _BRIEF.c.start_at)
    found: dict[str, list[Told]] = defaultdict(list)
    for message_id, number, start in session.execute(select(*columns).where(*mine).order_by(_BRIEF.c.start_at)):
        found[message_id].append((number, start))
    return dict(found)


def sent(session: Session, recipient: str, message_id: str, now: datetime) -> None:
    """The mail lies in the mailbox, or has become pointless."""
    mine = (_BRIEF.c.recipient == recipient, _BRIEF.c.message_id == message_id)
    session.execute(update(_BRIEF).where(*mine).values(sent_at=now))
