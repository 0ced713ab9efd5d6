"""Who is in which sequence: entering once, going on, ending. See store.tables.Enrolment.

Rows that come out are detached copies: changing one writes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Select, and_, exists, func, insert, or_, select, update
from sqlalchemy.orm import Session

from store.errors import NotFound
from store.statements import among, insert_new, table, values_of
from store.tables import (
    Enrolment,
    EnrolmentState,
    Interaction,
    InteractionCustomer,
    OutboxMail,
    OutboxState,
    SequenceVersion,
    Way,
)

_ENROLMENT = table(Enrolment)
_VERSION = table(SequenceVersion)
_OUTBOX = table(OutboxMail)
_INTERACTION = table(Interaction)
_LINK = table(InteractionCustomer)
_ACTIVE = _ENROLMENT.c.state == EnrolmentState.ACTIVE
_UNDER_WAY = (
    *(OutboxState.PLANNED, OutboxState.PLACING, OutboxState.PLACED, OutboxState.HELD, OutboxState.CLAIMED),
    *(OutboxState.SENDING, OutboxState.UNCERTAIN, OutboxState.WITHDRAWING),
)
"""States of a mail of which it is not settled yet what became of it."""
_LEAVING = (*_UNDER_WAY[:6], OutboxState.SENT, OutboxState.UNCERTAIN, OutboxState.BOUNCED)


# --- versions --------------------------------------------------------------------------------------------------------


def keep_version(session: Session, name: str, version: str, content: Mapping[str, Any], now: datetime) -> int:
    """Keep what a sequence says, unless it is known; the number of that version."""
    known = _number(session, name, version)
    if known is not None:
        return known
    highest = session.execute(select(func.max(_VERSION.c.number)).where(_VERSION.c.name == name)).scalar() or 0
    row = {"name": name, "version": version, "number": highest + 1, "content": dict(content), "first_at": now}
    session.execute(insert(_VERSION).values(row))
    return int(highest) + 1


def _number(session: Session, name: str, version: str) -> int | None:
    mine = (_VERSION.c.name == name, _VERSION.c.version == version)
    found: int | None = session.execute(select(_VERSION.c.number).where(*mine)).scalar()
    return found


def versions(session: Session, name: str = "") -> dict[tuple[str, str], SequenceVersion]:
    """(sequence, version) -> what is kept, of one sequence or of all."""
    statement = select(_VERSION).order_by(_VERSION.c.name, _VERSION.c.number)
    if name:
        statement = statement.where(_VERSION.c.name == name)
    return {(row["name"], row["version"]): SequenceVersion(**row) for row in session.execute(statement).mappings()}


# --- entering --------------------------------------------------------------------------------------------------------


def enter(session: Session, row: Enrolment) -> int | None:
    """Insert unless they entered before (`entered_for`, `round`) or may be in no other; the id, or None.

    Two unique constraints decide, so of two writers one enters.
    """
    if not insert_new(session, _ENROLMENT, [values_of(row)]):
        return None
    key = _entry(row.sequence, row.entered_for)
    return int(session.execute(select(_ENROLMENT.c.id).where(*key, _ENROLMENT.c.round == row.round)).scalar_one())


def last_entry(session: Session, sequence: str, entered_for: str) -> Enrolment | None:
    """The last time somebody entered for the same deal, contact or customer."""
    newest = (_ENROLMENT.c.entered_at.desc(), _ENROLMENT.c.round.desc())
    statement = select(_ENROLMENT).where(*_entry(sequence, entered_for)).order_by(*newest)
    return next(iter(_rows(session, statement.limit(1))), None)


def next_round(session: Session, sequence: str, entered_for: str) -> int:
    """The number of the next entry for the same deal, contact or customer; 0 = the first."""
    highest = session.execute(select(func.max(_ENROLMENT.c.round)).where(*_entry(sequence, entered_for))).scalar()
    return 0 if highest is None else int(highest) + 1


def _entry(sequence: str, entered_for: str) -> tuple[Any, ...]:
    return _ENROLMENT.c.sequence == sequence, _ENROLMENT.c.entered_for == entered_for


# --- reading ---------------------------------------------------------------------------------------------------------


def get(session: Session, number: int) -> Enrolment:
    """One enrolment; NotFound."""
    found = _rows(session, select(_ENROLMENT).where(_ENROLMENT.c.id == number))
    if not found:
        raise NotFound(f"there is no enrolment {number}", hint="see who is where: quietcrm sequences list")
    return found[0]


def by_ids(session: Session, numbers: Collection[int]) -> dict[int, Enrolment]:
    """Several by their number; unknown ones are missing."""
    if not numbers:
        return {}
    rows = _rows(session, select(_ENROLMENT).where(among(session, _ENROLMENT.c.id, set(numbers))))
    return {row.id or 0: row for row in rows}


def of_customers(session: Session, customers: Collection[int], *, active: bool = True) -> list[Enrolment]:
    """Those of these customers, the first entered first."""
    if not customers:
        return []
    statement = select(_ENROLMENT).where(among(session, _ENROLMENT.c.customer_id, customers))
    return _rows(session, (statement.where(_ACTIVE) if active else statement).order_by(_ENROLMENT.c.id))


def of_contacts(session: Session, contacts: Collection[int]) -> list[Enrolment]:
    """The active ones of these contacts."""
    if not contacts:
        return []
    return _rows(session, select(_ENROLMENT).where(_ACTIVE, among(session, _ENROLMENT.c.contact_id, contacts)))


def of_sequence(session: Session, sequence: str, *, active: bool = True, limit: int | None = None) -> list[Enrolment]:
    """Those in a sequence, the newest first."""
    statement = select(_ENROLMENT).where(_ENROLMENT.c.sequence == sequence)
    statement = statement.where(_ACTIVE) if active else statement
    return _rows(session, statement.order_by(_ENROLMENT.c.id.desc()).limit(limit))


def due(session: Session, before: datetime, now: datetime, limit: int) -> list[Enrolment]:
    """Active ones whose next thing is to be done by `before`, the longest due first; but for what stands still."""
    stands = and_(_ENROLMENT.c.retry_at.is_not(None), _ENROLMENT.c.retry_at > now)
    statement = select(_ENROLMENT).where(_ACTIVE, _ENROLMENT.c.due_at <= before, ~stands)
    return _rows(session, statement.order_by(_ENROLMENT.c.due_at, _ENROLMENT.c.id).limit(limit))


def settled(session: Session, limit: int) -> list[Enrolment]:
    """Active ones whose mail is settled: sent, declined, expired, refused ..."""
    over = _OUTBOX.c.state.not_in([one.value for one in _UNDER_WAY])
    mine = and_(_OUTBOX.c.id == _ENROLMENT.c.outbox_id, over)
    gone = ~exists().where(_OUTBOX.c.id == _ENROLMENT.c.outbox_id)
    statement = select(_ENROLMENT).where(_ACTIVE, _ENROLMENT.c.outbox_id.is_not(None), or_(exists().where(mine), gone))
    return _rows(session, statement.order_by(_ENROLMENT.c.id).limit(limit))


def active_after(session: Session, number: int, limit: int) -> list[Enrolment]:
    """Active ones by their number, from the one behind `number`."""
    statement = select(_ENROLMENT).where(_ACTIVE, _ENROLMENT.c.id > number)
    return _rows(session, statement.order_by(_ENROLMENT.c.id).limit(limit))


def stopped_since(session: Session, since: datetime, beginning: str) -> list[Enrolment]:
    """Those that were stopped since, for a reason that begins so."""
    columns = _ENROLMENT.c
    mine = (columns.state == EnrolmentState.STOPPED, columns.ended_at >= since, columns.reason.startswith(beginning))
    return _rows(session, select(_ENROLMENT).where(*mine).order_by(columns.id))


def standing(session: Session) -> list[tuple[str, str, int]]:
    """(sequence, why, how many) of those that cannot go on until somebody mends something."""
    columns = _ENROLMENT.c
    waits = columns.reason.not_in(("", "stands still"))
    statement = select(columns.sequence, columns.reason, func.count()).where(_ACTIVE, waits)
    return [tuple(row) for row in session.execute(statement.group_by(columns.sequence, columns.reason))]


def counts(session: Session) -> dict[tuple[str, str], int]:
    """(sequence, state) -> how many."""
    columns = _ENROLMENT.c
    statement = select(columns.sequence, columns.state, func.count()).group_by(columns.sequence, columns.state)
    return {(name, state): count for name, state, count in session.execute(statement)}


# --- going on --------------------------------------------------------------------------------------------------------


def change(session: Session, number: int, **fields: Any) -> bool:
    """Set columns of an active one; whether it is (still) active."""
    statement = update(_ENROLMENT).where(_ENROLMENT.c.id == number, _ACTIVE).values(**fields)
    return bool(session.connection().execute(statement).rowcount)


def end(session: Session, number: int, state: EnrolmentState, reason: str, now: datetime) -> bool:
    """End an active one; whether it was active. Another sequence may be entered then."""
    fields = {"state": state.value, "reason": reason, "ended_at": now, "due_at": None, "exclusive_for": None}
    return change(session, number, **fields)


# --- what a mail of a sequence keeps its distance from ---------------------------------------------------------------


def departures(session: Session, sequence: str, since: datetime, *, but: int = 0) -> list[datetime]:
    """When the mails of a sequence leave or left since: those under way by their time, but one."""
    columns = _OUTBOX.c
    at = func.coalesce(columns.claimed_at, columns.placed_at, columns.due_at)
    statement = select(at).where(
        columns.enrolment_id.is_not(None),
        columns.rule == sequence,
        columns.id != but,
        columns.state.in_([one.value for one in _LEAVING]),
        at >= since,
    )
    return list(session.execute(statement).scalars())


def left_since(session: Session, sequence: str, since: datetime) -> list[datetime]:
    """When mails of a sequence left by themselves since, the last one last."""
    columns = _OUTBOX.c
    gone = (OutboxState.CLAIMED, OutboxState.SENDING, OutboxState.SENT, OutboxState.UNCERTAIN, OutboxState.BOUNCED)
    statement = select(columns.claimed_at).where(
        columns.enrolment_id.is_not(None),
        columns.rule == sequence,
        columns.way == Way.SEND,
        columns.state.in_([one.value for one in gone]),
        columns.claimed_at >= since,
    )
    return sorted(session.execute(statement).scalars())


# --- signs -----------------------------------------------------------------------------------------------------------


def meeting_since(session: Session, customer_id: int, since: datetime) -> datetime | None:
    """When a meeting with a customer was written down after that moment, None if none was. It is an interaction with
    the channel "meeting"; whatever day the meeting itself is on."""
    columns = _INTERACTION.c
    statement = (
        select(func.min(columns.created_at))
        .join(_LINK, _LINK.c.interaction_id == columns.id)
        .where(_LINK.c.customer_id == customer_id, columns.channel == "meeting", columns.created_at > since)
    )
    found: datetime | None = session.execute(statement).scalar()
    return found


def letters_since(session: Session, customer_id: int, since: datetime, enrolment_id: int) -> list[tuple[str, str]]:
    """(rep whose mailbox it was seen in first, sender) of what the team wrote to a customer as people since; but
    neither what left by itself nor the drafts of this enrolment that the rep sent."""
    columns = _INTERACTION.c
    named = columns.message_id != ""
    own = exists().where(_OUTBOX.c.message_id == columns.message_id, named, _OUTBOX.c.way == Way.SEND)
    mine = exists().where(
        _OUTBOX.c.sent_message_id == columns.message_id, named, _OUTBOX.c.enrolment_id == enrolment_id
    )
    statement = (
        select(columns.rep, columns.sender)
        .join(_LINK, _LINK.c.interaction_id == columns.id)
        .where(_LINK.c.customer_id == customer_id, _LINK.c.at > since)
        .where(columns.direction == "out", columns.kind == "human", columns.channel == "mail", ~own, ~mine)
        .order_by(_LINK.c.at)
    )
    return [(row[0], row[1]) for row in session.execute(statement)]


def _rows(session: Session, statement: Select[Any]) -> list[Enrolment]:
    return [Enrolment(**row) for row in session.execute(statement).mappings()]
