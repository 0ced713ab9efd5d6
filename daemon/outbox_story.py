"""The story of one mail to a customer: why it exists, what stands in its way, what was tried, and its words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlmodel import Session

from daemon.enclosures import told
from daemon.letters import Held, draft_mail
from daemon.office import Office
from store import customers, exchanges, outbox, sending
from store.tables import OutboxMail, OutboxState, SendAttempt, Way

_WHAT = ("id", "state", "way", "template", "language", "rule", "rep", "account", "late", "message_id")
_WHEN = ("event_at", "created_at", "due_at", "late_after", "retry_at", "placed_at", "settled_at", "looked_at")
_HOW = ("obstacle", "reason", "server_said", "copy_state")
_UNSENT = (OutboxState.PLANNED, OutboxState.HELD)


def story(session: Session, office: Office, number: int, now: datetime) -> dict[str, Any]:
    """The shape of `outbox show --json`. Raises NotFound.

    cause      the mail that made a rule want this one: its number in the log, time and subject; None if there is none
    released   what a person let it go in spite of
    attempts   each try to send it: when, by which sender, outcome ("" = not known yet), the server's words
    files      what it carries, once it was made: name, and whether that file is another one by now
    words      subject and text; `final` = as they were sent or laid out, else as they would be now
    """
    row = outbox.get(session, number)
    shown = {name: getattr(row, name) for name in (*_WHAT, *_WHEN, *_HOW)}
    return shown | {
        "to": row.recipient,
        "customer": customers.get(session, row.customer_id).name if row.customer_id else "",
        "cause": _cause(session, row),
        "released": [one for one in row.released.split(",") if one],
        "attempts": [_attempt(one) for one in sending.attempts(session, number)],
        "files": told(office.directory, row.files or []),
        "words": _words(session, office, row, now),
    }


def _cause(session: Session, row: OutboxMail) -> dict[str, Any] | None:
    found = exchanges.exchange(session, row.interaction_id) if row.interaction_id else None
    return {"id": found.id, "at": found.at, "from": found.sender, "subject": found.subject} if found else None


def _attempt(one: SendAttempt) -> dict[str, Any]:
    names = ("at", "ended_at", "sender", "outcome", "code", "said")
    return {name: getattr(one, name) for name in names}


def _words(session: Session, office: Office, row: OutboxMail, now: datetime) -> dict[str, Any]:
    """What was once on the wire or in Drafts stays; before that, what the template gives today, or why nothing."""
    if row.state not in _UNSENT or (row.way == Way.SEND and row.attempts > 0):
        return {"final": True, "subject": row.subject, "text": row.text, "html": row.html, "trouble": ""}
    try:
        mail, _ = draft_mail(session, office, row, now)
    except Held as held:
        return {"final": False, "subject": "", "text": "", "html": "", "trouble": held.message}
    return {"final": False, "subject": mail.subject, "text": mail.text, "html": mail.html, "trouble": ""}
