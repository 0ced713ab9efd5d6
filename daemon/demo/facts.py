"""What came of the demonstration, read from the store and the mailboxes as plain data."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from sqlmodel import Session

from connectors.model import Message
from daemon.app import App, opened
from daemon.clock import Clock
from daemon.demo.sample import own_mails
from daemon.meeting_report import MeetingReport
from rules.decision import Outcome
from store import coming, customers, history, interactions, meetings, outbox, reminders
from store.history import LogEntry
from store.identity import identity
from store.tables import OutboxMail, OutboxState, Reminder, ReminderState

MONTH = timedelta(days=31)


def gather(directory: Path, clock: Clock, since: datetime) -> dict[str, Any]:
    """Everything the story tells. `since` = when the past ended."""
    with opened(directory, clock) as app, app.store.session() as session:
        drafts = outbox.in_states(session, tuple(OutboxState))
        waiting = reminders.in_states(session, tuple(ReminderState))
        return {
            "zone": str(app.office.settings.zone),
            "admin": app.office.settings.admin,
            "logged": [_logged(session, entry, since) for entry in history.log(session, limit=None) if _is_mail(entry)],
            "meetings": _meetings(app, session),
            "left_out": _left_out(app, session),
            "drafts": [_draft(session, row) for row in sorted(drafts, key=lambda row: row.id or 0)],
            "reminders": [_reminder(session, row) for row in sorted(waiting, key=lambda row: row.id or 0)],
            "draft": _draft_shown(directory, drafts),
            "reminder": _mail_shown(directory, app.office.settings.admin, "reminder"),
            "brief": _mail_shown(directory, app.office.settings.admin, "brief"),
        }


def _is_mail(entry: LogEntry) -> bool:
    return entry.kind not in (meetings.CHANNEL, coming.CHANNEL)


def _meetings(app: App, session: Session) -> list[dict[str, Any]]:
    """Each with what became of it, and the drafts and reminders that came of it by their numbers."""
    now, settings = app.clock.now(), app.office.settings
    report = MeetingReport(session=session, office=app.office, key=app.key, now=now, zone=settings.zone)
    drafts = outbox.in_states(session, tuple(OutboxState))
    waiting = reminders.in_states(session, tuple(ReminderState))
    found = report.told(meetings.starting(session, now - MONTH, now + MONTH))
    for one in found:
        event = f"|meeting {one['id']}|"
        one["draft"] = [row.id for row in drafts if event in row.event]
        one["reminder"] = [row.id for row in waiting if event in row.event]
    return found


def _logged(session: Session, entry: LogEntry, since: datetime) -> dict[str, Any]:
    assert entry.id is not None
    trace = history.trace_of(session, entry.id)
    rules = [one["rule"] for one in trace["data"].get("rules", ()) if one["result"] == "fired"] if trace else []
    rungs = sorted({rung for _, rung in history.rungs_of(session, entry.id)})
    return entry.as_dict() | {"rules": rules, "rungs": rungs, "past": entry.at < since}


def _left_out(app: App, session: Session) -> list[dict[str, Any]]:
    """The mails in the mailboxes of which no row exists, each with the reason; read again, since nothing is kept."""
    found = []
    for name in app.pollers:
        source = app.build_source(name)
        batch = source.fetch(None, limit=1000)
        source.close()
        mails = [item for item in batch.items if not item.header("x-quietcrm")]
        keys = {item.ref: identity(item) for item in mails}
        known = interactions.find_known(session, list(keys.values()))
        found += [_reason(app, session, item) for item in mails if keys[item.ref].key not in known]
    return sorted(found, key=lambda one: (one["outcome"], one["at"]))


def _reason(app: App, session: Session, message: Message) -> dict[str, Any]:
    decision = app.pipeline.explain(session, message)
    sender = message.sender.email if message.sender else ""
    return {
        "account": message.account,
        "at": message.received_at,
        "from": sender,
        "subject": message.subject,
        "outcome": decision.outcome.value,
        "reason": f"rule {decision.logged_by}" if decision.outcome is Outcome.IGNORED else decision.reason,
    }


def _name(session: Session, customer: int | None) -> str:
    return customers.get(session, customer).name if customer is not None else ""


def _draft(session: Session, row: OutboxMail) -> dict[str, Any]:
    return _promise(session, row) | {
        "way": row.way,
        "to": row.recipient,
        "template": row.template,
        "language": row.language,
        "subject": row.subject,
        "text": row.text,
        "html": row.html,
    }


def _reminder(session: Session, row: Reminder) -> dict[str, Any]:
    return _promise(session, row) | {"text": row.text, "laid_as": row.laid_as}


def _promise(session: Session, row: OutboxMail | Reminder) -> dict[str, Any]:
    names = ("id", "state", "rep", "rule", "reason", "due_at", "placed_at", "settled_at")
    return {"customer": _name(session, row.customer_id)} | {name: getattr(row, name) for name in names}


def _draft_shown(directory: Path, drafts: list[OutboxMail]) -> dict[str, Any] | None:
    """The newest draft that waits, and where it lies; None if somebody took it away."""
    for row in sorted(drafts, key=lambda one: one.id or 0, reverse=True):
        for path in (directory / "mail" / row.account / ".Drafts").glob(f"*/{row.ref}*"):
            if row.state == OutboxState.PLACED:
                names = ("id", "recipient", "subject", "text", "html", "rule", "rep")
                return {"path": path} | {name: getattr(row, name) for name in names}
    return None


def _mail_shown(directory: Path, rep: str, kind: str) -> dict[str, Any] | None:
    """The newest reminder or brief in a person's Inbox; None if none lies there any more."""
    laid = own_mails(directory / "mail" / rep, kind)
    if not laid:
        return None
    path, mail = laid[-1]
    assert isinstance(mail, EmailMessage)
    part = mail.get_body(("plain",))
    assert part is not None
    return {"path": path, "subject": str(mail["Subject"]), "text": part.get_content()}
