"""The history as people read it: timelines, the log, and why a mail was treated as it was. Nothing here writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from store.statements import among, table
from store.tables import Customer, Interaction, InteractionCustomer, MeetingCopy, Participant, Sighting, Trace

_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_PARTICIPANT = table(Participant)
_SIGHTING = table(Sighting)
_COPY = table(MeetingCopy)
_TRACE = table(Trace)
_CUSTOMER = table(Customer)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One interaction as lists show it; the fields of `log --json`."""

    id: int
    kind: str
    direction: str
    at: datetime
    message_id: str
    subject: str
    customers: list[str]
    contacts: list[str]
    rule: str
    sightings: list[dict[str, str]]

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON data; `at` in ISO 8601, UTC."""
        return {
            "id": self.id,
            "kind": self.kind,
            "direction": self.direction,
            "at": self.at.isoformat(),
            "message_id": self.message_id,
            "subject": self.subject,
            "customers": self.customers,
            "contacts": self.contacts,
            "rule": self.rule,
            "sightings": self.sightings,
        }


def timeline(session: Session, customer_id: int, limit: int = 50) -> list[LogEntry]:
    """The newest interactions of a customer, newest first."""
    newest = (
        select(_LINK.c.interaction_id)
        .where(_LINK.c.customer_id == customer_id)
        .order_by(_LINK.c.at.desc(), _LINK.c.interaction_id.desc())
        .limit(limit)
    )
    return _entries(session, list(session.execute(newest).scalars()))


def log(
    session: Session,
    *,
    customer: int | None = None,
    rule: str | None = None,
    since: datetime | None = None,
    limit: int | None = 50,
) -> list[LogEntry]:
    """The newest interactions, newest first: of one customer, logged by one rule, since a time. limit None = all."""
    if customer is None:
        statement = select(_INTERACTION.c.id).order_by(_INTERACTION.c.at.desc(), _INTERACTION.c.id.desc())
        at = _INTERACTION.c.at
    else:
        statement = select(_LINK.c.interaction_id).where(_LINK.c.customer_id == customer)
        statement = statement.order_by(_LINK.c.at.desc(), _LINK.c.interaction_id.desc())
        at = _LINK.c.at
        if rule is not None:
            statement = statement.join(_INTERACTION, _INTERACTION.c.id == _LINK.c.interaction_id)
    if rule is not None:
        statement = statement.where(_INTERACTION.c.logged_by == rule)
        if rule:
            statement = statement.where(text("interaction.logged_by <> ''"))  # so that the partial index is used
    if since is not None:
        statement = statement.where(at >= since)
    return _entries(session, list(session.execute(statement.limit(limit)).scalars()))


def find(session: Session, wanted: str) -> list[LogEntry]:
    """The interactions named by an id ("17") or a Message-ID with or without angle brackets."""
    name = wanted.strip()
    if name.isdecimal() and len(name) < 19:
        statement = select(_INTERACTION.c.id).where(_INTERACTION.c.id == int(name))
    else:
        statement = select(_INTERACTION.c.id).where(_INTERACTION.c.message_id == name.strip("<>"))
    return _entries(session, list(session.execute(statement.order_by(_INTERACTION.c.id)).scalars()))


def trace_of(session: Session, interaction_id: int) -> dict[str, Any] | None:
    """The kept trace: {config_hash, at, data}; None if none was worth keeping or 90 days have passed."""
    row = session.execute(select(_TRACE).where(_TRACE.c.interaction_id == interaction_id)).mappings().first()
    return {"config_hash": row["config_hash"], "at": row["at"], "data": row["data"]} if row else None


def places_of(session: Session, interaction_id: int) -> list[tuple[str, str, str]]:
    """Where copies of a mail lie: (account, folder, ref)."""
    columns = _SIGHTING.c
    statement = select(columns.account, columns.folder, columns.ref).where(columns.interaction_id == interaction_id)
    return [(row[0], row[1], row[2]) for row in session.execute(statement.order_by(columns.account, columns.folder))]


def rungs_of(session: Session, interaction_id: int) -> list[tuple[str, str]]:
    """The customers of an interaction: (name, rung of the ladder that said so)."""
    statement = (
        select(_CUSTOMER.c.name, _LINK.c.rung)
        .join(_CUSTOMER, _CUSTOMER.c.id == _LINK.c.customer_id)
        .where(_LINK.c.interaction_id == interaction_id)
    )
    return [(row[0], row[1]) for row in session.execute(statement.order_by(_CUSTOMER.c.name))]


def identity_of(session: Session, interaction_id: int) -> str:
    """The first identity of an interaction: what keys the effects it had."""
    statement = select(_INTERACTION.c.identity).where(_INTERACTION.c.id == interaction_id)
    return str(session.execute(statement).scalar_one())


def count(session: Session) -> int:
    """How many interactions there are."""
    return int(session.execute(select(func.count()).select_from(_INTERACTION)).scalar_one())


def _entries(session: Session, ids: Sequence[int]) -> list[LogEntry]:
    """The entries in the order of `ids`, in four queries a thousand."""
    entries: list[LogEntry] = []
    for start in range(0, len(ids), 1000):
        entries += _some_entries(session, ids[start : start + 1000])
    return entries


def _some_entries(session: Session, ids: Sequence[int]) -> list[LogEntry]:
    if not ids:
        return []
    columns = _INTERACTION.c
    wanted = [columns[name] for name in ("id", "kind", "direction", "at", "message_id", "subject", "logged_by")]
    rows = {row.id: row for row in session.execute(select(*wanted).where(among(session, columns.id, ids)))}
    names = _grouped(
        session,
        select(_LINK.c.interaction_id, _CUSTOMER.c.name)
        .join(_CUSTOMER, _CUSTOMER.c.id == _LINK.c.customer_id)
        .where(among(session, _LINK.c.interaction_id, ids))
        .order_by(_LINK.c.interaction_id, _CUSTOMER.c.name),
    )
    people = _grouped(
        session,
        select(_PARTICIPANT.c.interaction_id, _PARTICIPANT.c.key)
        .where(among(session, _PARTICIPANT.c.interaction_id, ids), _PARTICIPANT.c.contact_id.is_not(None))
        .order_by(_PARTICIPANT.c.interaction_id, _PARTICIPANT.c.key),
    )
    copies = _copies(session, ids, [number for number, row in rows.items() if row.kind == "meeting"])
    return [
        LogEntry(
            id=number,
            kind=row.kind,
            direction=row.direction,
            at=row.at,
            message_id=row.message_id,
            subject=row.subject,
            customers=names.get(number, []),
            contacts=list(dict.fromkeys(people.get(number, []))),
            rule=row.logged_by,
            sightings=copies.get(number, []),
        )
        for number in ids
        if (row := rows.get(number)) is not None
    ]


def _copies(session: Session, ids: Sequence[int], meetings: Sequence[int]) -> dict[int, list[dict[str, str]]]:
    """Where copies lie: of mails in folders, of meetings in calendars too."""
    found: dict[int, list[dict[str, str]]] = defaultdict(list)
    for number, account, folder in session.execute(
        select(_SIGHTING.c.interaction_id, _SIGHTING.c.account, _SIGHTING.c.folder)
        .where(among(session, _SIGHTING.c.interaction_id, ids))
        .order_by(_SIGHTING.c.interaction_id, _SIGHTING.c.account, _SIGHTING.c.folder)
    ):
        found[number].append({"account": account, "folder": folder})
    if meetings:
        there = (among(session, _COPY.c.interaction_id, meetings), _COPY.c.gone_at.is_(None))
        columns = (_COPY.c.interaction_id, _COPY.c.account, _COPY.c.calendar)
        for number, account, calendar in session.execute(select(*columns).where(*there).order_by(*columns)):
            found[number].append({"account": account, "calendar": calendar})
    return found


def _grouped(session: Session, statement: Any) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = defaultdict(list)
    for number, value in session.execute(statement):
        groups[number].append(value)
    return groups
