"""Who is in which sequence, where, and what comes next: what `sequences list` and `sequences show` say. Reads only."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlmodel import Session

from daemon.breaker import stands_still
from daemon.office import Office
from daemon.versions import book_of
from rules.moments import Delay
from rules.sequence import Sequence
from store import customers, enrolments, outbox, pauses
from store.errors import NotFound
from store.tables import Enrolment, EnrolmentState

STATES = tuple(one.value for one in EnrolmentState)


def listing(session: Session | None, office: Office) -> list[dict[str, Any]]:
    """The shape of `sequences list --json`: those of the files, and those that only somebody is in. `session`: None
    where there is no database yet."""
    counts, stands = (enrolments.counts(session), pauses.everything(session)) if session else ({}, {})
    numbers = {key: row.number for key, row in enrolments.versions(session).items()} if session else {}
    known = office.rules.sequences
    gone = sorted({name for name, state in counts if name not in known and state == EnrolmentState.ACTIVE})
    found = [_listed(known.get(name), name) for name in (*known, *gone)]
    for one in found:
        one |= {state: counts.get((one["name"], state), 0) for state in STATES}
        one["number"] = numbers.get((one["name"], one["version"]))
        one["paused"] = stands_still(stands, f"sequence {one['name']}")
    return found


def _listed(sequence: Sequence | None, name: str) -> dict[str, Any]:
    if sequence is None:
        return {"name": name, "about": "", "mode": "gone", "steps": 0, "place": "", "version": ""}
    return {
        "name": name,
        "about": sequence.about,
        "mode": sequence.mode,
        "steps": len(sequence.steps),
        "place": sequence.place,
        "version": sequence.version,
    }


def show(session: Session, office: Office, name: str, *, every: bool, limit: int | None) -> dict[str, Any]:
    """The shape of `sequences show --json`: its steps and everybody in it; with `every` also who was. Raises NotFound.

    people   customer, to, rep, step (number), steps, does, next_at, mail (number in the outbox), state, reason, version
    """
    sequence = office.rules.sequences.get(name)
    rows = enrolments.of_sequence(session, name, active=not every, limit=limit)
    if sequence is None and not rows:
        raise NotFound(f'no sequence "{name}"', hint="see: quietcrm sequences list")
    listed = next((one for one in listing(session, office) if one["name"] == name), _listed(sequence, name))
    steps = [_step(sequence, number) for number in range(1, len(sequence.steps) + 1)] if sequence else []
    details = {
        "basis": sequence.basis if sequence else "",
        "exclusive": sequence.exclusive if sequence else None,
        "once": sequence.once.written or f"per {sequence.once.scope}" if sequence else "",
        "stop_when": sorted(sequence.stop_when.signs) if sequence else [],
    }
    return {**listed, **details, "plan": steps, "people": people(session, office, rows)}


def _step(sequence: Sequence, number: int) -> dict[str, Any]:
    step = sequence.steps[number - 1]
    return {"step": number, "name": step.name, "wait": length_words(step.wait), "does": step.shown}


def length_words(wait: Delay | None) -> str:
    """ "3 business days", "" for none."""
    if wait is None:
        return ""
    return f"{wait.count} {'business ' if wait.business else ''}{wait.unit}{'s' if wait.count != 1 else ''}"


def people(session: Session, office: Office, rows: list[Enrolment]) -> list[dict[str, Any]]:
    """Who is where."""
    cards = customers.cards(session, {row.customer_id for row in rows})
    numbers = {key: row.number for key, row in enrolments.versions(session).items()}
    mails = defaultdict(str, outbox.states_of(session, [row.outbox_id for row in rows if row.outbox_id is not None]))
    return [_person(session, office, row, cards, numbers, mails[row.outbox_id or 0]) for row in rows]


def _person(
    session: Session, office: Office, row: Enrolment, cards: Any, numbers: dict[tuple[str, str], int], mail: str
) -> dict[str, Any]:
    found = book_of(office).find(session, row)
    card = cards.get(row.customer_id)
    contact = next((one for one in card.contacts if one.id == row.contact_id), None) if card else None
    active = row.state == EnrolmentState.ACTIVE
    trouble = found if isinstance(found, str) and active else ""
    return {
        "id": row.id,
        "customer": card.customer.name if card else "",
        "contact": contact.name if contact else "",
        "to": row.recipient,
        "rep": row.rep,
        "state": row.state,
        "reason": trouble or row.reason,
        "step": row.step,
        "steps": 0 if isinstance(found, str) else len(found.steps),
        "does": "" if isinstance(found, str) or not active else _does(found, row.step),
        "next_at": row.due_at,
        "mail": row.outbox_id if active else None,
        "mail_state": mail if active else "",
        "away_until": row.away_until if active else None,
        "entered_at": row.entered_at,
        "ended_at": row.ended_at,
        "started_by": row.started_by,
        "version": numbers.get((row.sequence, row.version)),
    }


def _does(sequence: Sequence, number: int) -> str:
    step = sequence.step(number)
    return step.shown if step else "done: " + ", ".join(effect.shown for effect in sequence.done)
