"""Takes back what a rule did to the records since a time, by the numbered changes, newest first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import Session

from daemon.clock import SystemClock
from daemon.control import ask
from daemon.errors import NotRunning, Refused
from daemon.mailbox_marks import mark_words
from daemon.office import load_office, state_directory
from store import customers, outbox, reminders, reversal, schema
from store.engine import open_store
from store.lock import WriterLock
from store.reversal import Reversed
from store.tables import Change, LaidAs, OutboxState, Reminder, ReminderState

_OPEN = (OutboxState.PLANNED, OutboxState.HELD, OutboxState.PLACED)
_STANDING = (ReminderState.PLANNED, ReminderState.PLACING, ReminderState.PLACED, ReminderState.HELD)
_HEARD = frozenset(("last_in_at", "last_out_at"))


def look(directory: Path, rule: str, since: datetime) -> dict[str, Any]:
    """What would be taken back, tried out and thrown away. Loads no rules and changes nothing, daemon or not."""
    args = {"rule": rule, "since": since.isoformat()}
    try:
        found: dict[str, Any] = ask(state_directory(directory), "rules.undo", args)
        return found
    except NotRunning:
        office = load_office(directory)
        store = open_store(office.settings.store_url(directory), base=directory)
        try:
            with WriterLock(store), store.writing() as session:
                schema.ensure_current(store)
                found = take_back(session, rule, since, SystemClock().now())
                session.rollback()
                return found
        finally:
            store.close()


def take_back(
    session: Session, rule: str, since: datetime, now: datetime, confirm: int | None = None
) -> dict[str, Any]:
    """Take back what a rule did. `confirm` has to be the number of changes that can be. Raises Refused."""
    names = _names(session, reversal.of(session, f"rule {rule}", since))
    found = reversal.reverse(session, f"rule {rule}", since, now)
    undone = [_told(one, names) for one in found if not one.why]
    if confirm is not None and confirm != len(undone):
        hint = f"look again: quietcrm rules undo {rule} --since {since.date()}"
        raise Refused(f"{len(undone)} changes can be taken back, not {confirm}; nothing was done", hint=hint)
    waiting = outbox.listing(session, states=_OPEN, rule=rule, limit=None)
    return {
        "rule": rule,
        "since": since.isoformat(),
        "undone": undone,
        "refused": [_told(one, names) | {"why": one.why} for one in found if one.why],
        "outgoing": [one["id"] for one in waiting],
        "reminders": [_reminder(one) for one in reminders.of_rule(session, rule, _STANDING)],
    }


def _reminder(row: Reminder) -> dict[str, Any]:
    """`as`: how it comes or lies there, in the words of a rule."""
    laid = "calendar" if row.laid_as == LaidAs.EVENT else row.laid_as
    told = {"id": row.id, "rep": row.rep, "text": row.text, "due_at": row.due_at.isoformat(), "state": str(row.state)}
    return told | {"as": str(laid or row.wanted_as or LaidAs.MAIL)}


def _names(session: Session, several: list[Change]) -> Mapping[int, str]:
    """Change -> whose record it is; read before anything is taken back."""
    owners = {one.id: reversal.subject_of(session, one) for one in several if one.id is not None}
    rows = customers.facts(session, {number for number in owners.values() if number})
    return {number: rows[owner].name for number, owner in owners.items() if owner in rows}


def _told(one: Reversed, names: Mapping[int, str]) -> dict[str, Any]:
    change = one.change
    return {
        "change": change.id,
        "at": change.at,
        "customer": names.get(change.id or 0, ""),
        "did": _words(change),
    }


def _words(change: Change) -> str:
    if change.what == "create":
        return f"made {change.table_name.replace('sales_', '')} {change.row_id}"
    if change.what == "logged":
        return f"took mail {change.row_id} into the history"
    if change.what == "set":
        return _fields(change)
    if change.what == "marked":
        return f"marked it: {mark_words(change.after)}"
    rows = [
        (word, name, row)
        for word, side in (("added", change.after), ("removed", change.before))
        for name, some in side.get("rows", {}).items()
        for row in some
    ]
    return "; ".join(f"{word} {_row(name, row)}" for word, name, row in rows)


def _fields(change: Change) -> str:
    said = {name: (change.before.get(name), value) for name, value in change.after.items() if name != "fields"}
    before, after = change.before.get("fields", {}), change.after.get("fields", {})
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    said |= {name: (before.get(name), after.get(name)) for name in names}
    if said.keys() <= _HEARD:
        return "noted when they last wrote"
    return "; ".join(f"{name}: {was or '-'} -> {now or '-'}" for name, (was, now) in said.items() if name not in _HEARD)


def _row(name: str, row: Mapping[str, Any]) -> str:
    if name == "customer_tag":
        return f"tag {row['tag']}"
    if name == "customer_domain":
        return f"domain {row['domain']}"
    if name == "address":
        return f"address {row['key']}"
    return f"mail {row['interaction_id']} to customer {row['customer_id']}"
